//! Reads products whole: one statement for any number of them, with everything that belongs to each.

use commerce_sdk::money::Currency;
use commerce_sdk::prelude::*;
use serde_json::{Map, Value};

use crate::model::{Media, Policy, Price, Product, ProductOption, Size, Status, Stock, Variant};

/// By one condition on `p`. A macro, because a recorded text is one constant.
macro_rules! products_where {
    ($condition:literal) => {
        concat!(
            "select p.id, p.slug, p.title, p.description_html, p.vendor, p.product_type, p.status, p.seo_title,
                p.seo_description, p.options, p.media, p.extensions, p.import_digest, p.version, p.created_at, p.updated_at,
                coalesce((select json_agg(t.tag order by t.tag_key) from product_tags t where t.product_id = p.id), json_array()) as tags,
                coalesce((select json_agg(l.category_id order by l.category_id) from product_categories l where l.product_id = p.id),
                    json_array()) as categories,
                coalesce((select json_agg(json_object('id', v.id, 'position', v.position, 'title', v.title, 'sku', v.sku,
                        'owns_sku', v.sku_key is not null, 'option_values', v.option_values, 'barcode', v.barcode,
                        'weight_g', v.weight_g, 'length_mm', v.length_mm, 'width_mm', v.width_mm, 'height_mm', v.height_mm,
                        'requires_shipping', v.requires_shipping, 'taxable', v.taxable, 'tax_category', v.tax_category,
                        'image_url', v.image_url, 'extensions', v.extensions, 'created_at', v.created_at,
                        'tracked', k.tracked, 'policy', k.policy, 'on_hand', k.on_hand, 'reserved', k.reserved,
                        'prices', coalesce((select json_agg(json_object('currency', r.currency, 'amount', r.amount,
                                'compare_at', r.compare_at) order by r.currency) from prices r where r.variant_id = v.id), json_array()))
                    order by v.position, v.id)
                    from variants v join stock k on k.variant_id = v.id where v.product_id = p.id), json_array()) as variants
             from products p where ",
            $condition
        )
    };
}

pub fn by_id(id: &str) -> Result<Option<Product>, Problem> {
    one(sql!(products_where!("p.id = $1"), id))
}

pub fn by_slug(slug: &str) -> Result<Option<Product>, Problem> {
    one(sql!(products_where!("p.slug = $1"), slug))
}

/// By what a path may say.
pub fn by_id_or_slug(name: &str) -> Result<Option<Product>, Problem> {
    if name.starts_with("prod_") {
        by_id(name)
    } else {
        by_slug(name)
    }
}

/// In the order of their ids.
pub fn by_ids(ids: &[String]) -> Result<Vec<Product>, Problem> {
    let rows = sql!(products_where!("p.id = any($1) order by p.id"), JsonColumn(ids)).all::<Row>()?;
    Ok(rows.into_iter().map(Product::from).collect())
}

/// Keeps others from changing the product until this unit of work ends, and reads it. Everything that reads a product,
/// changes it and saves it whole begins here.
pub fn locked(id: &str) -> Result<Option<Product>, Problem> {
    match sql!("select id from products where id = $1 for update", id).optional::<(String,)>()? {
        Some(_) => by_id(id),
        None => Ok(None),
    }
}

/// The same for the product that a variant belongs to.
pub fn locked_by_variant(variant: &str) -> Result<Option<Product>, Problem> {
    match sql!("select product_id from variants where id = $1", variant).optional::<(String,)>()? {
        Some((product,)) => locked(&product),
        None => Ok(None),
    }
}

/// The same for many, in the order of their ids.
pub fn lock_all(ids: &[String]) -> Result<(), Problem> {
    sql!(
        "select id from products where id = any($1) order by id for update",
        JsonColumn(ids)
    )
    .scalars::<String>()?;
    Ok(())
}

#[derive(Deserialize)]
struct Row {
    id: String,
    slug: String,
    title: String,
    description_html: String,
    vendor: String,
    product_type: String,
    status: Status,
    seo_title: Option<String>,
    seo_description: Option<String>,
    options: JsonColumn<Vec<ProductOption>>,
    media: JsonColumn<Vec<Media>>,
    extensions: JsonColumn<Map<String, Value>>,
    import_digest: Option<String>,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
    tags: JsonColumn<Vec<String>>,
    categories: JsonColumn<Vec<String>>,
    variants: JsonColumn<Vec<VariantRow>>,
}

#[derive(Deserialize)]
struct VariantRow {
    id: String,
    position: i64,
    title: String,
    sku: Option<String>,
    owns_sku: bool,
    option_values: Vec<String>,
    barcode: Option<String>,
    weight_g: i64,
    length_mm: Option<i64>,
    width_mm: Option<i64>,
    height_mm: Option<i64>,
    requires_shipping: bool,
    taxable: bool,
    tax_category: String,
    image_url: Option<String>,
    extensions: Map<String, Value>,
    created_at: Timestamp,
    tracked: bool,
    policy: Policy,
    on_hand: i64,
    reserved: i64,
    prices: Vec<PriceRow>,
}

#[derive(Deserialize)]
struct PriceRow {
    currency: Currency,
    amount: i64,
    compare_at: Option<i64>,
}

fn one(statement: Statement) -> Result<Option<Product>, Problem> {
    Ok(statement.optional::<Row>()?.map(Product::from))
}

impl From<Row> for Product {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            slug: row.slug,
            title: row.title,
            description_html: row.description_html,
            vendor: row.vendor,
            product_type: row.product_type,
            status: row.status,
            seo_title: row.seo_title,
            seo_description: row.seo_description,
            options: row.options.0,
            media: row.media.0,
            tags: row.tags.0,
            categories: row.categories.0,
            variants: row.variants.0.into_iter().map(Variant::from).collect(),
            extensions: row.extensions.0,
            import_digest: row.import_digest,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl From<VariantRow> for Variant {
    fn from(row: VariantRow) -> Self {
        let size = match (row.length_mm, row.width_mm, row.height_mm) {
            (Some(length_mm), Some(width_mm), Some(height_mm)) => Some(Size {
                length_mm,
                width_mm,
                height_mm,
            }),
            _ => None,
        };
        let price = |price: PriceRow| Price {
            currency: price.currency,
            amount: price.amount,
            compare_at: price.compare_at,
        };
        Self {
            id: row.id,
            position: row.position,
            title: row.title,
            sku: row.sku,
            owns_sku: row.owns_sku,
            option_values: row.option_values,
            barcode: row.barcode,
            weight_g: row.weight_g,
            size,
            requires_shipping: row.requires_shipping,
            taxable: row.taxable,
            tax_category: row.tax_category,
            image_url: row.image_url,
            prices: row.prices.into_iter().map(price).collect(),
            stock: Stock {
                tracked: row.tracked,
                policy: row.policy,
                on_hand: row.on_hand,
                reserved: row.reserved,
            },
            extensions: row.extensions,
            created_at: row.created_at,
        }
    }
}
