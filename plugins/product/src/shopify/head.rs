//! What is said of a product once: its texts, its state, the names of its options.

use commerce_sdk::import::Row;

use super::cells::{Cells, is_longer};
use super::columns::{Columns, Field};
use super::{Head, Remarks};
use crate::input::{distinct_tags, long_tag, some_text};
use crate::model::Status;

const LONGEST_TITLE: usize = 255;
const LONGEST_NAME: usize = 255;
const LONGEST_SEO_DESCRIPTION: usize = 1_000;
const LONGEST_OPTION_NAME: usize = 100;

/// From the first row with a title; none has one where the rows only add to a product.
pub fn of(columns: &Columns, rows: &[Row], remarks: &mut Remarks) -> Result<Option<Head>, String> {
    let titled = rows.iter().find(|row| !columns.get(row, Field::Title).is_empty());
    let Some(row) = titled else { return Ok(None) };
    let cells = Cells { columns, row };
    let title = cells.get(Field::Title);
    if is_longer(title, LONGEST_TITLE) {
        return Err(format!("has a title of more than {LONGEST_TITLE} characters"));
    }
    let option_names = option_names(cells, rows)?;
    Ok(Some(Head {
        title: title.to_owned(),
        description_html: cells.get(Field::Body).to_owned(),
        vendor: cells.short(Field::Vendor, "vendor", LONGEST_NAME, remarks),
        product_type: cells.short(Field::Type, "type", LONGEST_NAME, remarks),
        tags: tags(cells, remarks),
        status: status(cells, remarks),
        option_names,
        seo_title: some_text(Some(cells.short(Field::SeoTitle, "SEO title", LONGEST_NAME, remarks))),
        seo_description: some_text(Some(cells.short(
            Field::SeoDescription,
            "SEO description",
            LONGEST_SEO_DESCRIPTION,
            remarks,
        ))),
    }))
}

/// One for each column that has a name here or values in any row.
fn option_names(cells: Cells<'_>, rows: &[Row]) -> Result<Vec<String>, String> {
    let named = (0..3)
        .rev()
        .find(|option| !cells.get(Field::OptionName(*option)).is_empty());
    let used = named
        .map_or(0, |last| last + 1)
        .max(cells.columns.options_with_values(rows));
    let names = (0..used).map(|option| match cells.get(Field::OptionName(option)) {
        "" => format!("Option {}", option + 1),
        name => name.to_owned(),
    });
    let names: Vec<String> = names.collect();
    if names.iter().any(|name| is_longer(name, LONGEST_OPTION_NAME)) {
        return Err(format!(
            "has an option whose name is longer than {LONGEST_OPTION_NAME} characters"
        ));
    }
    Ok(if has_no_choice(cells, rows, &names) {
        Vec::new()
    } else {
        names
    })
}

/// How the format says that a product has no options.
fn has_no_choice(cells: Cells<'_>, rows: &[Row], names: &[String]) -> bool {
    let is_default = |row| matches!(cells.columns.get(row, Field::OptionValue(0)), "" | "Default Title");
    names.len() == 1 && matches!(cells.get(Field::OptionName(0)), "" | "Title") && rows.iter().all(is_default)
}

fn tags(cells: Cells<'_>, remarks: &mut Remarks) -> Vec<String> {
    let mut tags = distinct_tags(cells.get(Field::Tags).split(',').map(str::to_owned));
    tags.retain(|tag| {
        let long = long_tag(tag);
        if let Some(why) = &long {
            remarks.warn(cells.row.line, format!("a tag {why} and was left out"));
        }
        long.is_none()
    });
    tags
}

/// Newer exports have a status; a product that is active and yet not published is seen by nobody. Where either says
/// something unknown, staff shall look before shoppers do.
fn status(cells: Cells<'_>, remarks: &mut Remarks) -> Status {
    let status = cells.get(Field::Status);
    match status.to_ascii_lowercase().as_str() {
        "archived" => return Status::Archived,
        "draft" => return Status::Draft,
        "active" | "" => {}
        _ => {
            let message = format!("status {status:?} is unknown here: the product is a draft");
            remarks.warn(cells.row.line, message);
            return Status::Draft;
        }
    }
    match cells.truth(Field::Published) {
        Ok(Some(false)) => Status::Draft,
        Ok(_) => Status::Active,
        Err(text) => {
            let message = format!("published {text:?} is neither true nor false: the product is a draft");
            remarks.warn(cells.row.line, message);
            Status::Draft
        }
    }
}
