use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::merge::Merged;
use super::*;
use crate::model::Product;
use commerce_sdk::timestamp::Timestamp;

const HEADER: &str = "Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Option2 Name,Option2 Value,\
    Variant SKU,Variant Grams,Variant Inventory Tracker,Variant Inventory Qty,Variant Inventory Policy,Variant Price,\
    Variant Compare At Price,Variant Requires Shipping,Variant Taxable,Variant Barcode,Image Src,Image Alt Text,Variant Image";

fn batch(header: &str, text: &str) -> Batch {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let rows = reader
        .records()
        .map(|record| {
            let record = record.expect("the test's own CSV");
            let line = record.position().map_or(0, |position| position.line()) + 1;
            Row {
                line,
                fields: record.iter().map(str::to_owned).collect(),
            }
        })
        .collect();
    Batch {
        header: header.split(',').map(|name| name.trim().to_owned()).collect(),
        rows,
        last: true,
        options: BTreeMap::new(),
    }
}

fn dollars() -> PricedIn {
    PricedIn {
        currency: "USD".parse().expect("a code"),
        exponent: 2,
    }
}

fn ids() -> impl FnMut(&'static str) -> String {
    let mut count = 0;
    move |prefix| {
        count += 1;
        format!("{prefix}_{count:06}")
    }
}

fn lay(existing: Option<&Product>, imported: Imported, new_id: &mut dyn FnMut(&'static str) -> String) -> Merged {
    merge(existing, imported, dollars(), Timestamp::from_micros(0), new_id).expect("it can be merged")
}

fn messages(read: &Read) -> Vec<(u64, &str)> {
    read.errors
        .iter()
        .map(|error| (error.line, error.message.as_str()))
        .collect()
}

/// The export of a real shop with 284 products.
fn bicycles() -> Batch {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/rest/data/shopify-bicycles.csv");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(text.as_bytes());
    let mut records = reader.records().map(|record| record.expect("a row"));
    let header = records.next().expect("a header").iter().map(str::to_owned).collect();
    let rows = records
        .map(|record| Row {
            line: record.position().map_or(0, |position| position.line()),
            fields: record.iter().map(str::to_owned).collect(),
        })
        .collect();
    Batch {
        header,
        rows,
        last: true,
        options: BTreeMap::new(),
    }
}

#[test]
fn a_real_shops_export_is_read_completely() {
    let read = read(&bicycles(), dollars()).expect("its header is known");
    assert_eq!(messages(&read), []);
    assert_eq!(read.consumed, 1_399);
    assert_eq!(read.products.len(), 284);
    assert_eq!(
        read.products
            .iter()
            .map(|product| product.variants.len())
            .sum::<usize>(),
        1_121
    );
    assert_eq!(
        read.products.iter().map(|product| product.images.len()).sum::<usize>(),
        1_034
    );
    let drafts = read
        .products
        .iter()
        .filter_map(|product| product.head.as_ref())
        .filter(|head| head.status == Status::Draft);
    assert_eq!(drafts.count(), 58);

    let wrench = &read.products[0];
    assert_eq!(wrench.handle, "15mm-combo-wrench");
    let variant = &wrench.variants[0];
    assert_eq!(
        (variant.amount, variant.weight_g, variant.on_hand, variant.tracked),
        (1_099, 272, 1, true)
    );
    let without_sku = read
        .products
        .iter()
        .flat_map(|product| &product.variants)
        .filter(|variant| variant.sku.is_none());
    assert_eq!(without_sku.count(), 3);
    let barcodes = read
        .products
        .iter()
        .flat_map(|product| &product.variants)
        .filter_map(|variant| variant.barcode.as_ref());
    assert!(barcodes.clone().count() > 300 && barcodes.clone().all(|barcode| !barcode.starts_with('\'')));
}

#[test]
fn repeated_skus_do_not_keep_a_variant_out() {
    let mut new_id = ids();
    let read = read(&bicycles(), dollars()).expect("its header is known");
    let mut products: Vec<Product> = read
        .products
        .into_iter()
        .map(|product| lay(None, product, &mut new_id).product)
        .collect();
    claim_skus(&mut products, &BTreeMap::new());
    let variants: Vec<_> = products.iter().flat_map(|product| &product.variants).collect();
    assert_eq!(variants.len(), 1_121);
    let owned: Vec<_> = variants
        .iter()
        .filter(|variant| variant.owns_sku)
        .filter_map(|variant| variant.sku.as_ref())
        .collect();
    assert_eq!(
        owned.len(),
        owned.iter().collect::<BTreeSet<_>>().len(),
        "each SKU has one owner"
    );
    assert_eq!(owned.len(), 1_077);
    let nikola = variants
        .iter()
        .filter(|variant| variant.sku.as_deref() == Some("Nikola"));
    assert_eq!(nikola.count(), 8, "and every variant keeps the SKU it was written with");
    assert!(products.iter().all(|product| {
        product
            .variants
            .iter()
            .all(|variant| variant.option_values.len() == product.options.len())
    }));
}

#[test]
fn importing_again_makes_nothing_twice() {
    let mut new_id = ids();
    let first: Vec<Merged> = read(&bicycles(), dollars())
        .expect("known")
        .products
        .into_iter()
        .map(|product| lay(None, product, &mut new_id))
        .collect();
    for (before, again) in first.iter().zip(read(&bicycles(), dollars()).expect("known").products) {
        assert_eq!(before.product.import_digest.as_deref(), Some(again.digest.as_str()));
        let after = lay(Some(&before.product), again, &mut new_id);
        assert_eq!(after.product, before.product);
        assert!(after.recounted.is_empty());
    }
}

#[test]
fn a_price_that_does_not_fit_the_currency_is_an_error_of_its_row() {
    let rupiah = PricedIn {
        currency: "IDR".parse().expect("a code"),
        exponent: 0,
    };
    let text = "mug,Mug,,,,,true,Color,Red,,,MUG-R,300,shopify,5,deny,10.99,,true,true,,,,\n\
                mug,,,,,,,,Blue,,,MUG-B,300,shopify,5,deny,50000,,true,true,,,,\n\
                mug,,,,,,,,Green,,,MUG-G,300,shopify,5,deny,50000.00,60000.5,true,true,,,,\n";
    let read = read(&batch(HEADER, text), rupiah).expect("known");
    assert_eq!(
        messages(&read),
        [
            (2, "price \"10.99\" has a fraction, and the currency has none (IDR)"),
            (
                4,
                "compare-at price \"60000.5\" has a fraction, and the currency has none (IDR)"
            ),
        ]
    );
    assert_eq!(
        read.products[0]
            .variants
            .iter()
            .map(|variant| variant.amount)
            .collect::<Vec<_>>(),
        [50_000]
    );
}

#[test]
fn wrong_rows_are_reported_by_line_and_the_rest_is_kept() {
    let text = "lamp,Lamp,<p>x</p>,,,,true,Size,S,,,L-S,1x,shopify,5,deny,10.00,,true,true,,,,\n\
                lamp,,,,,,,,M,,,L-M,10,shopify,many,deny,10.00,,true,true,,,,\n\
                lamp,,,,,,,,L,,,L-L,10,shopify,5,deny,,,true,true,,,,\n\
                lamp,,,,,,,,XL,,,L-XL,10,shopify,5,deny,ten,,true,true,,,,\n\
                lamp,,,,,,,,XXL,,,L-XXL,10,shopify,-2,deny,12.00,,true,true,,,,\n\
                lamp,,,,,,,,xxl,,,L-2,10,shopify,5,deny,12.00,,true,true,,,,\n\
                ,,,,,,,,,,,,,,,,5.00,,,,,,,\n\
                ,,,,,,,,,,,,,,,,,,,,,,,\n";
    let read = read(&batch(HEADER, text), dollars()).expect("known");
    let lines: Vec<u64> = read.errors.iter().map(|error| error.line).collect();
    assert_eq!(lines, [2, 3, 4, 5, 7, 8]);
    assert_eq!(read.products[0].variants.len(), 1);
    assert_eq!(read.products[0].variants[0].on_hand, -2);
    assert_eq!(read.consumed, 8);
}

#[test]
fn rows_of_a_product_that_may_go_on_wait_for_more() {
    let text = "a,A,,,,,true,Title,Default Title,,,A,1,shopify,1,deny,1.00,,true,true,,,,\n\
                b,B,,,,,true,Title,Default Title,,,B,1,shopify,1,deny,1.00,,true,true,,,,\n";
    let mut batch = batch(HEADER, text);
    batch.last = false;
    let read = read(&batch, dollars()).expect("known");
    assert_eq!((read.consumed, read.products.len()), (1, 1));
}

#[test]
fn a_product_without_choice_has_no_options() {
    let text = "a,A,,,,,true,Title,Default Title,,,A,1,,1,continue,1.00,,FALSE,true,,https://x.example/a.jpg,Front,\n\
                a,,,,,,,,,,,,,,,,,,,,,https://x.example/b.jpg,,\n";
    let read = read(&batch(HEADER, text), dollars()).expect("known");
    let product = lay(None, read.products.into_iter().next().expect("one"), &mut ids()).product;
    assert!(product.options.is_empty() && product.variants[0].option_values.is_empty());
    let variant = &product.variants[0];
    assert_eq!(
        (variant.title.as_str(), variant.stock.tracked, variant.requires_shipping),
        ("Default", false, false)
    );
    assert_eq!(product.media.len(), 2);
    assert_eq!(product.media[0].alt, "Front");
}

#[test]
fn a_changed_file_changes_variants_and_keeps_what_it_does_not_speak_of() {
    let file = |price: &str, quantity: &str| {
        let text = format!(
            "mug,Mug,,,,,true,Color,Red,,,MUG-R,300,shopify,{quantity},deny,{price},,true,true,,https://x.example/r.jpg,,\n"
        );
        read(&batch(HEADER, &text), dollars())
            .expect("known")
            .products
            .remove(0)
    };
    let mut new_id = ids();
    let mut stored = lay(None, file("10.00", "5"), &mut new_id).product;
    stored.categories.push("cat_kitchen".to_owned());
    stored.variants[0].prices.push(crate::model::Price {
        currency: "IDR".parse().expect("a code"),
        amount: 150_000,
        compare_at: None,
    });
    let after = lay(Some(&stored), file("12.50", "3"), &mut new_id);
    assert_eq!(after.product.variants.len(), 1);
    assert_eq!(after.product.variants[0].id, stored.variants[0].id);
    assert_eq!(
        after.product.variants[0]
            .prices
            .iter()
            .map(|price| price.amount)
            .collect::<Vec<_>>(),
        [1_250, 150_000]
    );
    assert_eq!(after.recounted, [(stored.variants[0].id.clone(), -2)]);
    assert_eq!(after.product.categories, stored.categories);
}

#[test]
fn a_script_in_an_imported_description_never_reaches_a_shopper() {
    let text = "a,A,<p onclick=evil()>x<script>evil()</script></p>,,,,true,Title,Default Title,,,A,1,,1,deny,1.00,,true,true,,javascript:evil(),,\n";
    let read = read(&batch(HEADER, text), dollars()).expect("known");
    let product = lay(None, read.products.into_iter().next().expect("one"), &mut ids()).product;
    assert_eq!(product.description_html, "<p>x</p>");
    assert!(product.media.is_empty());
}

#[test]
fn newer_exports_name_their_columns_otherwise() {
    let header = "\u{feff}URL handle,Title,Description,Status,Published on online store,SKU,Price,Compare-at price,Inventory quantity,\
                  Continue selling when out of stock,Weight value (grams),Product image URL,Option1 name,Option1 value";
    let text = "tee,Tee,<p>Soft</p>,Active,FALSE,TEE-S,19.90,,7,TRUE,180.5,https://x.example/t.jpg,Size,S\n";
    let read = read(&batch(header, text), dollars()).expect("known");
    let product = &read.products[0];
    assert_eq!(product.head.as_ref().map(|head| head.status), Some(Status::Draft));
    let variant = &product.variants[0];
    assert_eq!(
        (variant.amount, variant.on_hand, variant.policy, variant.weight_g),
        (1_990, 7, Policy::Continue, 181)
    );
}

#[test]
fn a_file_of_another_kind_is_refused_as_a_whole() {
    assert!(read(&batch("Name,Email", "a,b\n"), dollars()).is_err());
}

#[test]
fn fields_that_no_index_can_hold_cost_their_row_and_not_the_import() {
    let (sku, tag) = ("s".repeat(3_000), "t".repeat(3_000));
    let text = format!(
        "tee,Tee,,,,\"soft,{tag}\",true,Color,Red,,,{sku},1,shopify,1,deny,10.00,,true,true,,,,\n\
         tee,,,,,,,,Blue,,,T-2,1,shopify,1,deny,10.00,,true,true,,,,\n"
    );
    let read = read(&batch(HEADER, &text), dollars()).expect("it is an export");
    let messages: Vec<_> = messages(&read);
    assert_eq!(
        messages,
        [
            (2, "tag is longer than 100 characters"),
            (2, "SKU is longer than 255 bytes")
        ]
    );
    assert_eq!(read.products[0].variants.len(), 1);
    assert_eq!(read.products[0].head.as_ref().expect("a title").tags, ["soft"]);
}
