use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::merge::Merged;
use super::*;
use crate::model::Product;
use commerce_sdk::import::RowError;
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
    said(&read.remarks.errors)
}

fn warnings(read: &Read) -> Vec<(u64, &str)> {
    said(&read.remarks.warnings)
}

fn said(remarks: &[RowError]) -> Vec<(u64, &str)> {
    remarks
        .iter()
        .map(|remark| (remark.line, remark.message.as_str()))
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
    assert_eq!((messages(&read), warnings(&read)), (vec![], vec![]));
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
    let mut lines = BTreeMap::new();
    let mut products: Vec<Product> = Vec::new();
    for product in read.products {
        let laid = lay(None, product, &mut new_id);
        lines.extend(laid.lines);
        products.push(laid.product);
    }
    let mut remarks = Remarks::default();
    claim_skus(&mut products, &BTreeMap::new(), &lines, &mut remarks);
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
    assert_eq!(
        (remarks.errors.len(), remarks.warnings.len()),
        (0, 1_121 - 3 - 1_077),
        "each other one is named"
    );
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
    let lines: Vec<u64> = messages(&read).into_iter().map(|(line, _)| line).collect();
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
    let warned: Vec<String> = warnings(&read)
        .into_iter()
        .map(|(_, message)| message.to_owned())
        .collect();
    let product = lay(None, read.products.into_iter().next().expect("one"), &mut ids()).product;
    assert_eq!(product.description_html, "<p>x</p>");
    assert!(product.media.is_empty());
    assert_eq!(
        warned,
        ["image \"javascript:evil()\" is no address of a picture and was left out"]
    );
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

const SIMPLE: &str = "Handle,Title,Option1 Name,Option1 Value,Variant SKU,Variant Price";

#[test]
fn each_row_of_a_product_that_is_not_imported_is_named_once() {
    let long = "L".repeat(256);
    let text = format!(
        "long,{long},Size,S,L-S,1.00\nlong,,,M,L-M,2.00\nlong,,,L,L-L,three\n\
         lost,,Size,S,X-S,1.00\nlost,,,M,X-M,1.00\n"
    );
    let mut read = read(&batch(SIMPLE, &text), dollars()).expect("known");
    assert_eq!(
        messages(&read),
        [
            (2, "has a title of more than 255 characters"),
            (3, "belongs to the product of line 2, which was not imported"),
            (4, "belongs to the product of line 2, which was not imported"),
        ]
    );
    let lost = read.products.remove(0);
    let lines = lost.lines.clone();
    let why = merge(None, lost, dollars(), Timestamp::from_micros(0), &mut ids())
        .err()
        .expect("it has no title");
    read.remarks.refuse(&lines, why);
    assert_eq!(
        messages(&read)[3..],
        [
            (5, "has no title, and no product of this handle came before"),
            (6, "belongs to the product of line 5, which was not imported"),
        ]
    );
}

#[test]
fn a_product_whose_only_row_is_wrong_has_one_error() {
    let mut read = read(&batch(SIMPLE, "mug,Mug,Title,Default Title,M,cheap\n"), dollars()).expect("known");
    let mug = read.products.remove(0);
    let lines = mug.lines.clone();
    let why = merge(None, mug, dollars(), Timestamp::from_micros(0), &mut ids())
        .err()
        .expect("no variant is left");
    read.remarks.refuse(&lines, why);
    assert_eq!(
        messages(&read),
        [(2, "price \"cheap\" is not a price such as 10.99 (USD)")]
    );
}

#[test]
fn images_come_in_the_order_of_their_positions() {
    let text = "mug,Mug,1.00,https://x.example/2.jpg,2\nmug,,,https://x.example/1.jpg,1\n\
                mug,,,https://x.example/last.jpg,\nmug,,,https://x.example/3.jpg,3\nmug,,,https://x.example/odd.jpg,first\n";
    let read = read(
        &batch("Handle,Title,Variant Price,Image Src,Image Position", text),
        dollars(),
    )
    .expect("known");
    let urls: Vec<&str> = read.products[0].images.iter().map(|image| &image.url[18..]).collect();
    assert_eq!(urls, ["1.jpg", "2.jpg", "3.jpg", "last.jpg", "odd.jpg"]);
    assert_eq!(
        warnings(&read),
        [(6, "image position \"first\" is not a number: the image comes last")]
    );
}

#[test]
fn images_of_a_later_run_come_behind_those_of_the_first() {
    let header = "Handle,Title,Variant Price,Image Src";
    let text = "mug,Mug,1.00,https://x.example/1.jpg\ncup,Cup,1.00,\nmug,,,https://x.example/2.jpg\n";
    let mut new_id = ids();
    let mut runs = read(&batch(header, text), dollars())
        .expect("known")
        .products
        .into_iter();
    let mug = lay(None, runs.next().expect("a mug"), &mut new_id).product;
    let mug = lay(Some(&mug), runs.nth(1).expect("more of it"), &mut new_id).product;
    let urls: Vec<&str> = mug.media.iter().map(|media| &media.url[18..]).collect();
    assert_eq!(urls, ["1.jpg", "2.jpg"]);
}

#[test]
fn what_is_not_understood_is_never_published_and_always_named() {
    let header = "Handle,Title,Variant Price,Status,Published,Variant Inventory Policy,Variant Taxable";
    let text = "a,A,1.00,weird,true,deny,true\nb,B,1.00,active,FALSCH,deny,true\nc,C,1.00,,WAHR,deny,VRAI\n\
                d,D,1.00,Unlisted,,later,no\ne,E,1.00,Active,TRUE,CONTINUE,0\n";
    let read = read(&batch(header, text), dollars()).expect("known");
    let states = read.products.iter().filter_map(|product| product.head.as_ref());
    let states: Vec<Status> = states.map(|head| head.status).collect();
    assert_eq!(
        states,
        [
            Status::Draft,
            Status::Draft,
            Status::Draft,
            Status::Draft,
            Status::Active
        ]
    );
    assert_eq!(
        warnings(&read),
        [
            (2, "status \"weird\" is unknown here: the product is a draft"),
            (
                3,
                "published \"FALSCH\" is neither true nor false: the product is a draft"
            ),
            (
                4,
                "published \"WAHR\" is neither true nor false: the product is a draft"
            ),
            (4, "taxable \"VRAI\" is neither true nor false, and was taken as true"),
            (5, "status \"Unlisted\" is unknown here: the product is a draft"),
            (
                5,
                "inventory policy \"later\" is unknown: nothing is sold that is not there"
            ),
        ]
    );
    let taxable: Vec<bool> = read
        .products
        .iter()
        .map(|product| product.variants[0].taxable)
        .collect();
    assert_eq!(taxable, [true, true, true, false, false]);
}

#[test]
fn texts_that_are_too_long_are_left_out_and_named() {
    let header = "Handle,Title,Variant Price,Vendor,Tags,Image Src,Image Alt Text,Variant Barcode,SEO Title";
    let (vendor, tag, alt, seo) = ("v".repeat(256), "t".repeat(101), "a".repeat(501), "s".repeat(256));
    let text = format!("a,A,1.00,{vendor},\"soft,{tag}\",https://x.example/a.jpg,{alt},8.85E+11,{seo}\n");
    let read = read(&batch(header, &text), dollars()).expect("known");
    assert_eq!(
        warnings(&read),
        [
            (2, "vendor is longer than 255 characters and was left out"),
            (2, "a tag is longer than 100 characters and was left out"),
            (2, "SEO title is longer than 255 characters and was left out"),
            (2, "image alt text is longer than 500 characters and was left out"),
            (
                2,
                "barcode \"8.85E+11\" has lost digits in a spreadsheet and was left out"
            ),
        ]
    );
    let product = &read.products[0];
    let head = product.head.as_ref().expect("a title");
    assert_eq!(
        (head.vendor.as_str(), head.tags.as_slice()),
        ("", ["soft".to_owned()].as_slice())
    );
    assert_eq!((product.images.len(), product.variants[0].barcode.as_ref()), (1, None));
}

#[test]
fn a_sku_that_an_index_cannot_hold_costs_its_row_and_not_the_import() {
    let text = format!("tee,Tee,Color,Red,{},1.00\ntee,,,Blue,T-2,1.00\n", "s".repeat(256));
    let read = read(&batch(SIMPLE, &text), dollars()).expect("known");
    assert_eq!(messages(&read), [(2, "SKU is longer than 255 bytes")]);
    assert_eq!(read.products[0].variants.len(), 1);
}

#[test]
fn a_handle_that_no_address_can_have_is_named_with_what_it_becomes() {
    let text = "UPPER Case/Handle,Upper,,,U,1.00\nMug,Mug,,,M,1.00\n日本,Tea,,,J,1.00\n!!,Odd,,,O,1.00\n";
    let read = read(&batch(SIMPLE, text), dollars()).expect("known");
    assert_eq!(
        warnings(&read),
        [(2, "the handle \"UPPER Case/Handle\" becomes \"upper-case-handle\"")]
    );
    assert_eq!(messages(&read), [(5, "has no handle")]);
}

#[test]
fn options_without_names_and_titles_in_later_rows_are_understood() {
    let text = "tee,,,S,T-S,1.00\ntee,Tee,,M,T-M,1.00\nhat,Hat,Title,Default Title,H-1,1.00\nhat,,,Large,H-2,1.00\n";
    let read = read(&batch(SIMPLE, text), dollars()).expect("known");
    assert_eq!(messages(&read), []);
    let options = read.products.iter().filter_map(|product| product.head.as_ref());
    let options: Vec<&str> = options
        .flat_map(|head| &head.option_names)
        .map(String::as_str)
        .collect();
    assert_eq!(options, ["Option 1", "Title"]);
    assert!(read.products.iter().all(|product| product.variants.len() == 2));
}

/// As the admin writes it today: columns of markets and metafields among those that are known, rows of images alone.
#[test]
fn columns_of_markets_and_metafields_disturb_nothing() {
    let header = "Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,Option1 Value,Option1 Linked To,\
        Variant SKU,Variant Grams,Variant Inventory Tracker,Variant Inventory Qty,Variant Inventory Policy,\
        Variant Fulfillment Service,Variant Price,Variant Compare At Price,Variant Requires Shipping,Variant Taxable,\
        Unit Price Total Measure,Variant Barcode,Image Src,Image Position,Image Alt Text,Gift Card,SEO Title,SEO Description,\
        Color (product.metafields.shopify.color-pattern),Variant Image,Variant Weight Unit,Variant Tax Code,Cost per item,\
        Included / United States,Price / United States,Compare At Price / United States,Included / International,\
        Price / International,Status";
    let text = "tee,Tee,\"<p>One</p>\r\n<p>two</p>\",Acme,Apparel > Shirts,Shirts,\"red, blue\",true,Size,S,,'TEE-S,200.0,shopify,5.0,\
        deny,manual,19.99,25.00,true,true,,'0123456789012,https://x.example/1.jpg?v=1,1,,false,,,red,,kg,,4.20,true,17.99,,true,21.00,active\n\
        tee,,,,,,,,,M,,TEE-M,210,shopify,0,continue,manual,19.99,,true,false,,,https://x.example/2.jpg,2,Back,,,,,,g,,,true,,,true,,\n\
        tee,,,,,,,,,,,,,,,,,,,,,,,https://x.example/3.jpg,3,,,,,,,,,,,,,,,\n";
    let read = read(&batch(header, text), dollars()).expect("known");
    assert_eq!((messages(&read), warnings(&read)), (vec![], vec![]));
    let tee = &read.products[0];
    let head = tee.head.as_ref().expect("a title");
    assert_eq!(
        (head.product_type.as_str(), head.tags.len(), head.status),
        ("Shirts", 2, Status::Active)
    );
    assert_eq!((tee.variants.len(), tee.images.len()), (2, 3));
    let small = &tee.variants[0];
    assert_eq!(
        (small.amount, small.compare_at, small.on_hand, small.weight_g),
        (1_999, Some(2_500), 5, 200)
    );
    assert_eq!(
        (small.sku.as_deref(), small.barcode.as_deref()),
        (Some("TEE-S"), Some("0123456789012"))
    );
}
