//! The border between a plugin's SQL text and the database.
//!
//! A plugin writes SQL in PostgreSQL's dialect for its own tables, as if there were one store. This module parses
//! the text, refuses all that is not on its allow-lists, slices every table to one store, translates the result to
//! both engines and proves what it printed. It does no input or output and knows no connection: text and recorded
//! schema in, [`Prepared`] or [`Refusal`] out.
//!
//! [`parse`] bounds and parses the text; [`check`] walks the allow-lists and turns the parser's tree into [`tree`], a
//! small closed language with a kind for every value; [`dialect`] prints it for each engine; [`prove`] reads the printed
//! text again and proves its slices. [`migration`] does the same for schema changes.

mod check;
mod dialect;
mod migration;
mod names;
mod parse;
mod prove;
mod refusal;
mod schema;
mod tree;
mod walk;

use std::sync::Arc;

pub use migration::{Class, Migration, Step, plan_drop, plan_migration};
pub use refusal::{Place, Refusal, RefusalKind};
pub use schema::{Check, Column, ForeignKey, Index, Schema, Table, Unique, View};

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    pub postgres: String,
    pub sqlite: String,
    /// k: how many arguments the plugin must send, no more and no fewer.
    pub arguments: usize,
    /// The type of each argument: it follows from the text, or the text is refused. PostgreSQL is told the same.
    pub argument_types: Vec<ColumnType>,
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

/// A view that another plugin exports and the operator granted to this one.
#[derive(Clone, Debug)]
pub struct ForeignView {
    pub plugin: String,
    pub name: String,
    pub text: String,
    /// Its owner's schema: the text means what it means there.
    pub schema: Arc<Schema>,
}

/// Bytes of a printed text: what SQLite takes, with room for the comment that names the plugin.
const LONGEST_PRINTED: usize = 500 << 10;

/// What one version of a plugin may say.
#[derive(Clone, Debug)]
pub struct Border {
    schema: Arc<Schema>,
    views: Vec<ForeignView>,
}

impl Border {
    pub fn new(schema: Arc<Schema>, views: Vec<ForeignView>) -> Border {
        Border { schema, views }
    }

    /// Checks, slices and translates one statement. Tens of microseconds: keep the answer by text.
    pub fn prepare(&self, text: &str) -> Result<Prepared, Refusal> {
        let parsed = parse::one_statement(text)?;
        let checked = check::statement(&self.schema, &self.views, &parsed)?;
        let prepared = Prepared {
            postgres: dialect::print(&checked.statement, dialect::Engine::Postgres, &checked.argument_types),
            sqlite: dialect::print(&checked.statement, dialect::Engine::Sqlite, &checked.argument_types),
            arguments: parsed.arguments,
            argument_types: checked.argument_types,
            writes: checked.writes,
            columns: checked.columns,
            tables: checked.tables,
        };
        for (engine, text) in [
            (dialect::Engine::Postgres, &prepared.postgres),
            (dialect::Engine::Sqlite, &prepared.sqlite),
        ] {
            if text.len() > LONGEST_PRINTED {
                return Err(Refusal::new(
                    RefusalKind::TooLarge,
                    "with its slices this statement is too long for SQLite: name the columns that you need, or split it",
                ));
            }
            prove::Printed {
                engine,
                text,
                arguments: prepared.arguments,
                tables: &prepared.tables,
            }
            .prove()?;
        }
        Ok(prepared)
    }
}

/// Every word that a prepared text can hold outside quotes, besides the kernel's own numbered names: the measure by
/// which a test knows that it has tried all there is.
pub fn vocabulary() -> &'static [&'static str] {
    prove::VOCABULARY
}

/// Whether a text is JSON that both engines take: PostgreSQL's texts have no zero character, and no half of one that is
/// written as two.
pub(super) fn is_json(text: &str) -> bool {
    use serde::de::IgnoredAny;
    if !text.contains("\\u") {
        return serde_json::from_str::<IgnoredAny>(text).is_ok();
    }
    serde_json::from_str(text).is_ok_and(|value| !has_zero(&value))
}

fn has_zero(value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_zero),
        Value::Object(members) => members.iter().any(|(key, value)| key.contains('\0') || has_zero(value)),
    }
}

impl Schema {
    /// Records the views that the plugin's manifest exports: each is checked as the plugin itself would run it.
    pub fn with_views(mut self, views: Vec<View>) -> Result<Schema, Refusal> {
        for view in &views {
            names::accept("view", &view.name)?;
            check::view(&self, &view.text)?;
        }
        self.views = views;
        Ok(self)
    }
}
