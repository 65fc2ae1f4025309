//! Products as clients see them.

use commerce_sdk::money::Money;
use commerce_sdk::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::model::{Media, Policy, Price, Product, ProductOption, Size, Status, Variant};

/// A product with all its variants.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Product")]
pub struct ProductAnswer {
    id: String,
    slug: String,
    title: String,
    status: Status,
    /// Sanitised: it may be shown as it is.
    description_html: String,
    vendor: String,
    #[serde(rename = "type")]
    product_type: String,
    seo: Seo,
    options: Vec<ProductOption>,
    tags: Vec<String>,
    /// Ids.
    categories: Vec<String>,
    image: Option<Image>,
    media: Vec<Media>,
    variants: Vec<VariantAnswer>,
    /// What other plugins say about it, by their names.
    extensions: Map<String, Value>,
    /// Goes into `If-Match`.
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Serialize, JsonSchema)]
struct Seo {
    title: Option<String>,
    description: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ProductImage")]
pub struct Image {
    url: String,
    alt: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Variant")]
pub struct VariantAnswer {
    id: String,
    product_id: String,
    sku: Option<String>,
    title: String,
    option_values: Vec<String>,
    /// In the store's currency, where the variant is priced in it.
    price: Option<Money>,
    /// What it cost before.
    compare_at_price: Option<Money>,
    /// In every currency it is priced in.
    prices: Vec<PriceAnswer>,
    /// How many can be bought now. Of what is not tracked, or may be back-ordered, it is no limit.
    available: i64,
    /// Whether one can be bought now.
    in_stock: bool,
    tracked: bool,
    policy: Policy,
    barcode: Option<String>,
    weight_g: i64,
    size: Option<Size>,
    requires_shipping: bool,
    taxable: bool,
    tax_category: String,
    image_url: Option<String>,
    position: i64,
    extensions: Map<String, Value>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "VariantPrice")]
struct PriceAnswer {
    amount: i64,
    currency: Currency,
    compare_at: Option<i64>,
}

/// A product in a list. The database writes it as JSON, and it is only passed on: see [`crate::listing`].
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct ListedProduct(Box<RawValue>);

impl ListedProduct {
    pub fn from_json(text: String) -> Result<Self, Problem> {
        RawValue::from_string(text).map(Self).map_err(Problem::internal)
    }
}

impl JsonSchema for ListedProduct {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        ListedProductShape::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        ListedProductShape::json_schema(generator)
    }
}

/// What the statements of [`crate::listing`] write.
#[derive(JsonSchema)]
#[schemars(rename = "ListedProduct")]
#[expect(dead_code, reason = "it is the schema of what the database writes")]
struct ListedProductShape {
    id: String,
    slug: String,
    title: String,
    status: Status,
    vendor: String,
    #[schemars(rename = "type")]
    product_type: String,
    image: Option<Image>,
    tags: Vec<String>,
    variants: Vec<ListedVariant>,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "it is the schema of what the database writes")]
struct ListedVariant {
    id: String,
    sku: Option<String>,
    title: String,
    price: Option<Money>,
    compare_at_price: Option<Money>,
    available: i64,
    in_stock: bool,
}

impl ProductAnswer {
    /// Prices first in the store's currency.
    pub fn new(product: Product, home: Currency) -> Self {
        let image = product.media.first().map(|media| Image {
            url: media.url.clone(),
            alt: media.alt.clone(),
        });
        let id = product.id;
        let variants = product
            .variants
            .into_iter()
            .map(|variant| VariantAnswer::new(variant, &id, home))
            .collect();
        Self {
            slug: product.slug,
            title: product.title,
            status: product.status,
            description_html: product.description_html,
            vendor: product.vendor,
            product_type: product.product_type,
            seo: Seo {
                title: product.seo_title,
                description: product.seo_description,
            },
            options: product.options,
            tags: product.tags,
            categories: product.categories,
            image,
            media: product.media,
            variants,
            extensions: product.extensions,
            version: product.version,
            created_at: product.created_at,
            updated_at: product.updated_at,
            id,
        }
    }

    /// The version, and what changes without it: how many can be bought.
    pub fn etag(&self) -> String {
        let stock = self.variants.iter().fold(0_u64, |sum, variant| {
            // FNV-1a over the numbers: it need not be unguessable.
            (sum ^ variant.available as u64 ^ u64::from(variant.in_stock) << 63).wrapping_mul(0x100_0000_01b3)
        });
        format!("\"{}-{stock:x}\"", self.version)
    }

    pub fn variant(self, id: &str) -> Option<VariantAnswer> {
        self.variants.into_iter().find(|variant| variant.id == id)
    }
}

impl VariantAnswer {
    fn new(variant: Variant, product_id: &str, home: Currency) -> Self {
        let shown = variant.home_currency(home);
        let shown = variant
            .prices
            .iter()
            .find(|price| Some(price.currency) == shown)
            .copied();
        let money = |currency, amount| Money::new(amount, currency).ok();
        Self {
            product_id: product_id.to_owned(),
            price: shown.and_then(|price| money(price.currency, price.amount)),
            compare_at_price: shown.and_then(|price| money(price.currency, price.compare_at?)),
            prices: variant.prices.iter().copied().map(PriceAnswer::from).collect(),
            available: variant.stock.available().max(0),
            in_stock: variant.stock.sellable(),
            tracked: variant.stock.tracked,
            policy: variant.stock.policy,
            id: variant.id,
            sku: variant.sku,
            title: variant.title,
            option_values: variant.option_values,
            barcode: variant.barcode,
            weight_g: variant.weight_g,
            size: variant.size,
            requires_shipping: variant.requires_shipping,
            taxable: variant.taxable,
            tax_category: variant.tax_category,
            image_url: variant.image_url,
            position: variant.position,
            extensions: variant.extensions,
        }
    }

    pub fn id(&self) -> &str {
        &self.id
    }
}

impl From<Price> for PriceAnswer {
    fn from(price: Price) -> Self {
        Self {
            amount: price.amount,
            currency: price.currency,
            compare_at: price.compare_at,
        }
    }
}
