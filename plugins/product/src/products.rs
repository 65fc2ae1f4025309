//! Products and variants: read by everybody, written by staff.
//!
//! A write locks the product, reads it whole, changes the value and saves it: see [`crate::load::locked`] and
//! [`crate::save`]. Where the client says which version it saw (`If-Match`), a newer one is a 412.

use std::collections::BTreeSet;

use commerce_sdk::prelude::*;
use commerce_sdk::store::Store;

use crate::answers::{ProductAnswer, VariantAnswer};
use crate::input::{Maker, ProductInput, ProductPatch, VariantInput, VariantPatch};
use crate::model::{Product, Status};
use crate::save::{Change, Origin, save};
use crate::stock::Kind;
use crate::{announce, categories, load, slug};

/// How long an answer is kept where no change drops it before.
pub const KEEP_S: u32 = 60;

/// A product by its id or slug
#[get("/api/products/{product}", access = public, cacheable, operation = "show", problems(404 = "unknown_product"))]
pub fn show(Path(name): Path<String>) -> Result<With<Json<ProductAnswer>>, Problem> {
    let product = load::by_id_or_slug(&name)?
        .filter(|product| product.status == Status::Active)
        .ok_or_else(unknown_product)?;
    let home = store()?.currency;
    let tag = announce::tag(&product.id);
    let answer = ProductAnswer::new(product, home);
    let etag = answer.etag();
    Ok(Json(answer)
        .with_header("etag", etag)
        .cached(KEEP_S, &[&tag, announce::PRODUCTS]))
}

/// A product in any state, for staff
#[get("/api/staff/products/{product}", access = staff("product.read"), operation = "show_for_staff", problems(404 = "unknown_product"))]
pub fn show_for_staff(Path(name): Path<String>) -> Result<With<Json<ProductAnswer>>, Problem> {
    let product = load::by_id_or_slug(&name)?.ok_or_else(unknown_product)?;
    let answer = ProductAnswer::new(product, store()?.currency);
    let etag = answer.etag();
    Ok(Json(answer).with_header("etag", etag))
}

/// Makes a product
#[post("/api/products", access = staff("product.write"), operation = "create",
    problems(409 = "slug_taken", 409 = "sku_taken", 422 = "unknown_category"), body_kib = 2_048)]
pub fn create(cx: &Context, Json(input): Json<ProductInput>) -> Result<With<Created<ProductAnswer>>, Problem> {
    let store = store()?;
    let chosen_slug = input.slug.is_some();
    let mut product = making(&store, |maker| Ok(maker.product(input)))?;
    product.categories = categories::resolve(&product.categories)?;
    if !chosen_slug {
        product.slug = free_slug(&product.slug)?;
    }
    let id = product.id.clone();
    save_one(cx, &store, None, product)?;
    let body = answer(&id, &store)?;
    let etag = body.etag();
    Ok(Created {
        location: format!("/api/products/{id}"),
        body,
    }
    .with_header("etag", etag))
}

/// Changes a product
#[patch("/api/products/{product}", access = staff("product.write"), operation = "change", headers("if-match"),
    problems(404 = "unknown_product", 409 = "slug_taken", 412 = "version_changed", 422 = "unknown_category"), body_kib = 2_048)]
pub fn change(
    cx: &Context,
    Path(id): Path<String>,
    Json(patch): Json<ProductPatch>,
) -> Result<With<Json<ProductAnswer>>, Problem> {
    let store = store()?;
    let before = load::locked(&id)?.ok_or_else(unknown_product)?;
    expect_version(cx, &before)?;
    let after = making(&store, |maker| {
        let mut after = before.clone();
        maker.patch_product(&mut after, patch);
        Ok(after)
    })?;
    let after = Product {
        categories: categories::resolve(&after.categories)?,
        ..after
    };
    if after != before {
        save_one(cx, &store, Some(before), after)?;
    }
    with_etag(answer(&id, &store)?)
}

/// Deletes a product with its variants
#[delete("/api/products/{product}", access = staff("product.write"), operation = "remove", headers("if-match"),
    problems(404 = "unknown_product", 409 = "stock_reserved", 412 = "version_changed"))]
pub fn remove(cx: &Context, Path(id): Path<String>) -> Result<NoContent, Problem> {
    let product = load::locked(&id)?.ok_or_else(unknown_product)?;
    expect_version(cx, &product)?;
    refuse_reserved(product.variants.iter().map(|variant| variant.id.as_str()))?;
    sql!("delete from products where id = $1", id).execute()?;
    announce::product_deleted(&id)?;
    Ok(NoContent)
}

/// Adds a variant to a product
#[post("/api/products/{product}/variants", access = staff("product.write"), operation = "add_variant",
    problems(404 = "unknown_product", 409 = "sku_taken", 409 = "options_taken"))]
pub fn add_variant(
    cx: &Context,
    Path(id): Path<String>,
    Json(input): Json<VariantInput>,
) -> Result<Created<VariantAnswer>, Problem> {
    let store = store()?;
    let before = load::locked(&id)?.ok_or_else(unknown_product)?;
    let after = making(&store, |maker| {
        let mut after = before.clone();
        let variant = maker.variant("", input, &after);
        after.variants.push(variant);
        after.collect_option_values();
        Ok(after)
    })?;
    let variant = after
        .variants
        .last()
        .map(|variant| variant.id.clone())
        .unwrap_or_default();
    save_one(cx, &store, Some(before), after)?;
    let body = variant_answer(&id, &variant, &store)?;
    Ok(Created {
        location: format!("/api/variants/{}", body.id()),
        body,
    })
}

/// Changes a variant
#[patch("/api/variants/{variant}", access = staff("product.write"), operation = "change_variant", headers("if-match"),
    problems(404 = "unknown_variant", 409 = "sku_taken", 409 = "options_taken", 412 = "version_changed"))]
pub fn change_variant(
    cx: &Context,
    Path(id): Path<String>,
    Json(patch): Json<VariantPatch>,
) -> Result<Json<VariantAnswer>, Problem> {
    let store = store()?;
    let before = load::locked_by_variant(&id)?.ok_or_else(unknown_variant)?;
    expect_version(cx, &before)?;
    let at = before
        .variants
        .iter()
        .position(|variant| variant.id == id)
        .ok_or_else(unknown_variant)?;
    let after = making(&store, |maker| {
        let mut after = before.clone();
        maker.patch_variant(&mut after, at, patch);
        after.collect_option_values();
        Ok(after)
    })?;
    let product = before.id.clone();
    if after != before {
        save_one(cx, &store, Some(before), after)?;
    }
    Ok(Json(variant_answer(&product, &id, &store)?))
}

/// Deletes a variant
#[delete("/api/variants/{variant}", access = staff("product.write"), operation = "remove_variant",
    problems(404 = "unknown_variant", 409 = "stock_reserved"))]
pub fn remove_variant(cx: &Context, Path(id): Path<String>) -> Result<NoContent, Problem> {
    let store = store()?;
    let before = load::locked_by_variant(&id)?.ok_or_else(unknown_variant)?;
    refuse_reserved([id.as_str()])?;
    let mut after = before.clone();
    after.variants.retain(|variant| variant.id != id);
    after.collect_option_values();
    save_one(cx, &store, Some(before), after)?;
    Ok(NoContent)
}

pub fn unknown_product() -> Problem {
    Problem::not_found("unknown_product", "There is no such product.")
}

pub fn unknown_variant() -> Problem {
    Problem::not_found("unknown_variant", "There is no such variant.")
}

/// Who is written into the ledger.
pub fn actor(cx: &Context) -> String {
    let caller = cx.caller();
    caller
        .account()
        .or(caller.plugin())
        .unwrap_or(if caller.is_staff() { "key" } else { "system" })
        .to_owned()
}

/// Runs a step that checks input, with what it needs, and answers everything it found wrong.
pub fn making<T>(store: &Store, step: impl FnOnce(&mut Maker<'_>) -> Result<T, Problem>) -> Result<T, Problem> {
    let currencies: Vec<Currency> = store.currencies.iter().map(|facts| facts.code).collect();
    let mut new_id = |prefix: &'static str| ids::new(prefix);
    let mut maker = Maker::new(&currencies, clock::now(), &mut new_id);
    let made = step(&mut maker)?;
    maker.finish()?;
    Ok(made)
}

/// The slug, or with a number behind it where it is taken.
pub fn free_slug(wanted: &str) -> Result<String, Problem> {
    let taken = taken_slugs(slug::candidates(wanted))?;
    Ok(first_free(wanted, |slug| taken.contains(slug)))
}

/// Which of these slugs products have.
pub fn taken_slugs(slugs: impl Iterator<Item = String>) -> Result<BTreeSet<String>, Problem> {
    let slugs: Vec<String> = slugs.collect();
    if slugs.is_empty() {
        return Ok(BTreeSet::new());
    }
    let taken = sql!("select slug from products where slug = any($1)", JsonColumn(&slugs)).scalars::<String>()?;
    Ok(taken.into_iter().collect())
}

pub fn first_free(wanted: &str, is_taken: impl Fn(&str) -> bool) -> String {
    slug::candidates(wanted)
        .find(|slug| !is_taken(slug))
        .unwrap_or_else(|| {
            // Thirty of one title: any further one is told apart by chance.
            let id = ids::new("p");
            format!("{wanted}-{}", &id[id.len() - 8..])
        })
}

fn save_one(cx: &Context, store: &Store, before: Option<Product>, after: Product) -> Result<(), Problem> {
    let actor = actor(cx);
    let origin = Origin {
        actor: &actor,
        kind: Kind::Adjust,
        reason: "initial stock",
    };
    save(&[Change { before, after }], store.currency, &origin)
}

fn answer(id: &str, store: &Store) -> Result<ProductAnswer, Problem> {
    let product = load::by_id(id)?.ok_or_else(unknown_product)?;
    Ok(ProductAnswer::new(product, store.currency))
}

fn variant_answer(product: &str, variant: &str, store: &Store) -> Result<VariantAnswer, Problem> {
    answer(product, store)?.variant(variant).ok_or_else(unknown_variant)
}

fn with_etag(answer: ProductAnswer) -> Result<With<Json<ProductAnswer>>, Problem> {
    let etag = answer.etag();
    Ok(Json(answer).with_header("etag", etag))
}

/// Only the version counts for a write: that somebody bought one meanwhile is no conflict.
fn expect_version(cx: &Context, product: &Product) -> Result<(), Problem> {
    let Some(expected) = cx.header("if-match") else {
        return Ok(());
    };
    let matches = expected.split(',').map(str::trim).any(|tag| {
        let version = tag
            .trim_start_matches("W/")
            .trim_matches('"')
            .split('-')
            .next()
            .unwrap_or_default();
        tag == "*" || version.parse() == Ok(product.version)
    });
    if matches {
        Ok(())
    } else {
        Err(
            Problem::new(412, "version_changed", "The product has changed since: read it again.")
                .with("version", product.version),
        )
    }
}

/// Takes the locks that a checkout takes, so that nothing is reserved between the look and the deletion.
fn refuse_reserved<'a>(variants: impl IntoIterator<Item = &'a str>) -> Result<(), Problem> {
    let variants: Vec<&str> = variants.into_iter().collect();
    let reserved = sql!(
        "select reserved from stock where variant_id = any($1) order by variant_id for update",
        JsonColumn(&variants)
    )
    .scalars::<i64>()?;
    if reserved.iter().any(|reserved| *reserved > 0) {
        return Err(Problem::conflict(
            "stock_reserved",
            "Some of it is promised to checkouts: archive the product instead.",
        ));
    }
    Ok(())
}
