//! Many products at once, for those who keep their catalogue elsewhere: each is found by its slug, or else by a SKU, and
//! made where it is not there. What is wrong with one does not keep the others out.

use std::collections::{BTreeMap, BTreeSet};

use commerce_sdk::prelude::*;
use commerce_sdk::problem::Field;
use commerce_sdk::store::Store;

use crate::categories::Named;
use crate::importing::sku_owners;
use crate::input::{Maker, ProductInput, ProductPatch, VariantInput, VariantPatch};
use crate::load;
use crate::model::{Product, same_options};
use crate::products::{actor, first_free, taken_slugs};
use crate::save::{Change, Origin, save};
use crate::slug;
use crate::stock::{self, Kind};

#[derive(Deserialize, JsonSchema)]
pub struct BulkInput {
    #[schemars(length(min = 1, max = 500))]
    items: Vec<BulkProduct>,
}

#[derive(Deserialize, JsonSchema)]
pub struct BulkProduct {
    #[serde(flatten)]
    product: ProductPatch,
    #[serde(default)]
    #[schemars(length(max = 2_000))]
    variants: Vec<BulkVariant>,
}

#[derive(Deserialize, JsonSchema)]
pub struct BulkVariant {
    #[serde(flatten)]
    variant: VariantPatch,
    /// How many there are.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    stock: Option<i64>,
}

#[derive(Serialize, JsonSchema)]
pub struct BulkAnswer {
    created: usize,
    updated: usize,
    failed: usize,
    /// One for each item, in their order.
    items: Vec<BulkResult>,
}

#[derive(Serialize, JsonSchema)]
pub struct BulkResult {
    status: BulkStatus,
    /// Of the product.
    id: Option<String>,
    errors: Vec<BulkError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum BulkStatus {
    Created,
    Updated,
    Unchanged,
    Failed,
}

#[derive(Serialize, JsonSchema)]
pub struct BulkError {
    pointer: String,
    message: String,
}

/// What became of one item.
enum Outcome {
    Changed(usize),
    Unchanged(String),
    Failed(Vec<Field>),
}

/// Makes and changes many products
#[post("/api/products/bulk", access = staff("product.write"), operation = "upsert_many", body_kib = 8_192,
    problems(409 = "slug_taken", 409 = "sku_taken", 409 = "options_taken"))]
pub fn upsert(cx: &Context, Json(input): Json<BulkInput>) -> Result<Json<BulkAnswer>, Problem> {
    let store = store()?;
    let mut known = Known::find(&input.items)?;
    let (mut changes, mut recounted, mut outcomes): (Vec<Change>, Vec<(String, i64)>, Vec<Outcome>) =
        Default::default();
    for item in input.items {
        let before = known.product_of(&item).cloned();
        if let Some(before) = &before
            && !known.taken.insert(before.id.clone())
        {
            outcomes.push(Outcome::Failed(vec![wrong("", "is the same product as another item")]));
            continue;
        }
        let counted = recounted.len();
        outcomes.push(match lay(item, before.clone(), &store, &mut known, &mut recounted) {
            Err(errors) => Outcome::Failed(errors),
            Ok(after) if before.as_ref() == Some(&after) && recounted.len() == counted => Outcome::Unchanged(after.id),
            Ok(after) => {
                changes.push(Change { before, after });
                Outcome::Changed(changes.len() - 1)
            }
        });
    }
    let actor = actor(cx);
    let origin = Origin {
        actor: &actor,
        kind: Kind::Adjust,
        reason: "bulk",
    };
    save(&changes, store.currency, &origin)?;
    stock::recount(&recounted, &origin)?;
    Ok(Json(report(outcomes, &changes)))
}

/// What the store has of what the items name.
struct Known {
    products: Vec<Product>,
    /// Which product's variant owns a SKU.
    by_sku: BTreeMap<String, String>,
    sku_owners: BTreeMap<String, String>,
    /// Products that an item has already.
    taken: BTreeSet<String>,
    /// Of the items.
    slugs: BTreeSet<String>,
    /// Of the store, as far as titles of the items lead to them.
    taken_slugs: BTreeSet<String>,
    categories: Named,
}

impl Known {
    fn find(items: &[BulkProduct]) -> Result<Self, Problem> {
        let slugs: Vec<&str> = items.iter().filter_map(|item| item.product.slug.as_deref()).collect();
        let skus: Vec<&str> = items
            .iter()
            .flat_map(|item| item.variants.iter().filter_map(BulkVariant::sku))
            .collect();
        let by_sku: BTreeMap<String, String> = sql!(
            "select sku_key, product_id from variants where sku_key = any($1)",
            JsonColumn(skus)
        )
        .all::<(String, String)>()?
        .into_iter()
        .collect();
        let by_slug = sql!("select id from products where slug = any($1)", JsonColumn(slugs)).scalars::<String>()?;
        let ids: BTreeSet<String> = by_slug.into_iter().chain(by_sku.values().cloned()).collect();
        let ids: Vec<String> = ids.into_iter().collect();
        load::lock_all(&ids)?;
        let products = load::by_ids(&ids)?;
        let sku_owners = sku_owners(&products)?;
        let unnamed = items.iter().filter(|item| item.product.slug.is_none());
        let wanted: BTreeSet<String> = unnamed
            .filter_map(|item| item.product.title.as_deref().map(slug::from_title))
            .collect();
        let names = items.iter().filter_map(|item| item.product.categories.as_ref());
        Ok(Self {
            taken_slugs: taken_slugs(wanted.iter().flat_map(|slug| slug::candidates(slug)))?,
            categories: Named::find(names.flatten())?,
            products,
            by_sku,
            sku_owners,
            taken: BTreeSet::new(),
            slugs: BTreeSet::new(),
        })
    }

    fn product_of(&self, item: &BulkProduct) -> Option<&Product> {
        let by_slug = item
            .product
            .slug
            .as_deref()
            .and_then(|slug| self.products.iter().find(|product| product.slug == slug));
        by_slug.or_else(|| {
            let id = item
                .variants
                .iter()
                .filter_map(BulkVariant::sku)
                .find_map(|sku| self.by_sku.get(sku))?;
            self.products.iter().find(|product| product.id == *id)
        })
    }
}

impl BulkVariant {
    fn sku(&self) -> Option<&str> {
        match &self.variant.sku {
            Patch::Value(sku) => Some(sku.trim()),
            _ => None,
        }
    }
}

/// The product as the item wants it; or what is wrong with the item.
fn lay(
    item: BulkProduct,
    before: Option<Product>,
    store: &Store,
    known: &mut Known,
    recounted: &mut Vec<(String, i64)>,
) -> Result<Product, Vec<Field>> {
    let currencies: Vec<Currency> = store.currencies.iter().map(|facts| facts.code).collect();
    let mut new_id = |prefix: &'static str| ids::new(prefix);
    let mut maker = Maker::new(&currencies, clock::now(), &mut new_id);
    let is_new = before.is_none();
    let mut product = match before {
        Some(before) => before,
        None => maker.product(ProductInput {
            title: item.product.title.clone().unwrap_or_default(),
            slug: item.product.slug.clone(),
            options: item.product.options.clone().unwrap_or_default(),
            ..ProductInput::default()
        }),
    };
    let chosen_slug = item.product.slug.is_some();
    let names_categories = item.product.categories.is_some();
    maker.patch_product(&mut product, item.product);
    let mut counts = Vec::new();
    for (at, variant) in item.variants.into_iter().enumerate() {
        let earlier = maker.errors.len();
        lay_variant(&mut maker, &mut product, variant, &mut counts);
        for error in &mut maker.errors[earlier..] {
            error.pointer = format!("/variants/{at}{}", error.pointer);
        }
    }
    product.collect_option_values();
    let mut errors = maker.errors;
    if names_categories {
        match known.categories.resolve(&product.categories) {
            Ok(categories) => product.categories = categories,
            Err(problem) => errors.extend(problem.errors),
        }
    }
    if is_new && !chosen_slug {
        // Other items of this request may have the same title.
        let is_taken = |slug: &str| known.taken_slugs.contains(slug) || known.slugs.contains(slug);
        product.slug = first_free(&product.slug, is_taken);
    }
    if !known.slugs.insert(product.slug.clone()) {
        errors.push(wrong("/slug", "is that of another item"));
    }
    for variant in product.variants.iter().filter(|variant| variant.owns_sku) {
        let Some(sku) = &variant.sku else { continue };
        if *known
            .sku_owners
            .entry(sku.clone())
            .or_insert_with(|| variant.id.clone())
            != variant.id
        {
            errors.push(wrong(
                "/variants",
                format!("the SKU {sku:?} is that of another product"),
            ));
        }
    }
    if errors.is_empty() {
        recounted.append(&mut counts);
        Ok(product)
    } else {
        Err(errors)
    }
}

/// Over the variant of its SKU, or else of its option values; a new one where there is neither.
fn lay_variant(maker: &mut Maker<'_>, product: &mut Product, item: BulkVariant, counts: &mut Vec<(String, i64)>) {
    let by_sku = item.sku().and_then(|sku| {
        product
            .variants
            .iter()
            .position(|known| known.sku.as_deref() == Some(sku))
    });
    let same_values = |values: &Vec<String>| {
        product
            .variants
            .iter()
            .position(|known| !known.option_values.is_empty() && same_options(&known.option_values, values))
    };
    match by_sku.or_else(|| item.variant.option_values.as_ref().and_then(same_values)) {
        Some(at) => {
            let known = &product.variants[at];
            if let Some(difference) = item
                .stock
                .map(|count| count - known.stock.on_hand)
                .filter(|difference| *difference != 0)
            {
                counts.push((known.id.clone(), difference));
            }
            maker.patch_variant(product, at, item.variant);
        }
        None => {
            let input = VariantInput {
                option_values: item.variant.option_values.clone().unwrap_or_default(),
                stock: item.stock,
                ..VariantInput::default()
            };
            let variant = maker.variant("", input, product);
            product.variants.push(variant);
            let patch = VariantPatch {
                option_values: None,
                ..item.variant
            };
            maker.patch_variant(product, product.variants.len() - 1, patch);
        }
    }
}

fn report(outcomes: Vec<Outcome>, changes: &[Change]) -> BulkAnswer {
    let items: Vec<BulkResult> = outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Outcome::Changed(at) => {
                let status = if changes[at].before.is_none() {
                    BulkStatus::Created
                } else {
                    BulkStatus::Updated
                };
                BulkResult {
                    status,
                    id: Some(changes[at].after.id.clone()),
                    errors: Vec::new(),
                }
            }
            Outcome::Unchanged(id) => BulkResult {
                status: BulkStatus::Unchanged,
                id: Some(id),
                errors: Vec::new(),
            },
            Outcome::Failed(errors) => {
                let errors = errors.into_iter().map(|error| BulkError {
                    pointer: error.pointer,
                    message: error.message,
                });
                BulkResult {
                    status: BulkStatus::Failed,
                    id: None,
                    errors: errors.collect(),
                }
            }
        })
        .collect();
    let count = |status| items.iter().filter(|item| item.status == status).count();
    BulkAnswer {
        created: count(BulkStatus::Created),
        updated: count(BulkStatus::Updated),
        failed: count(BulkStatus::Failed),
        items,
    }
}

fn wrong(pointer: &str, message: impl Into<String>) -> Field {
    Field {
        pointer: pointer.to_owned(),
        message: message.into(),
    }
}
