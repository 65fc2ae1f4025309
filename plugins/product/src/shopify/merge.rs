//! What a file says about a product, laid over what the store has.
//!
//! Importing again finds the product by its handle and a variant by its option values, or else by its SKU within the
//! product. What the file does not speak of stays: other currencies, categories, extensions, variants made by hand.

use std::collections::BTreeMap;

use commerce_sdk::import::RowError;
use commerce_sdk::timestamp::Timestamp;
use serde_json::Map;

use super::{Head, Imported, ImportedVariant, PricedIn};
use crate::input::MOST_VARIANTS;
use crate::model::{Media, Price, Product, ProductOption, Status, Stock, Variant, same_options, variant_title};
use crate::{html, slug};

pub struct Merged {
    pub product: Product,
    /// Variant id and difference, where the file counts other than the store does.
    pub recounted: Vec<(String, i64)>,
}

/// The slug that a handle becomes.
pub fn slug_of(handle: &str) -> String {
    let lower = handle.to_lowercase();
    if slug::is_valid(&lower) {
        lower
    } else {
        slug::from_title(handle)
    }
}

/// Lays it over `existing`, the product of its handle, or makes a new one.
pub fn merge(
    existing: Option<&Product>,
    imported: Imported,
    priced_in: PricedIn,
    now: Timestamp,
    new_id: &mut dyn FnMut(&'static str) -> String,
) -> Result<Merged, RowError> {
    let line = imported.line;
    let refuse = |message: &str| RowError {
        line,
        message: message.to_owned(),
    };
    let mut product = match (existing, &imported.head) {
        (Some(existing), _) => existing.clone(),
        (None, Some(_)) if imported.variants.is_empty() => return Err(refuse("has no variant that can be imported")),
        (None, Some(_)) => blank(&imported.handle, now, new_id),
        (None, None) => return Err(refuse("has no title, and no product of this handle came before")),
    };
    if let Some(head) = imported.head {
        lay_head(&mut product, head, imported.digest);
    }
    let mut images = Vec::with_capacity(imported.images.len());
    for image in imported.images {
        let known = product.media.iter().find(|media| media.url == image.url);
        let id = known.map_or_else(|| new_id("img"), |media| media.id.clone());
        images.push(Media {
            id,
            url: image.url,
            alt: image.alt,
        });
    }
    product
        .media
        .retain(|media| images.iter().all(|image| image.url != media.url));
    images.append(&mut product.media);
    product.media = images;

    let mut recounted = Vec::new();
    for variant in imported.variants {
        match find(&product, &variant) {
            Some(at) => {
                let known = &mut product.variants[at];
                let difference = variant.on_hand - known.stock.on_hand;
                if difference != 0 {
                    recounted.push((known.id.clone(), difference));
                }
                lay_variant(known, variant, priced_in);
            }
            None => {
                let position = product
                    .variants
                    .iter()
                    .map(|variant| variant.position + 1)
                    .max()
                    .unwrap_or(0);
                product
                    .variants
                    .push(new_variant(variant, position, priced_in, now, new_id));
            }
        }
    }
    if product.variants.len() > MOST_VARIANTS {
        return Err(refuse("has more variants than a product can have"));
    }
    if product
        .variants
        .iter()
        .any(|variant| variant.option_values.len() != product.options.len())
    {
        return Err(refuse("has other options than the variants this product has already"));
    }
    product.collect_option_values();
    product.updated_at = now;
    Ok(Merged { product, recounted })
}

/// Gives each SKU to one variant: the one that has it in the store, or else the first of these products.
pub fn claim_skus(products: &mut [Product], owners: &BTreeMap<String, String>) {
    let mut owners = owners.clone();
    for variant in products.iter_mut().flat_map(|product| &mut product.variants) {
        let Some(sku) = &variant.sku else { continue };
        let owner = owners.entry(sku.clone()).or_insert_with(|| variant.id.clone());
        variant.owns_sku = *owner == variant.id;
    }
}

fn blank(handle: &str, now: Timestamp, new_id: &mut dyn FnMut(&'static str) -> String) -> Product {
    Product {
        id: new_id("prod"),
        slug: slug_of(handle),
        title: String::new(),
        description_html: String::new(),
        vendor: String::new(),
        product_type: String::new(),
        status: Status::Draft,
        seo_title: None,
        seo_description: None,
        options: Vec::new(),
        media: Vec::new(),
        tags: Vec::new(),
        categories: Vec::new(),
        variants: Vec::new(),
        extensions: Map::new(),
        import_digest: None,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

fn lay_head(product: &mut Product, head: Head, digest: String) {
    product.title = head.title;
    product.description_html = html::sanitize(&head.description_html);
    product.vendor = head.vendor;
    product.product_type = head.product_type;
    product.tags = head.tags;
    product.status = head.status;
    product.options = head
        .option_names
        .into_iter()
        .map(|name| ProductOption {
            name,
            values: Vec::new(),
        })
        .collect();
    product.seo_title = head.seo_title;
    product.seo_description = head.seo_description;
    product.import_digest = Some(digest);
}

fn find(product: &Product, variant: &ImportedVariant) -> Option<usize> {
    let sole = variant.option_values.is_empty() && product.variants.len() == 1;
    let by_options = || {
        product.variants.iter().position(|known| {
            !known.option_values.is_empty() && same_options(&known.option_values, &variant.option_values)
        })
    };
    let by_sku = || {
        // Only where it says which: with options, one SKU may stand on several rows of a product.
        let other_options = |known: &Variant| known.option_values.len() != variant.option_values.len();
        product
            .variants
            .iter()
            .position(|known| other_options(known) && known.sku.is_some() && known.sku == variant.sku)
    };
    if sole { Some(0) } else { by_options().or_else(by_sku) }
}

fn lay_variant(known: &mut Variant, variant: ImportedVariant, priced_in: PricedIn) {
    let price = Price {
        currency: priced_in.currency,
        amount: variant.amount,
        compare_at: variant.compare_at,
    };
    match known
        .prices
        .iter_mut()
        .find(|known| known.currency == priced_in.currency)
    {
        Some(known) => *known = price,
        None => known.prices.push(price),
    }
    if known.sku != variant.sku {
        known.owns_sku = true;
    }
    known.title = variant_title(&variant.option_values);
    known.option_values = variant.option_values;
    known.sku = variant.sku;
    known.barcode = variant.barcode;
    known.weight_g = variant.weight_g;
    known.requires_shipping = variant.requires_shipping;
    known.taxable = variant.taxable;
    known.image_url = variant.image_url;
    known.stock.tracked = variant.tracked;
    known.stock.policy = variant.policy;
}

fn new_variant(
    variant: ImportedVariant,
    position: i64,
    priced_in: PricedIn,
    now: Timestamp,
    new_id: &mut dyn FnMut(&'static str) -> String,
) -> Variant {
    Variant {
        id: new_id("var"),
        position,
        title: variant_title(&variant.option_values),
        sku: variant.sku,
        owns_sku: true,
        option_values: variant.option_values,
        barcode: variant.barcode,
        weight_g: variant.weight_g,
        size: None,
        requires_shipping: variant.requires_shipping,
        taxable: variant.taxable,
        tax_category: "standard".to_owned(),
        image_url: variant.image_url,
        prices: vec![Price {
            currency: priced_in.currency,
            amount: variant.amount,
            compare_at: variant.compare_at,
        }],
        stock: Stock {
            tracked: variant.tracked,
            policy: variant.policy,
            on_hand: variant.on_hand,
            reserved: 0,
        },
        extensions: Map::new(),
        created_at: now,
    }
}
