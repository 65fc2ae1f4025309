//! `commerce import products --format shopify FILE`: lays a file's products over the store's.

use std::collections::BTreeMap;

use commerce_sdk::import::{Batch, Report, RowError};
use commerce_sdk::prelude::*;
use commerce_sdk::store::Store;

use crate::load;
use crate::model::Product;
use crate::prices::usual_exponent;
use crate::save::{Change, Origin, save};
use crate::shopify::{self, PricedIn};
use crate::stock::{self, Kind};

/// Reads a piece of a Shopify product export
///
/// The option `currency` says what its prices are in; the store's own where it is absent.
#[function]
pub fn import_shopify(batch: Batch) -> Result<Report, Problem> {
    let store = store()?;
    let priced_in = priced_in(&batch, &store)?;
    let read = shopify::read(&batch, priced_in).map_err(|why| Problem::unprocessable("invalid_file", why))?;
    let mut report = Report {
        consumed: read.consumed,
        errors: read.errors,
        ..Report::default()
    };
    let existing = existing(&read.products)?;
    let now = clock::now();
    let mut new_id = |prefix: &'static str| ids::new(prefix);

    // One product may come in two runs of rows: the second is laid over what the first made.
    let mut merged: Vec<Product> = Vec::with_capacity(read.products.len());
    let mut recounted = Vec::new();
    for product in read.products {
        let slug = shopify::slug_of(&product.handle);
        let known = merged.iter().position(|known| known.slug == slug);
        let before = known.map(|at| &merged[at]).or_else(|| existing.get(&slug));
        if product.head.is_some() && before.is_some_and(|before| before.import_digest.as_ref() == Some(&product.digest))
        {
            report.unchanged += 1;
            continue;
        }
        match shopify::merge(before, product, priced_in, now, &mut new_id) {
            Ok(laid) => {
                recounted.extend(
                    laid.recounted
                        .into_iter()
                        .filter(|(variant, _)| is_stored(&existing, &slug, variant)),
                );
                match known {
                    Some(at) => merged[at] = laid.product,
                    None => merged.push(laid.product),
                }
            }
            Err(error) => report.errors.push(error),
        }
    }
    let owners = sku_owners(&merged)?;
    shopify::claim_skus(&mut merged, &owners);

    let mut changes = Vec::with_capacity(merged.len());
    for after in merged {
        let before = existing.get(&after.slug).cloned();
        match before {
            Some(_) => report.updated += 1,
            None => report.created += 1,
        }
        changes.push(Change { before, after });
    }
    let origin = Origin {
        actor: "import",
        kind: Kind::Import,
        reason: "shopify",
    };
    save(&changes, store.currency, &origin)?;
    stock::recount(&recounted, &origin)?;
    report.errors.sort_by_key(|error: &RowError| error.line);
    Ok(report)
}

fn priced_in(batch: &Batch, store: &Store) -> Result<PricedIn, Problem> {
    let currency = match batch.option("currency") {
        None => store.currency,
        Some(code) => code.parse().map_err(|_| {
            Problem::unprocessable(
                "unknown_currency",
                format!("{code:?} is not the code of a currency, such as USD."),
            )
        })?,
    };
    let exponent = store
        .exponent(currency)
        .unwrap_or_else(|| usual_exponent(currency.as_str()));
    Ok(PricedIn { currency, exponent })
}

/// The products of these handles, locked and by slug.
fn existing(products: &[shopify::Imported]) -> Result<BTreeMap<String, Product>, Problem> {
    let slugs: Vec<String> = products
        .iter()
        .map(|product| shopify::slug_of(&product.handle))
        .collect();
    let ids = sql!("select id from products where slug = any($1)", JsonColumn(&slugs)).scalars::<String>()?;
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    load::lock_all(&ids)?;
    Ok(load::by_ids(&ids)?
        .into_iter()
        .map(|product| (product.slug.clone(), product))
        .collect())
}

/// Which variant owns each SKU that these products name.
pub fn sku_owners(products: &[Product]) -> Result<BTreeMap<String, String>, Problem> {
    let variants = products.iter().flat_map(|product| &product.variants);
    let skus: Vec<&str> = variants.filter_map(|variant| variant.sku.as_deref()).collect();
    if skus.is_empty() {
        return Ok(BTreeMap::new());
    }
    let owners = sql!(
        "select sku_key, id from variants where sku_key = any($1)",
        JsonColumn(skus)
    )
    .all::<(String, String)>()?;
    Ok(owners.into_iter().collect())
}

/// A variant that this import makes gets its count when it is saved.
fn is_stored(existing: &BTreeMap<String, Product>, slug: &str, variant: &str) -> bool {
    existing
        .get(slug)
        .is_some_and(|product| product.variants.iter().any(|known| known.id == variant))
}
