//! Which column of a file is which. The format's names changed over the years, and exporters vary their case.

use commerce_sdk::import::Row;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Handle,
    Title,
    Body,
    Vendor,
    Type,
    Tags,
    Published,
    Status,
    OptionName(usize),
    OptionValue(usize),
    Sku,
    Grams,
    Tracker,
    Quantity,
    Policy,
    Price,
    CompareAt,
    RequiresShipping,
    Taxable,
    Barcode,
    ImageUrl,
    ImagePosition,
    ImageAlt,
    VariantImage,
    SeoTitle,
    SeoDescription,
}

/// Every name that a column has had, in lower case; the first is the usual one.
const NAMES: &[(Field, &[&str])] = &[
    (Field::Handle, &["handle", "url handle"]),
    (Field::Title, &["title"]),
    (Field::Body, &["body (html)", "body html", "description"]),
    (Field::Vendor, &["vendor"]),
    (
        Field::Type,
        &[
            "type",
            "custom product type",
            "standard product type",
            "standardized product type",
        ],
    ),
    (Field::Tags, &["tags"]),
    (Field::Published, &["published", "published on online store"]),
    (Field::Status, &["status"]),
    (Field::OptionName(0), &["option1 name"]),
    (Field::OptionName(1), &["option2 name"]),
    (Field::OptionName(2), &["option3 name"]),
    (Field::OptionValue(0), &["option1 value"]),
    (Field::OptionValue(1), &["option2 value"]),
    (Field::OptionValue(2), &["option3 value"]),
    (Field::Sku, &["variant sku", "sku"]),
    (Field::Grams, &["variant grams", "weight value (grams)"]),
    (Field::Tracker, &["variant inventory tracker", "inventory tracker"]),
    (Field::Quantity, &["variant inventory qty", "inventory quantity"]),
    (
        Field::Policy,
        &["variant inventory policy", "continue selling when out of stock"],
    ),
    (Field::Price, &["variant price", "price"]),
    (Field::CompareAt, &["variant compare at price", "compare-at price"]),
    (
        Field::RequiresShipping,
        &["variant requires shipping", "requires shipping"],
    ),
    (Field::Taxable, &["variant taxable", "charge tax"]),
    (Field::Barcode, &["variant barcode", "barcode"]),
    (Field::ImageUrl, &["image src", "product image url"]),
    (Field::ImagePosition, &["image position"]),
    (Field::ImageAlt, &["image alt text"]),
    (Field::VariantImage, &["variant image", "variant image url"]),
    (Field::SeoTitle, &["seo title"]),
    (Field::SeoDescription, &["seo description"]),
];

/// Where each field is in this file; the places are those of [`NAMES`].
pub struct Columns(Vec<Option<usize>>);

impl Columns {
    pub fn of(header: &[String]) -> Result<Self, String> {
        let header: Vec<String> = header
            .iter()
            .map(|name| name.trim_start_matches('\u{feff}').trim().to_lowercase())
            .collect();
        let place = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| header.iter().position(|known| known == name))
        };
        let columns = Self(NAMES.iter().map(|(_, names)| place(names)).collect());
        for (field, name) in [
            (Field::Handle, "Handle"),
            (Field::Title, "Title"),
            (Field::Price, "Variant Price"),
        ] {
            if columns.place(field).is_none() {
                return Err(format!(
                    "The file has no column {name:?}: it is no product export of Shopify. Its first line has: {}.",
                    shown(&header)
                ));
            }
        }
        Ok(columns)
    }

    /// Trimmed; empty where the file has no such column.
    pub fn get<'a>(&self, row: &'a Row, field: Field) -> &'a str {
        self.place(field)
            .and_then(|at| row.fields.get(at))
            .map_or("", |text| text.trim())
    }

    pub fn handle<'a>(&self, row: &'a Row) -> &'a str {
        self.get(row, Field::Handle)
    }

    pub fn is_variant(&self, row: &Row) -> bool {
        [Field::OptionValue(0), Field::Sku, Field::Price]
            .into_iter()
            .any(|field| !self.get(row, field).is_empty())
    }

    /// How many options these rows have values for.
    pub fn options_with_values(&self, rows: &[Row]) -> usize {
        let used = |option: &usize| {
            rows.iter()
                .any(|row| !self.get(row, Field::OptionValue(*option)).is_empty())
        };
        (0..3).rev().find(used).map_or(0, |last| last + 1)
    }

    fn place(&self, field: Field) -> Option<usize> {
        let at = NAMES.iter().position(|(known, _)| *known == field)?;
        self.0[at]
    }
}

/// The first of them, so that an operator sees what the file was taken for.
fn shown(header: &[String]) -> String {
    let names: Vec<String> = header
        .iter()
        .take(5)
        .map(|name| name.chars().take(40).collect())
        .collect();
    let more = if header.len() > names.len() { ", …" } else { "" };
    names.join(", ") + more
}
