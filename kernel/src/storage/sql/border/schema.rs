//! A plugin's recorded schema: what its migrations have made so far, as stored with the plugin's version.
//!
//! The checker resolves every name against it, and nothing else; `store_id` is nowhere in it, so no text can name it.

use serde::{Deserialize, Serialize};

use super::{ColumnType, names, refusal::Refusal};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    pub plugin: String,
    /// In order of creation, which is an order in which foreign keys can be made.
    pub tables: Vec<Table>,
    /// Views that other plugins may be granted: stored text, sliced and inlined at each use.
    #[serde(default)]
    pub views: Vec<View>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    pub name: String,
    pub columns: Vec<Column>,
    pub primary_key: Vec<String>,
    pub uniques: Vec<Unique>,
    pub foreign_keys: Vec<ForeignKey>,
    pub checks: Vec<Check>,
    pub indexes: Vec<Index>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub kind: ColumnType,
    pub nullable: bool,
    pub has_default: bool,
}

/// Columns as the plugin wrote them: the leading `store_id` is implied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unique {
    pub name: String,
    pub columns: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    pub name: String,
    pub columns: Vec<String>,
    pub table: String,
    pub references: Vec<String>,
    /// Whether deleting the referenced row deletes this one; otherwise it is refused.
    pub cascade: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub name: String,
    /// The columns it reads: they cannot be dropped from under it.
    pub columns: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    pub name: String,
    pub unique: bool,
    /// Whether only some rows are indexed: such an index proves nothing about all rows.
    pub partial: bool,
    /// Every column it reads.
    pub columns: Vec<String>,
    /// Whether the keys are plain columns, so that a unique one can be a conflict target.
    pub plain: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    pub name: String,
    pub text: String,
}

impl Schema {
    pub fn empty(plugin: &str) -> Result<Schema, Refusal> {
        names::accept("plugin", plugin)?;
        Ok(Schema {
            plugin: plugin.to_owned(),
            tables: Vec::new(),
            views: Vec::new(),
        })
    }

    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    pub(super) fn table_mut(&mut self, name: &str) -> Option<&mut Table> {
        self.tables.iter_mut().find(|table| table.name == name)
    }
}

impl Table {
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The sets of columns that identify at most one row of a store.
    pub(super) fn keys(&self) -> impl Iterator<Item = &[String]> {
        let indexes = self
            .indexes
            .iter()
            .filter(|index| index.unique && index.plain && !index.partial);
        std::iter::once(self.primary_key.as_slice())
            .chain(self.uniques.iter().map(|unique| unique.columns.as_slice()))
            .chain(indexes.map(|index| index.columns.as_slice()))
    }
}
