//! Shopify's product CSV: what its rows say, as products.
//!
//! A product is the run of rows with one handle. The first has its texts and the names of its options; each row with
//! option values, a SKU or a price is a variant; each with an image adds one, and rows with nothing else are common. Real
//! exports repeat SKUs, leave them out, price a variant above its compare-at price and keep HTML over many lines: none of
//! it is an error. A row that can't be used is reported by its line, and the rest of its product is kept. A value that a
//! product can do without is left out with a warning where it can't be kept, and never in silence.
//!
//! [`read`] knows nothing of what is in the store; [`merge`] lays what it read over the product of that handle.

mod cells;
mod columns;
mod head;
mod merge;
mod remarks;
#[cfg(test)]
mod tests;
mod variant;

use commerce_sdk::import::{Batch, Row};
use commerce_sdk::money::Currency;
use sha2::{Digest, Sha256};

use crate::model::{Policy, Status, same_options};

use cells::Cells;
use columns::{Columns, Field};
pub use merge::{claim_skus, merge, slug_of};
pub use remarks::Remarks;

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
    pub remarks: Remarks,
}

/// One run of rows.
#[derive(Debug)]
pub struct Imported {
    /// Of all its rows; there is at least one.
    pub lines: Vec<u64>,
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
        let handle = columns.handle(&rows[0]);
        if handle.chars().any(char::is_alphanumeric) {
            let product = product(&columns, rows, priced_in, &mut read.remarks);
            read.products.extend(product);
            continue;
        }
        let spoken = rows
            .iter()
            .filter(|row| row.fields.iter().any(|field| !field.trim().is_empty()));
        for row in spoken {
            read.remarks.wrong(row.line, "has no handle");
        }
    }
    Ok(read)
}

fn product(columns: &Columns, rows: &[Row], priced_in: PricedIn, remarks: &mut Remarks) -> Option<Imported> {
    let handle = columns.handle(&rows[0]).to_owned();
    let lines: Vec<u64> = rows.iter().map(|row| row.line).collect();
    let head = match head::of(columns, rows, remarks) {
        Ok(head) => head,
        Err(why) => {
            remarks.refuse(&lines, why);
            return None;
        }
    };
    let slug = slug_of(&handle);
    if slug != handle.to_lowercase() && head.is_some() {
        remarks.warn(lines[0], format!("the handle {handle:?} becomes {slug:?}"));
    }
    let options = match &head {
        Some(head) => head.option_names.len(),
        None => columns.options_with_values(rows),
    };
    let mut product = Imported {
        digest: digest(rows, priced_in),
        images: images(columns, rows, remarks),
        variants: Vec::new(),
        lines,
        handle,
        head,
    };
    for row in rows.iter().filter(|row| columns.is_variant(row)) {
        match variant::of(Cells { columns, row }, options, priced_in, remarks) {
            Ok(variant) => match taken_by(&product.variants, &variant) {
                Some(line) => remarks.wrong(row.line, format!("has the same option values as line {line}")),
                None => product.variants.push(variant),
            },
            Err(message) => remarks.wrong(row.line, message),
        }
    }
    Some(product)
}

/// In the order of their positions; those without one come last, as they stand in the file.
fn images(columns: &Columns, rows: &[Row], remarks: &mut Remarks) -> Vec<Image> {
    let mut images: Vec<(u32, Image)> = Vec::new();
    for row in rows {
        let cells = Cells { columns, row };
        let Some(url) = cells.url(Field::ImageUrl, "image", remarks) else {
            continue;
        };
        if images.iter().any(|(_, known)| known.url == url) {
            continue;
        }
        let position = match cells.get(Field::ImagePosition) {
            "" => u32::MAX,
            text => text.parse().unwrap_or_else(|_| {
                remarks.warn(
                    row.line,
                    format!("image position {text:?} is not a number: the image comes last"),
                );
                u32::MAX
            }),
        };
        let alt = cells.short(Field::ImageAlt, "image alt text", LONGEST_ALT, remarks);
        images.push((position, Image { url, alt }));
    }
    images.sort_by_key(|(position, _)| *position);
    images.into_iter().map(|(_, image)| image).collect()
}

const LONGEST_ALT: usize = 500;

/// The line that has the same option values.
fn taken_by(variants: &[ImportedVariant], variant: &ImportedVariant) -> Option<u64> {
    variants
        .iter()
        .find(|other| same_options(&other.option_values, &variant.option_values))
        .map(|other| other.line)
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
