//! Importing a file that staff bring, piece by piece: `commerce import RESOURCE --format FORMAT FILE`.
//!
//! The kernel reads the file and calls the function named in `imports` of [`crate::plugin!`] with one [`Batch`] after
//! the other, each in its own transaction.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ImportBatch")]
pub struct Batch {
    pub header: Vec<String>,
    pub rows: Vec<Row>,
    /// Nothing comes behind these rows: all must be consumed.
    #[serde(default)]
    pub last: bool,
    /// What the operator wrote on the command line, for example the currency; what they left out may be null.
    #[serde(default)]
    pub options: BTreeMap<String, Value>,
}

impl Batch {
    /// An option that is a text; none where it was left out.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).and_then(Value::as_str)
    }
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(rename = "ImportRow")]
pub struct Row {
    /// In the file, from 1; the header counts.
    pub line: u64,
    pub fields: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "ImportReport")]
pub struct Report {
    /// How many of the rows were dealt with, errors included. The others come again, with more behind them.
    pub consumed: usize,
    pub created: usize,
    pub updated: usize,
    pub unchanged: usize,
    /// Rows that nothing was made of.
    pub errors: Vec<RowError>,
    /// Rows of which something was left out or taken otherwise than it was written.
    pub warnings: Vec<RowError>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ImportRowError")]
pub struct RowError {
    pub line: u64,
    pub message: String,
}
