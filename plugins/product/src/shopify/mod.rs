//! Shopify's product CSV: what its rows say, as products.
//!
//! A product is the run of rows with one handle. The first has its texts and the names of its options; each row with
//! option values, a SKU or a price is a variant; each with an image adds one, and rows with nothing else are common. Real
//! exports repeat SKUs, leave them out, price a variant above its compare-at price and keep HTML over many lines: none of
//! it is an error. A row that can't be used is reported by its line, and the rest of its product is kept.
//!
//! [`read`] knows nothing of what is in the store; [`merge`] lays what it read over the product of that handle.

mod columns;
mod merge;
#[cfg(test)]
mod tests;

use commerce_sdk::import::{Batch, Row, RowError};
use commerce_sdk::money::Currency;
use sha2::{Digest, Sha256};

use crate::input::{distinct_tags, is_reference, long_option, long_sku, long_tag, some_text};
use crate::model::{Policy, Status, same_options};
use crate::prices::parse_price;

use columns::{Columns, Field};
pub use merge::{claim_skus, merge, slug_of};

/// What the file's prices mean.
#[derive(Clone, Copy, Debug)]
pub struct PricedIn {
    pub currency: Currency,
    pub exponent: u32,
}

#[derive(Debug, Default)]
pub struct Read {
    pub consumed: usize,
    pub products: Vec<Imported>,
    pub errors: Vec<RowError>,
}

/// One run of rows.
#[derive(Debug)]
pub struct Imported {
    /// The first row's.
    pub line: u64,
    pub handle: String,
    /// Equal for equal rows.
    pub digest: String,
    /// Absent where the rows only add variants or images to a product that was named before.
    pub head: Option<Head>,
    pub variants: Vec<ImportedVariant>,
    pub images: Vec<Image>,
}

#[derive(Debug)]
pub struct Head {
    pub title: String,
    pub description_html: String,
    pub vendor: String,
    pub product_type: String,
    pub tags: Vec<String>,
    pub status: Status,
    pub option_names: Vec<String>,
    pub seo_title: Option<String>,
    pub seo_description: Option<String>,
}

#[derive(Debug)]
pub struct ImportedVariant {
    pub line: u64,
    pub sku: Option<String>,
    pub option_values: Vec<String>,
    pub amount: i64,
    pub compare_at: Option<i64>,
    pub weight_g: i64,
    pub tracked: bool,
    pub on_hand: i64,
    pub policy: Policy,
    pub requires_shipping: bool,
    pub taxable: bool,
    pub barcode: Option<String>,
    pub image_url: Option<String>,
}

#[derive(Debug)]
pub struct Image {
    pub url: String,
    pub alt: String,
}

/// Reads whole products. The last run of rows waits for more, unless nothing follows.
pub fn read(batch: &Batch, priced_in: PricedIn) -> Result<Read, String> {
    let columns = Columns::of(&batch.header)?;
    let mut read = Read::default();
    let mut runs = batch
        .rows
        .chunk_by(|a, b| columns.handle(a) == columns.handle(b))
        .peekable();
    while let Some(rows) = runs.next() {
        if runs.peek().is_none() && !batch.last {
            break;
        }
        read.consumed += rows.len();
        if columns.handle(&rows[0]).is_empty() {
            let spoken = rows
                .iter()
                .filter(|row| row.fields.iter().any(|field| !field.trim().is_empty()));
            read.errors.extend(spoken.map(|row| error(row, "has no handle")));
            continue;
        }
        let (product, errors) = product(&columns, rows, priced_in);
        read.products.push(product);
        read.errors.extend(errors);
    }
    Ok(read)
}

fn product(columns: &Columns, rows: &[Row], priced_in: PricedIn) -> (Imported, Vec<RowError>) {
    let first = &rows[0];
    let head = head(columns, first);
    let options = match &head {
        Some(head) => head.option_names.len(),
        None => columns.options_with_values(rows),
    };
    let mut product = Imported {
        line: first.line,
        handle: columns.handle(first).to_owned(),
        digest: digest(rows, priced_in),
        head,
        variants: Vec::new(),
        images: Vec::new(),
    };
    let mut errors = Vec::new();
    if let Some(head) = &mut product.head {
        let unkept = head.tags.extract_if(.., |tag| long_tag(tag).is_some());
        errors.extend(
            unkept
                .filter_map(|tag| long_tag(&tag))
                .map(|why| error(first, format!("tag {why}"))),
        );
    }
    for row in rows {
        if let Some(image) = image(columns, row)
            && !product.images.iter().any(|known| known.url == image.url)
        {
            product.images.push(image);
        }
        if !columns.is_variant(row) {
            continue;
        }
        match variant(columns, row, options, priced_in) {
            Ok(variant) => match taken_by(&product.variants, &variant) {
                Some(line) => errors.push(error(row, format!("has the same option values as line {line}"))),
                None => product.variants.push(variant),
            },
            Err(message) => errors.push(error(row, message)),
        }
    }
    (product, errors)
}

fn head(columns: &Columns, row: &Row) -> Option<Head> {
    let text = |field| columns.get(row, field).to_owned();
    let title = some_text(Some(text(Field::Title)))?;
    let mut option_names: Vec<String> = (0..3).map(|option| text(Field::OptionName(option))).collect();
    while option_names.last().is_some_and(String::is_empty) {
        option_names.pop();
    }
    // How the format says that a product has no options.
    let no_choice = option_names == ["Title"] && columns.get(row, Field::OptionValue(0)) == "Default Title";
    if no_choice {
        option_names.clear();
    }
    for (option, name) in option_names.iter_mut().enumerate().filter(|(_, name)| name.is_empty()) {
        *name = format!("Option {}", option + 1);
    }
    Some(Head {
        title,
        description_html: text(Field::Body),
        vendor: text(Field::Vendor),
        product_type: text(Field::Type),
        tags: distinct_tags(columns.get(row, Field::Tags).split(',').map(str::to_owned)),
        status: status(columns.get(row, Field::Status), columns.get(row, Field::Published)),
        option_names,
        seo_title: some_text(Some(text(Field::SeoTitle))),
        seo_description: some_text(Some(text(Field::SeoDescription))),
    })
}

/// Newer exports have a status; a product that is active and yet not published is seen by nobody.
fn status(status: &str, published: &str) -> Status {
    let hidden = is_false(published);
    match status.to_ascii_lowercase().as_str() {
        "archived" => Status::Archived,
        "draft" => Status::Draft,
        _ if hidden => Status::Draft,
        _ => Status::Active,
    }
}

fn image(columns: &Columns, row: &Row) -> Option<Image> {
    let url = columns.get(row, Field::ImageUrl);
    is_reference(url).then(|| Image {
        url: url.to_owned(),
        alt: columns.get(row, Field::ImageAlt).to_owned(),
    })
}

fn variant(columns: &Columns, row: &Row, options: usize, priced_in: PricedIn) -> Result<ImportedVariant, String> {
    let text = |field| columns.get(row, field);
    let price = |field, name: &str| {
        parse_price(text(field), priced_in.exponent)
            .map_err(|why| format!("{name} {:?} {why} ({})", text(field), priced_in.currency))
    };
    if text(Field::Price).is_empty() {
        return Err("has no price".to_owned());
    }
    let sku = some_text(Some(unquoted(text(Field::Sku)).to_owned()));
    if let Some(why) = sku.as_deref().and_then(long_sku) {
        return Err(format!("SKU {why}"));
    }
    let option_values: Vec<String> = (0..options)
        .map(|option| text(Field::OptionValue(option)).to_owned())
        .collect();
    if let Some(why) = option_values.iter().find_map(|value| long_option(value)) {
        return Err(format!("option value {why}"));
    }
    let compare_at = if text(Field::CompareAt).is_empty() {
        None
    } else {
        Some(price(Field::CompareAt, "compare-at price")?)
    };
    Ok(ImportedVariant {
        line: row.line,
        sku,
        option_values,
        amount: price(Field::Price, "price")?,
        compare_at,
        weight_g: weight_g(text(Field::Grams))?,
        tracked: !text(Field::Tracker).is_empty() && !is_false(text(Field::Tracker)),
        on_hand: count(text(Field::Quantity))?,
        policy: if is_continue(text(Field::Policy)) {
            Policy::Continue
        } else {
            Policy::Deny
        },
        requires_shipping: !is_false(text(Field::RequiresShipping)),
        taxable: !is_false(text(Field::Taxable)),
        barcode: some_text(Some(unquoted(text(Field::Barcode)).to_owned())),
        image_url: Some(text(Field::VariantImage))
            .filter(|url| is_reference(url))
            .map(str::to_owned),
    })
}

/// The line that has the same option values.
fn taken_by(variants: &[ImportedVariant], variant: &ImportedVariant) -> Option<u64> {
    variants
        .iter()
        .find(|other| same_options(&other.option_values, &variant.option_values))
        .map(|other| other.line)
}

/// Whole grams; a fraction of one is nothing a scale for parcels shows.
fn weight_g(text: &str) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    match text.parse::<f64>() {
        Ok(grams) if (0.0..=100_000_000.0).contains(&grams) => Ok(grams.round() as i64),
        _ => Err(format!("weight {text:?} is not a number of grams")),
    }
}

/// How many are there. Below zero is an oversold variant.
fn count(text: &str) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    match text.parse::<i64>() {
        Ok(count) if count.abs() <= 1_000_000_000 => Ok(count),
        _ => Err(format!("quantity {text:?} is not a whole number")),
    }
}

/// Exports put an apostrophe before digits, so that spreadsheets keep them as text.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('\'').unwrap_or(text)
}

fn is_false(text: &str) -> bool {
    text.eq_ignore_ascii_case("false")
}

fn is_continue(text: &str) -> bool {
    text.eq_ignore_ascii_case("continue") || text.eq_ignore_ascii_case("true")
}

fn error(row: &Row, message: impl Into<String>) -> RowError {
    RowError {
        line: row.line,
        message: message.into(),
    }
}

fn digest(rows: &[Row], priced_in: PricedIn) -> String {
    let mut hasher = Sha256::new();
    hasher.update(priced_in.currency.as_str());
    for field in rows.iter().flat_map(|row| &row.fields) {
        hasher.update(field.len().to_le_bytes());
        hasher.update(field);
    }
    hasher
        .finalize()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
