//! `commerce import products --format shopify FILE`: lays a file's products over the store's.

use std::collections::{BTreeMap, BTreeSet};

use commerce_sdk::import::{Batch, Report};
use commerce_sdk::money::Currency;
use commerce_sdk::prelude::*;
use commerce_sdk::store::Store;

use crate::load;
use crate::model::Product;
use crate::save::{Change, Origin, save};
use crate::shopify::{self, Imported, PricedIn, Remarks};
use crate::stock::{self, Kind};

/// Reads a piece of a Shopify product export
///
/// The option `currency` says what its prices are in; the store's own where it is absent.
#[function]
pub fn import_shopify(batch: Batch) -> Result<Report, Problem> {
    let store = store()?;
    let priced_in = priced_in(&batch, &store)?;
    let read = shopify::read(&batch, priced_in).map_err(|why| Problem::unprocessable("invalid_file", why))?;
    let existing = existing(&read.products)?;
    let mut import = Import {
        existing: &existing,
        merged: Vec::with_capacity(read.products.len()),
        unchanged: BTreeSet::new(),
        lines: BTreeMap::new(),
        recounted: Vec::new(),
        remarks: read.remarks,
    };
    let now = clock::now();
    for product in read.products {
        import.lay(product, priced_in, now);
    }
    let Import {
        mut merged,
        lines,
        recounted,
        unchanged,
        mut remarks,
        ..
    } = import;
    let owners = sku_owners(&merged)?;
    shopify::claim_skus(&mut merged, &owners, &lines, &mut remarks);

    let mut report = Report {
        consumed: read.consumed,
        ..Report::default()
    };
    let mut changes = Vec::with_capacity(merged.len());
    for after in merged {
        let before = existing.get(&after.slug).cloned();
        match &before {
            Some(before) if is_same(before, &after, &recounted) => {
                report.unchanged += 1;
                continue;
            }
            Some(_) => report.updated += 1,
            None => report.created += 1,
        }
        changes.push(Change { before, after });
    }
    report.unchanged += unchanged.len();
    let origin = Origin {
        actor: "import",
        kind: Kind::Import,
        reason: "shopify",
    };
    save(&changes, store.currency, &origin)?;
    stock::recount(&recounted, &origin)?;
    report.errors = remarks.errors;
    report.warnings = remarks.warnings;
    Ok(report)
}

/// What becomes of the products of one piece of a file.
struct Import<'a> {
    /// What the store has, by slug.
    existing: &'a BTreeMap<String, Product>,
    merged: Vec<Product>,
    /// Slugs of products that the file has nothing new of.
    unchanged: BTreeSet<String>,
    /// The line of each variant, by its id.
    lines: BTreeMap<String, u64>,
    recounted: Vec<(String, i64)>,
    remarks: Remarks,
}

impl Import<'_> {
    /// One product may come in two runs of rows: the second is laid over what the first made.
    fn lay(&mut self, product: Imported, priced_in: PricedIn, now: Timestamp) {
        let slug = shopify::slug_of(&product.handle);
        let known = self.merged.iter().position(|known| known.slug == slug);
        let before = known.map(|at| &self.merged[at]).or_else(|| self.existing.get(&slug));
        let is_read_before = before.is_some_and(|before| before.import_digest.as_ref() == Some(&product.digest));
        if product.head.is_some() && is_read_before {
            if known.is_none() {
                self.unchanged.insert(slug);
            }
            return;
        }
        let rows = product.lines.clone();
        let laid = match shopify::merge(before, product, priced_in, now, &mut |prefix| ids::new(prefix)) {
            Ok(laid) => laid,
            Err(why) => return self.remarks.refuse(&rows, why),
        };
        // A variant that this import makes gets its count when it is saved.
        let stored = |variant: &str| {
            let product = self.existing.get(&slug);
            product.is_some_and(|product| product.variants.iter().any(|known| known.id == variant))
        };
        self.recounted
            .extend(laid.recounted.into_iter().filter(|(variant, _)| stored(variant)));
        self.lines.extend(laid.lines);
        match known {
            Some(at) => self.merged[at] = laid.product,
            None => self.merged.push(laid.product),
        }
        self.unchanged.remove(&slug);
    }
}

fn is_same(before: &Product, after: &Product, recounted: &[(String, i64)]) -> bool {
    let touched = Product {
        updated_at: after.updated_at,
        ..before.clone()
    };
    touched == *after
        && before
            .variants
            .iter()
            .all(|variant| recounted.iter().all(|(id, _)| *id != variant.id))
}

fn priced_in(batch: &Batch, store: &Store) -> Result<PricedIn, Problem> {
    let currency: Currency = match batch.option("currency") {
        None => store.currency,
        Some(code) => code.parse().map_err(|_| {
            Problem::unprocessable(
                "unknown_currency",
                format!("{code:?} is not the code of a currency, such as USD."),
            )
        })?,
    };
    let exponent = store.exponent(currency).ok_or_else(|| {
        Problem::unprocessable(
            "unknown_currency",
            format!("{currency} is not a currency of this store."),
        )
    })?;
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
