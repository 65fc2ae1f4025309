//! Tells others what changed: events for plugins, and the tags of the answers that are stale now.
//!
//! Both take effect when, and only if, the change commits.

use std::collections::BTreeSet;

use commerce_sdk::prelude::*;

/// Bears every listing.
pub const LISTINGS: &str = "products";
/// Bears every answer with categories.
pub const CATEGORIES: &str = "categories";
/// Beyond so many, all answers with a product are dropped: one call names at most a hundred tags.
const MOST_NAMED: usize = 90;
/// Bears every answer with one product.
pub const PRODUCTS: &str = "product";

pub fn tag(product: &str) -> String {
    format!("product:{product}")
}

/// A product was made, changed or deleted.
#[derive(Serialize, JsonSchema)]
pub struct ProductChanged {
    pub product_id: String,
    pub deleted: bool,
}

/// How many of a variant can be sold has changed.
#[derive(Serialize, JsonSchema)]
pub struct StockChanged {
    pub variant_id: String,
    pub product_id: String,
    pub available: i64,
}

pub fn products_changed<'a>(products: impl IntoIterator<Item = &'a str>) -> Result<(), Problem> {
    let products: BTreeSet<&str> = products.into_iter().collect();
    for product in &products {
        events::publish(
            "changed",
            product,
            &ProductChanged {
                product_id: (*product).to_owned(),
                deleted: false,
            },
        )?;
    }
    invalidate(products)
}

pub fn product_deleted(product: &str) -> Result<(), Problem> {
    events::publish(
        "changed",
        product,
        &ProductChanged {
            product_id: product.to_owned(),
            deleted: true,
        },
    )?;
    invalidate(BTreeSet::from([product]))
}

pub fn stock_changed(changes: &[StockChanged]) -> Result<(), Problem> {
    for change in changes {
        events::publish("stock_changed", &change.variant_id, change)?;
    }
    if changes.is_empty() {
        Ok(())
    } else {
        invalidate(changes.iter().map(|change| change.product_id.as_str()).collect())
    }
}

pub fn categories_changed() -> Result<(), Problem> {
    cache::invalidate(&[CATEGORIES, LISTINGS])
}

fn invalidate(products: BTreeSet<&str>) -> Result<(), Problem> {
    let mut tags = vec![LISTINGS.to_owned()];
    if products.len() > MOST_NAMED {
        tags.push(PRODUCTS.to_owned());
    } else {
        tags.extend(products.into_iter().map(tag));
    }
    cache::invalidate(&tags)
}
