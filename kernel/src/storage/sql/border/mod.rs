//! The border between a plugin's SQL text and the database.
//!
//! A plugin writes SQL in PostgreSQL's dialect for its own tables, as if there were one store. This module parses
//! the text, refuses all that is not on its allow-lists, slices every table to one store, translates the result to
//! both engines and proves what it printed. It does no input or output and knows no connection: text and recorded
//! schema in, [`Prepared`] or [`Refusal`] out.

/// The types a plugin's column can have. There are no others: each of these means the same on both engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    Text,
    Bigint,
    Boolean,
    Double,
    Timestamptz,
    Jsonb,
    Bytea,
}

/// One text that passed the border, ready to run on either engine.
///
/// Both texts take the plugin's own arguments `$1..$k` (on SQLite `?1..?k`) and the store's number as `$k+1`.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub postgres: String,
    pub sqlite: String,
    /// k: how many arguments the plugin must send, no more and no fewer.
    pub arguments: usize,
    /// The type each argument is compared with or stored into, where the text tells.
    pub argument_types: Vec<Option<ColumnType>>,
    /// False for a plain SELECT without a row lock, which may run on a reading connection outside a transaction.
    pub writes: bool,
    /// The columns of the answer in order; empty where the statement returns no rows.
    pub columns: Vec<OutputColumn>,
    /// The physical tables that the statement touches and how: what the database's own wall allows for this text.
    pub tables: Vec<TableAccess>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputColumn {
    pub name: String,
    /// Known for columns, literals, casts, comparisons, aggregates …; an answer is decoded by it where the engine
    /// itself does not tell (SQLite returns a boolean expression as an integer).
    pub kind: Option<ColumnType>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableAccess {
    pub plugin: String,
    pub table: String,
    pub writes: bool,
}
