//! What staff send: shapes of bodies. [`maker`] makes the model of them.

mod maker;
mod rules;
#[cfg(test)]
mod tests;

use commerce_sdk::money::{Currency, Money};
use commerce_sdk::patch::Patch;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::{Policy, Size, Status};

pub use maker::Maker;
pub use rules::{MOST_VARIANTS, distinct_tags, is_reference, long_option, long_sku, long_tag, some_text};

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProductInput {
    #[schemars(required, length(min = 1, max = 255))]
    pub title: String,
    /// Made from the title where it is absent.
    pub slug: Option<String>,
    pub status: Status,
    /// Sanitised before it is stored.
    #[serde(alias = "description")]
    #[schemars(length(max = 100_000))]
    pub description_html: String,
    #[schemars(length(max = 255))]
    pub vendor: String,
    #[serde(rename = "type")]
    #[schemars(length(max = 255))]
    pub product_type: String,
    pub seo: SeoInput,
    /// What variants differ in; each variant names one value for each.
    #[schemars(length(max = 10))]
    pub options: Vec<OptionInput>,
    pub tags: Vec<String>,
    /// Ids or slugs.
    pub categories: Vec<String>,
    #[schemars(length(max = 250))]
    pub media: Vec<MediaInput>,
    pub variants: Vec<VariantInput>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SeoInput {
    #[schemars(length(max = 255))]
    pub title: Option<String>,
    #[schemars(length(max = 1_000))]
    pub description: Option<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct OptionInput {
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct MediaInput {
    /// `https://…`, or a path of this store.
    #[schemars(length(min = 1, max = 2_000))]
    pub url: String,
    #[serde(default)]
    #[schemars(length(max = 500))]
    pub alt: String,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct VariantInput {
    /// Unique in the store, where there is one.
    #[schemars(length(max = 255))]
    pub sku: Option<String>,
    /// Made from the options' values where it is absent.
    #[schemars(length(max = 255))]
    pub title: Option<String>,
    /// One for each option of the product.
    pub option_values: Vec<String>,
    pub price: Option<Money>,
    /// What `price` was before.
    pub compare_at_price: Option<Money>,
    /// Prices in further currencies.
    pub prices: Vec<PriceInput>,
    /// How many there are, to begin with.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub stock: Option<i64>,
    /// Whether its stock is counted. Absent: it is where `stock` is given, or where nothing is said.
    pub tracked: Option<bool>,
    pub policy: Policy,
    #[schemars(length(max = 255))]
    pub barcode: Option<String>,
    #[schemars(range(min = 0, max = 100_000_000))]
    pub weight_g: i64,
    pub size: Option<Size>,
    pub requires_shipping: Option<bool>,
    pub taxable: Option<bool>,
    #[schemars(length(max = 64))]
    pub tax_category: Option<String>,
    #[schemars(length(max = 2_000))]
    pub image_url: Option<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct PriceInput {
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub amount: i64,
    pub currency: Currency,
    #[serde(default)]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub compare_at: Option<i64>,
}

/// What is absent stays as it is; `null` clears what may be empty.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProductPatch {
    #[schemars(length(min = 1, max = 255))]
    pub title: Option<String>,
    pub slug: Option<String>,
    pub status: Option<Status>,
    #[serde(alias = "description")]
    #[schemars(length(max = 100_000))]
    pub description_html: Option<String>,
    #[schemars(length(max = 255))]
    pub vendor: Option<String>,
    #[serde(rename = "type")]
    #[schemars(length(max = 255))]
    pub product_type: Option<String>,
    pub seo: SeoPatch,
    /// As many as before: this renames them.
    pub options: Option<Vec<OptionInput>>,
    pub tags: Option<Vec<String>>,
    /// Ids or slugs.
    pub categories: Option<Vec<String>>,
    #[schemars(length(max = 250))]
    pub media: Option<Vec<MediaInput>>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SeoPatch {
    #[schemars(length(max = 255))]
    pub title: Patch<String>,
    #[schemars(length(max = 1_000))]
    pub description: Patch<String>,
}

/// What is absent stays as it is; `null` clears what may be empty. Stock has a route of its own.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct VariantPatch {
    #[schemars(length(max = 255))]
    pub sku: Patch<String>,
    #[schemars(length(min = 1, max = 255))]
    pub title: Option<String>,
    pub option_values: Option<Vec<String>>,
    /// Replaces the price in its currency.
    pub price: Option<Money>,
    /// In the currency of `price`, or the one already priced.
    pub compare_at_price: Patch<Money>,
    /// Replaces all prices.
    pub prices: Option<Vec<PriceInput>>,
    pub tracked: Option<bool>,
    pub policy: Option<Policy>,
    #[schemars(length(max = 255))]
    pub barcode: Patch<String>,
    #[schemars(range(min = 0, max = 100_000_000))]
    pub weight_g: Option<i64>,
    pub size: Patch<Size>,
    pub requires_shipping: Option<bool>,
    pub taxable: Option<bool>,
    #[schemars(length(min = 1, max = 64))]
    pub tax_category: Option<String>,
    #[schemars(length(max = 2_000))]
    pub image_url: Patch<String>,
    #[schemars(range(min = 0, max = 1_000_000))]
    pub position: Option<i64>,
}
