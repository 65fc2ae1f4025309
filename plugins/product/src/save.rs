//! Writes products whole, one or a thousand with the same few statements, and derives what listings walk.
//!
//! Who changes a product holds its lock ([`crate::load::locked`]), so `before` is what the tables have. What did not
//! change is not written. How many of a variant there are is set here once, when it is new, with its ledger row; from
//! then on only [`crate::stock`] changes it. Extensions are never written here: they belong to other plugins.

use std::collections::BTreeSet;

use commerce_sdk::money::Currency;
use commerce_sdk::prelude::*;

use crate::model::{Product, Variant};
use crate::{announce, shelves, stock, terms};

pub struct Change {
    /// None for a new product.
    pub before: Option<Product>,
    pub after: Product,
}

/// What goes into the ledger with the stock of new variants.
pub struct Origin<'a> {
    pub actor: &'a str,
    pub kind: stock::Kind,
    pub reason: &'a str,
}

pub fn save(changes: &[Change], home: Currency, origin: &Origin<'_>) -> Result<(), Problem> {
    if changes.is_empty() {
        return Ok(());
    }
    let now = clock::now();
    products(changes, now)?;
    variants(changes, home, now)?;
    prices(changes)?;
    stock_rows(changes, origin, now)?;
    tags(changes)?;
    categories(changes)?;
    search_terms(changes)?;
    let ids: Vec<&str> = changes.iter().map(|change| change.after.id.as_str()).collect();
    let known = changes.iter().filter(|change| change.before.is_some());
    let known: Vec<&str> = known.map(|change| change.after.id.as_str()).collect();
    if !known.is_empty() {
        shelves::clear(&known)?;
    }
    shelves::fill(&ids, home)?;
    announce::products_changed(ids)
}

#[derive(Serialize)]
struct ProductRow<'a> {
    id: &'a str,
    slug: &'a str,
    title: &'a str,
    title_key: String,
    description_html: &'a str,
    vendor: &'a str,
    product_type: &'a str,
    status: &'a str,
    seo_title: Option<&'a str>,
    seo_description: Option<&'a str>,
    options: &'a [crate::model::ProductOption],
    media: &'a [crate::model::Media],
    image_url: Option<&'a str>,
    image_alt: Option<&'a str>,
    import_digest: Option<&'a str>,
    at: Timestamp,
}

fn products(changes: &[Change], now: Timestamp) -> Result<(), Problem> {
    let rows: Vec<ProductRow<'_>> = changes.iter().map(|change| product_row(&change.after, now)).collect();
    let slug_taken = || Problem::conflict("slug_taken", "Another product has this slug.").field("/slug", "is taken");
    sql!(
        "insert into products (id, slug, title, title_key, description_html, vendor, product_type, status, seo_title, seo_description,
            options, media, image_url, image_alt, import_digest, created_at, updated_at)
         select r.id, r.slug, r.title, r.title_key, r.description_html, r.vendor, r.product_type, r.status, r.seo_title, r.seo_description,
            r.options, r.media, r.image_url, r.image_alt, r.import_digest, r.at, r.at
         from json_rows($1) as r(id text, slug text, title text, title_key text, description_html text, vendor text, product_type text,
            status text, seo_title text, seo_description text, options jsonb, media jsonb, image_url text, image_alt text,
            import_digest text, at timestamptz)
         on conflict (id) do update set slug = excluded.slug, title = excluded.title, title_key = excluded.title_key,
            description_html = excluded.description_html, vendor = excluded.vendor, product_type = excluded.product_type,
            status = excluded.status, seo_title = excluded.seo_title, seo_description = excluded.seo_description,
            options = excluded.options, media = excluded.media, image_url = excluded.image_url, image_alt = excluded.image_alt,
            import_digest = excluded.import_digest, updated_at = excluded.updated_at, version = products.version + 1",
        JsonColumn(rows)
    )
    .execute()
    .on_constraint("slug", slug_taken)?;
    Ok(())
}

fn product_row(product: &Product, now: Timestamp) -> ProductRow<'_> {
    let image = product.media.first();
    ProductRow {
        id: &product.id,
        slug: &product.slug,
        title: &product.title,
        title_key: terms::title_key(&product.title),
        description_html: &product.description_html,
        vendor: &product.vendor,
        product_type: &product.product_type,
        status: product.status.as_str(),
        seo_title: product.seo_title.as_deref(),
        seo_description: product.seo_description.as_deref(),
        options: &product.options,
        media: &product.media,
        image_url: image.map(|image| image.url.as_str()),
        image_alt: image.map(|image| image.alt.as_str()),
        import_digest: product.import_digest.as_deref(),
        at: now,
    }
}

impl Change {
    fn variant_before(&self, id: &str) -> Option<&Variant> {
        self.before.as_ref()?.variants.iter().find(|variant| variant.id == id)
    }

    fn removed_variants(&self) -> impl Iterator<Item = &str> {
        let before = self.before.iter().flat_map(|product| &product.variants);
        before
            .map(|variant| variant.id.as_str())
            .filter(|id| self.after.variants.iter().all(|variant| variant.id != *id))
    }

    /// New variants, and those of which `differs`.
    fn variants_where(&self, differs: impl Fn(&Variant, &Variant) -> bool) -> impl Iterator<Item = &Variant> {
        self.after.variants.iter().filter(move |variant| {
            self.variant_before(&variant.id)
                .is_none_or(|before| differs(before, variant))
        })
    }
}

#[derive(Serialize)]
struct VariantRow<'a> {
    id: &'a str,
    product_id: &'a str,
    position: i64,
    title: &'a str,
    sku: Option<&'a str>,
    sku_key: Option<&'a str>,
    option_values: &'a [String],
    option_key: String,
    barcode: Option<&'a str>,
    weight_g: i64,
    length_mm: Option<i64>,
    width_mm: Option<i64>,
    height_mm: Option<i64>,
    requires_shipping: bool,
    taxable: bool,
    tax_category: &'a str,
    image_url: Option<&'a str>,
    currency: Option<Currency>,
    at: Timestamp,
}

fn variants(changes: &[Change], home: Currency, now: Timestamp) -> Result<(), Problem> {
    let removed: Vec<&str> = changes.iter().flat_map(Change::removed_variants).collect();
    if !removed.is_empty() {
        sql!("delete from variants where id = any($1)", JsonColumn(removed)).execute()?;
    }
    let changed = |change| Change::variants_where(change, |before, after| before != after);
    let rows: Vec<VariantRow<'_>> = changes
        .iter()
        .flat_map(|change| changed(change).map(|variant| variant_row(variant, &change.after.id, home, now)))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let sku_taken = || Problem::conflict("sku_taken", "Another variant has this SKU.").field("/sku", "is taken");
    let options_taken = || {
        Problem::conflict(
            "options_taken",
            "Another variant of this product has these option values.",
        )
    };
    sql!(
        "insert into variants (id, product_id, position, title, sku, sku_key, option_values, option_key, barcode, weight_g, length_mm,
            width_mm, height_mm, requires_shipping, taxable, tax_category, image_url, currency, created_at, updated_at)
         select r.id, r.product_id, r.position, r.title, r.sku, r.sku_key, r.option_values, r.option_key, r.barcode, r.weight_g,
            r.length_mm, r.width_mm, r.height_mm, r.requires_shipping, r.taxable, r.tax_category, r.image_url, r.currency, r.at, r.at
         from json_rows($1) as r(id text, product_id text, position bigint, title text, sku text, sku_key text, option_values jsonb,
            option_key text, barcode text, weight_g bigint, length_mm bigint, width_mm bigint, height_mm bigint,
            requires_shipping boolean, taxable boolean, tax_category text, image_url text, currency text, at timestamptz)
         on conflict (id) do update set position = excluded.position, title = excluded.title, sku = excluded.sku,
            sku_key = excluded.sku_key, option_values = excluded.option_values, option_key = excluded.option_key,
            barcode = excluded.barcode, weight_g = excluded.weight_g, length_mm = excluded.length_mm, width_mm = excluded.width_mm,
            height_mm = excluded.height_mm, requires_shipping = excluded.requires_shipping, taxable = excluded.taxable,
            tax_category = excluded.tax_category, image_url = excluded.image_url, currency = excluded.currency,
            updated_at = excluded.updated_at",
        JsonColumn(rows)
    )
    .execute()
    .on_constraint("sku_key", sku_taken)
    .on_constraint("product_id, option_key", options_taken)?;
    Ok(())
}

fn variant_row<'a>(variant: &'a Variant, product_id: &'a str, home: Currency, now: Timestamp) -> VariantRow<'a> {
    VariantRow {
        id: &variant.id,
        product_id,
        position: variant.position,
        title: &variant.title,
        sku: variant.sku.as_deref(),
        sku_key: variant.sku.as_deref().filter(|_| variant.owns_sku),
        option_values: &variant.option_values,
        option_key: variant.option_key(),
        barcode: variant.barcode.as_deref(),
        weight_g: variant.weight_g,
        length_mm: variant.size.map(|size| size.length_mm),
        width_mm: variant.size.map(|size| size.width_mm),
        height_mm: variant.size.map(|size| size.height_mm),
        requires_shipping: variant.requires_shipping,
        taxable: variant.taxable,
        tax_category: &variant.tax_category,
        image_url: variant.image_url.as_deref(),
        currency: variant.home_currency(home),
        at: now,
    }
}

#[derive(Serialize)]
struct PriceRow<'a> {
    variant_id: &'a str,
    currency: Currency,
    amount: i64,
    compare_at: Option<i64>,
}

fn prices(changes: &[Change]) -> Result<(), Problem> {
    let priced = |change| Change::variants_where(change, |before, after| before.prices != after.prices);
    let repriced = |change: &&Change, variant: &&Variant| change.variant_before(&variant.id).is_some();
    let stale: Vec<&str> = changes
        .iter()
        .flat_map(|change| priced(change).filter(move |variant| repriced(&change, variant)))
        .map(|variant| variant.id.as_str())
        .collect();
    if !stale.is_empty() {
        sql!("delete from prices where variant_id = any($1)", JsonColumn(stale)).execute()?;
    }
    let rows: Vec<PriceRow<'_>> = changes
        .iter()
        .flat_map(priced)
        .flat_map(|variant| {
            variant.prices.iter().map(|price| PriceRow {
                variant_id: &variant.id,
                currency: price.currency,
                amount: price.amount,
                compare_at: price.compare_at,
            })
        })
        .collect();
    if !rows.is_empty() {
        sql!(
            "insert into prices (variant_id, currency, amount, compare_at)
             select r.variant_id, r.currency, r.amount, r.compare_at
             from json_rows($1) as r(variant_id text, currency text, amount bigint, compare_at bigint)",
            JsonColumn(rows)
        )
        .execute()?;
    }
    Ok(())
}

#[derive(Serialize)]
struct StockRow<'a> {
    variant_id: &'a str,
    product_id: &'a str,
    tracked: bool,
    policy: &'a str,
    on_hand: i64,
}

fn stock_rows(changes: &[Change], origin: &Origin<'_>, now: Timestamp) -> Result<(), Problem> {
    let mut rows = Vec::new();
    let mut entries = Vec::new();
    for change in changes {
        let differs = |before: &Variant, after: &Variant| {
            (before.stock.tracked, before.stock.policy) != (after.stock.tracked, after.stock.policy)
        };
        for variant in change.variants_where(differs) {
            rows.push(StockRow {
                variant_id: &variant.id,
                product_id: &change.after.id,
                tracked: variant.stock.tracked,
                policy: variant.stock.policy.as_str(),
                on_hand: variant.stock.on_hand,
            });
            if variant.stock.on_hand != 0 && change.variant_before(&variant.id).is_none() {
                entries.push(stock::Entry::movement(
                    origin.kind,
                    &variant.id,
                    variant.stock.on_hand,
                    origin,
                    now,
                ));
            }
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    // Checkouts lock the same rows in the order of their ids.
    rows.sort_unstable_by_key(|row| row.variant_id);
    sql!(
        "insert into stock (variant_id, product_id, tracked, policy, on_hand)
         select r.variant_id, r.product_id, r.tracked, r.policy, r.on_hand
         from json_rows($1) as r(variant_id text, product_id text, tracked boolean, policy text, on_hand bigint)
         on conflict (variant_id) do update set tracked = excluded.tracked, policy = excluded.policy",
        JsonColumn(rows)
    )
    .execute()?;
    stock::record(&entries)
}

/// (product, key, text)
#[derive(Serialize)]
struct TagRow<'a> {
    product_id: &'a str,
    tag_key: String,
    tag: &'a str,
}

fn tags(changes: &[Change]) -> Result<(), Problem> {
    let of = |product: &Product| {
        product
            .tags
            .iter()
            .map(|tag| tag.to_lowercase())
            .collect::<BTreeSet<_>>()
    };
    let differing = differing(changes, of);
    clear_known(&differing, |stale| {
        sql!("delete from product_tags where product_id = any($1)", JsonColumn(stale))
    })?;
    let rows: Vec<TagRow<'_>> = differing
        .iter()
        .flat_map(|change| {
            let product_id = &change.after.id;
            change.after.tags.iter().map(move |tag| TagRow {
                product_id,
                tag_key: tag.to_lowercase(),
                tag,
            })
        })
        .collect();
    if !rows.is_empty() {
        sql!(
            "insert into product_tags (product_id, tag_key, tag)
             select r.product_id, r.tag_key, r.tag from json_rows($1) as r(product_id text, tag_key text, tag text)",
            JsonColumn(rows)
        )
        .execute()?;
    }
    Ok(())
}

#[derive(Serialize)]
struct PlaceRow<'a> {
    product_id: &'a str,
    category_id: &'a str,
}

fn categories(changes: &[Change]) -> Result<(), Problem> {
    let differing = differing(changes, |product| {
        product.categories.iter().cloned().collect::<BTreeSet<_>>()
    });
    clear_known(&differing, |stale| {
        sql!(
            "delete from product_categories where product_id = any($1)",
            JsonColumn(stale)
        )
    })?;
    let rows: Vec<PlaceRow<'_>> = differing
        .iter()
        .flat_map(|change| {
            let product_id = &change.after.id;
            change.after.categories.iter().map(move |category_id| PlaceRow {
                product_id,
                category_id,
            })
        })
        .collect();
    if !rows.is_empty() {
        sql!(
            "insert into product_categories (product_id, category_id)
             select r.product_id, r.category_id from json_rows($1) as r(product_id text, category_id text)",
            JsonColumn(rows)
        )
        .execute()?;
    }
    Ok(())
}

#[derive(Serialize)]
struct TermRow<'a> {
    term: String,
    product_id: &'a str,
}

fn search_terms(changes: &[Change]) -> Result<(), Problem> {
    let of = |product: &Product| {
        terms::of_product(
            &product.title,
            product.variants.iter().filter_map(|variant| variant.sku.as_deref()),
        )
    };
    let differing = differing(changes, of);
    clear_known(&differing, |stale| {
        sql!("delete from search_terms where product_id = any($1)", JsonColumn(stale))
    })?;
    let rows: Vec<TermRow<'_>> = differing
        .iter()
        .flat_map(|change| {
            of(&change.after).into_iter().map(|term| TermRow {
                term,
                product_id: &change.after.id,
            })
        })
        .collect();
    if !rows.is_empty() {
        sql!(
            "insert into search_terms (term, product_id)
             select r.term, r.product_id from json_rows($1) as r(term text, product_id text)",
            JsonColumn(rows)
        )
        .execute()?;
    }
    Ok(())
}

/// New products, and those of which this part differs.
fn differing<K: PartialEq>(changes: &[Change], part: impl Fn(&Product) -> K) -> Vec<&Change> {
    let differs = |change: &&Change| {
        change
            .before
            .as_ref()
            .is_none_or(|before| part(before) != part(&change.after))
    };
    changes.iter().filter(differs).collect()
}

/// Deletes the rows of products that had some.
fn clear_known(changes: &[&Change], delete: impl FnOnce(Vec<&str>) -> Statement) -> Result<(), Problem> {
    let known = changes.iter().filter(|change| change.before.is_some());
    let stale: Vec<&str> = known.map(|change| change.after.id.as_str()).collect();
    if !stale.is_empty() {
        delete(stale).execute()?;
    }
    Ok(())
}
