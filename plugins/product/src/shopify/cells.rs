//! The cells of one row, and what their texts mean.

use commerce_sdk::import::Row;

use super::Remarks;
use super::columns::{Columns, Field};
use crate::input::is_reference;

const LONGEST_URL: usize = 2_000;

#[derive(Clone, Copy)]
pub struct Cells<'a> {
    pub columns: &'a Columns,
    pub row: &'a Row,
}

impl<'a> Cells<'a> {
    /// Trimmed; empty where the file has no such column.
    pub fn get(&self, field: Field) -> &'a str {
        self.columns.get(self.row, field)
    }

    /// A text that the product can do without.
    pub fn short(&self, field: Field, name: &str, most: usize, remarks: &mut Remarks) -> String {
        let text = self.get(field);
        if is_longer(text, most) {
            let message = format!("{name} is longer than {most} characters and was left out");
            remarks.warn(self.row.line, message);
            return String::new();
        }
        text.to_owned()
    }

    /// The address of a picture.
    pub fn url(&self, field: Field, name: &str, remarks: &mut Remarks) -> Option<String> {
        let url = self.get(field);
        if url.is_empty() {
            return None;
        }
        if !is_reference(url) || is_longer(url, LONGEST_URL) {
            let shown: String = url.chars().take(80).collect();
            let message = format!("{name} {shown:?} is no address of a picture and was left out");
            remarks.warn(self.row.line, message);
            return None;
        }
        Some(url.to_owned())
    }

    /// True or false; none where nothing is said. Spreadsheet programs write these words in the language of their user.
    pub fn truth(&self, field: Field) -> Result<Option<bool>, &'a str> {
        let text = self.get(field);
        match text.to_ascii_lowercase().as_str() {
            "" => Ok(None),
            "true" | "yes" | "1" => Ok(Some(true)),
            "false" | "no" | "0" => Ok(Some(false)),
            _ => Err(text),
        }
    }
}

pub fn is_longer(text: &str, most: usize) -> bool {
    text.chars().nth(most).is_some()
}
