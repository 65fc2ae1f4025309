//! What the catalogue consists of: a product with its variants, as one value.
//!
//! Every write makes such a value and hands it to [`crate::save`]; every read that is more than a listing gets it from
//! [`crate::load`]. It knows no SQL and no HTTP.

use commerce_sdk::money::Currency;
use commerce_sdk::timestamp::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    pub id: String,
    pub slug: String,
    pub title: String,
    pub description_html: String,
    pub vendor: String,
    pub product_type: String,
    pub status: Status,
    pub seo_title: Option<String>,
    pub seo_description: Option<String>,
    pub options: Vec<ProductOption>,
    pub media: Vec<Media>,
    pub tags: Vec<String>,
    /// Ids of the categories it was put into, without what is above them.
    pub categories: Vec<String>,
    pub variants: Vec<Variant>,
    pub extensions: Map<String, Value>,
    /// See the column of this name.
    pub import_digest: Option<String>,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ProductStatus")]
pub enum Status {
    /// Seen by staff only.
    #[default]
    Draft,
    Active,
    /// No longer sold; kept for what was.
    Archived,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Active => "active",
            Self::Archived => "archived",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProductOption {
    /// `Color`
    pub name: String,
    /// In the order in which variants first use them.
    #[serde(default)]
    pub values: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Media {
    /// `img_…`
    pub id: String,
    pub url: String,
    #[serde(default)]
    pub alt: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    pub id: String,
    pub position: i64,
    pub title: String,
    pub sku: Option<String>,
    /// Whether it is the variant that is found by its SKU. See the column `sku_key`.
    pub owns_sku: bool,
    /// One for each option of the product.
    pub option_values: Vec<String>,
    pub barcode: Option<String>,
    pub weight_g: i64,
    pub size: Option<Size>,
    pub requires_shipping: bool,
    pub taxable: bool,
    pub tax_category: String,
    pub image_url: Option<String>,
    /// At most one for each currency.
    pub prices: Vec<Price>,
    /// How many there are is the ledger's business: on a variant that exists already, `save` leaves it alone.
    pub stock: Stock,
    pub extensions: Map<String, Value>,
    pub created_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Size {
    #[schemars(range(min = 0, max = 1_000_000))]
    pub length_mm: i64,
    #[schemars(range(min = 0, max = 1_000_000))]
    pub width_mm: i64,
    #[schemars(range(min = 0, max = 1_000_000))]
    pub height_mm: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    pub currency: Currency,
    /// Minor units.
    pub amount: i64,
    /// What it cost before.
    pub compare_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stock {
    /// Whether it is counted.
    pub tracked: bool,
    pub policy: Policy,
    pub on_hand: i64,
    pub reserved: i64,
}

impl Stock {
    pub fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }

    /// Whether one more may be sold.
    pub fn sellable(&self) -> bool {
        !self.tracked || self.policy == Policy::Continue || self.available() > 0
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "StockPolicy")]
pub enum Policy {
    /// Nothing is sold that is not there.
    #[default]
    Deny,
    /// Goes on selling; what is missing is ordered.
    Continue,
}

impl Policy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Continue => "continue",
        }
    }
}

impl Variant {
    /// Tells variants of one product apart. Without options nothing does but their ids.
    pub fn option_key(&self) -> String {
        if self.option_values.is_empty() {
            return format!("#{}", self.id);
        }
        let mut key = String::new();
        for value in &self.option_values {
            key.extend(folded(value));
            // A separator that nobody types, so that ["a", "b c"] and ["a b", "c"] stay different.
            key.push('\u{1f}');
        }
        if key.len() > LONGEST_KEY {
            key = Sha256::digest(&key).iter().map(|byte| format!("{byte:02x}")).collect();
        }
        key
    }

    /// The currency shown where none was asked for.
    pub fn home_currency(&self, stores: Currency) -> Option<Currency> {
        let mut currencies = self.prices.iter().map(|price| price.currency);
        let first = currencies.next()?;
        Some(if first == stores || currencies.any(|currency| currency == stores) {
            stores
        } else {
            first
        })
    }
}

/// An index holds it: longer ones are told apart by their digests.
const LONGEST_KEY: usize = 512;

/// Whether these are one choice: case does not tell variants apart. Compared in place: a product of two thousand
/// variants is two million questions, and the arena of a call gives nothing back.
pub fn same_options(a: &[String], b: &[String]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| folded(a).eq(folded(b)))
}

fn folded(value: &str) -> impl Iterator<Item = char> {
    value.trim().chars().flat_map(char::to_lowercase)
}

/// `Black / 54 cm`
pub fn variant_title(values: &[String]) -> String {
    let said: Vec<&str> = values
        .iter()
        .map(|value| value.trim())
        .filter(|value| !value.is_empty())
        .collect();
    if said.is_empty() {
        "Default".to_owned()
    } else {
        said.join(" / ")
    }
}

impl Product {
    /// The options' values as the variants use them.
    pub fn collect_option_values(&mut self) {
        for (at, option) in self.options.iter_mut().enumerate() {
            option.values.clear();
            for value in self.variants.iter().filter_map(|variant| variant.option_values.get(at)) {
                if !option.values.contains(value) {
                    option.values.push(value.clone());
                }
            }
        }
    }
}
