//! What one row says of a variant.

use super::cells::{Cells, is_longer};
use super::columns::Field;
use super::{ImportedVariant, PricedIn, Remarks};
use crate::input::{long_option, long_sku, some_text};
use crate::model::Policy;
use crate::prices::parse_price;

const LONGEST_BARCODE: usize = 255;

pub fn of(
    cells: Cells<'_>,
    options: usize,
    priced_in: PricedIn,
    remarks: &mut Remarks,
) -> Result<ImportedVariant, String> {
    let price = |field, name: &str| {
        let text = cells.get(field);
        parse_price(text, priced_in.exponent).map_err(|why| format!("{name} {text:?} {why} ({})", priced_in.currency))
    };
    if cells.get(Field::Price).is_empty() {
        return Err("has no price".to_owned());
    }
    let amount = price(Field::Price, "price")?;
    let compare_at = match cells.get(Field::CompareAt) {
        "" => None,
        _ => Some(price(Field::CompareAt, "compare-at price")?),
    };
    Ok(ImportedVariant {
        line: cells.row.line,
        sku: sku(cells)?,
        option_values: option_values(cells, options)?,
        amount,
        compare_at,
        weight_g: weight_g(cells.get(Field::Grams))?,
        tracked: !matches!(cells.get(Field::Tracker), "") && cells.truth(Field::Tracker) != Ok(Some(false)),
        on_hand: count(cells.get(Field::Quantity))?,
        policy: policy(cells, remarks),
        requires_shipping: unless_denied(cells, Field::RequiresShipping, "requires shipping", remarks),
        taxable: unless_denied(cells, Field::Taxable, "taxable", remarks),
        barcode: barcode(cells, remarks),
        image_url: cells.url(Field::VariantImage, "variant image", remarks),
    })
}

fn sku(cells: Cells<'_>) -> Result<Option<String>, String> {
    let sku = unquoted(cells.get(Field::Sku));
    if let Some(why) = long_sku(sku) {
        return Err(format!("SKU {why}"));
    }
    Ok(some_text(Some(sku.to_owned())))
}

fn option_values(cells: Cells<'_>, options: usize) -> Result<Vec<String>, String> {
    let values = (0..options).map(|option| cells.get(Field::OptionValue(option)).to_owned());
    let values: Vec<String> = values.collect();
    if let Some(why) = values.iter().find_map(|value| long_option(value)) {
        return Err(format!("option value {why}"));
    }
    Ok(values)
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
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    match whole.parse::<i64>() {
        Ok(count) if count.abs() <= 1_000_000_000 && fraction.bytes().all(|digit| digit == b'0') => Ok(count),
        _ => Err(format!("quantity {text:?} is not a whole number")),
    }
}

fn policy(cells: Cells<'_>, remarks: &mut Remarks) -> Policy {
    let text = cells.get(Field::Policy);
    match (text.to_ascii_lowercase().as_str(), cells.truth(Field::Policy)) {
        ("continue", _) | (_, Ok(Some(true))) => Policy::Continue,
        ("deny", _) | (_, Ok(_)) => Policy::Deny,
        (_, Err(_)) => {
            let message = format!("inventory policy {text:?} is unknown: nothing is sold that is not there");
            remarks.warn(cells.row.line, message);
            Policy::Deny
        }
    }
}

fn unless_denied(cells: Cells<'_>, field: Field, name: &str, remarks: &mut Remarks) -> bool {
    cells.truth(field).map_or_else(
        |text| {
            let message = format!("{name} {text:?} is neither true nor false, and was taken as true");
            remarks.warn(cells.row.line, message);
            true
        },
        |said| said != Some(false),
    )
}

fn barcode(cells: Cells<'_>, remarks: &mut Remarks) -> Option<String> {
    let barcode = unquoted(cells.get(Field::Barcode));
    let why = if is_longer(barcode, LONGEST_BARCODE) {
        format!("is longer than {LONGEST_BARCODE} characters")
    } else if is_shortened(barcode) {
        "has lost digits in a spreadsheet".to_owned()
    } else {
        return some_text(Some(barcode.to_owned()));
    };
    let shown: String = barcode.chars().take(80).collect();
    remarks.warn(cells.row.line, format!("barcode {shown:?} {why} and was left out"));
    None
}

/// `8.85E+11`: what a spreadsheet program makes of a long number.
fn is_shortened(barcode: &str) -> bool {
    let Some((digits, power)) = barcode.split_once("E+").or_else(|| barcode.split_once("e+")) else {
        return false;
    };
    digits.contains(['.', ','])
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b".,".contains(&byte))
        && power.bytes().all(|byte| byte.is_ascii_digit())
}

/// Exports put an apostrophe before digits, so that spreadsheets keep them as text.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('\'').unwrap_or(text)
}
