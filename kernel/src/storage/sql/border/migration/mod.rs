//! Schema changes: a plugin's migration file in, steps for both engines and the recorded schema after them out.
//!
//! DDL is never passed on: it is read into the recorded [`Schema`] and printed from it, with `store_id` first in every
//! table, key, unique constraint, foreign key and index. What is in no recorded schema exists in no database.
//!
//! Every step is classed. An *expanding* step leaves the version that is running intact. A *contracting* one takes away
//! what it may still use, so it may run only when no older version is current or in flight, and ends rollback.

mod alter;
mod condition;
mod index;
mod script;
mod table;

use std::sync::Arc;

use sqlparser::ast::{ObjectType, Statement};

use super::dialect::{Engine, table_name};
use super::names;
use super::refusal::{Refusal, RefusalKind, refuse_if};
use super::schema::Schema;
use super::{Border, Prepared, parse};

#[derive(Clone, Debug)]
pub struct Migration {
    /// In the order of the file. All DDL of a file belongs in one transaction.
    pub steps: Vec<Step>,
    pub schema_after: Schema,
    /// The former names of tables that it renames.
    pub renamed: Vec<String>,
    /// Contract if any step is.
    pub class: Class,
}

#[derive(Clone, Debug)]
pub enum Step {
    /// Runs once.
    Ddl {
        postgres: Vec<String>,
        sqlite: Vec<String>,
        class: Class,
        describes: String,
    },
    /// Runs once for every store, with the store's number as its one argument; where `each_new_store`, also for each
    /// store that is created later.
    Data {
        /// As the file has it: a later store's tables may have changed since, so that it must be prepared anew.
        text: String,
        prepared: Prepared,
        each_new_store: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    Expand,
    Contract,
}

/// Reads one migration file against the schema that the files before it left.
pub fn plan_migration(schema: &Schema, file: &str, text: &str) -> Result<Migration, Refusal> {
    let in_file = |refusal: Refusal| Refusal {
        message: format!("{file}: {}", refusal.message),
        ..refusal
    };
    let mut planner = Planner {
        schema: schema.clone(),
        before: schema,
        steps: Vec::new(),
        renamed: Vec::new(),
    };
    for piece in script::statements(text).map_err(in_file)? {
        planner.statement(&piece).map_err(in_file)?;
    }
    let class = planner.steps.iter().map(Step::class).max().unwrap_or(Class::Expand);
    Ok(Migration {
        steps: planner.steps,
        schema_after: planner.schema,
        renamed: planner.renamed,
        class,
    })
}

/// Removes all of a plugin's tables, with everything in them, those that are still there.
pub fn plan_drop(schema: &Schema) -> Step {
    // Last created first: a foreign key points only to a table that was there before, or to its own.
    let tables = || schema.tables.iter().rev();
    let drop = |engine| {
        tables().map(move |table| {
            let table = table_name(engine, &schema.plugin, &table.name);
            format!("drop table if exists {table}")
        })
    };
    let mut postgres: Vec<String> = drop(Engine::Postgres).collect();
    postgres.push(format!("drop schema if exists {}", names::quoted(&schema.plugin)));
    Step::Ddl {
        postgres,
        sqlite: drop(Engine::Sqlite).collect(),
        class: Class::Contract,
        describes: format!("drop all tables of plugin {}", schema.plugin),
    }
}

impl Step {
    pub fn class(&self) -> Class {
        match self {
            Step::Ddl { class, .. } => *class,
            Step::Data { .. } => Class::Expand,
        }
    }
}

struct Planner<'a> {
    /// As the steps so far leave it.
    schema: Schema,
    /// As the running version knows it: a table that is not in it can be changed freely.
    before: &'a Schema,
    steps: Vec<Step>,
    renamed: Vec<String>,
}

impl Planner<'_> {
    fn statement(&mut self, piece: &script::Piece) -> Result<(), Refusal> {
        let parsed = parse::one_statement(&piece.text)?;
        if piece.each_store
            && !matches!(
                parsed.statement,
                Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) | Statement::Query(_)
            )
        {
            return Err(refused(
                "`-- each store` stands before INSERT, UPDATE or DELETE: schema changes run once",
            ));
        }
        match &parsed.statement {
            Statement::CreateTable(create) => self.create_table(create),
            Statement::CreateIndex(create) => self.create_index(create),
            Statement::AlterTable(alter) => self.alter_table(alter),
            Statement::Drop {
                object_type,
                if_exists,
                names,
                cascade,
                restrict: _,
                purge,
                temporary,
                table,
            } => {
                refuse_if!(
                    *if_exists => "IF EXISTS is refused: a migration runs once, against the schema that the ones before it left",
                    *cascade => "CASCADE is refused: drop what depends on it first",
                    *purge || *temporary || table.is_some() => "DROP names tables or indexes and nothing else",
                );
                match object_type {
                    ObjectType::Table => names.iter().try_for_each(|name| self.drop_table(name)),
                    ObjectType::Index => names.iter().try_for_each(|name| self.drop_index(name)),
                    _ => Err(only()),
                }
            }
            Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) | Statement::Query(_) => {
                self.data(piece)
            }
            _ => Err(only()),
        }
    }

    fn data(&mut self, piece: &script::Piece) -> Result<(), Refusal> {
        let prepared = Border::new(Arc::new(self.schema.clone()), Vec::new()).prepare(&piece.text)?;
        refuse_if!(
            prepared.arguments > 0 => "a migration's statement has no arguments",
            !prepared.writes => "a SELECT does nothing in a migration",
            !prepared.columns.is_empty() => "nobody reads what a migration returns",
        );
        self.steps.push(Step::Data {
            text: piece.text.trim().to_owned(),
            prepared,
            each_new_store: piece.each_store,
        });
        Ok(())
    }

    fn drop_table(&mut self, name: &sqlparser::ast::ObjectName) -> Result<(), Refusal> {
        let name = names::written(names::single("the table", name)?);
        self.known(&name)?;
        let uses = |other: &&super::schema::Table| {
            other.name != name && other.foreign_keys.iter().any(|key| key.table == name)
        };
        if let Some(other) = self.schema.tables.iter().find(uses) {
            return Err(refused(format!(
                "{} has a foreign key to {name}: drop {} first",
                other.name, other.name
            )));
        }
        let class = self.class_of_change(&name);
        self.schema.tables.retain(|table| table.name != name);
        let plugin = self.schema.plugin.clone();
        self.ddl(class, format!("drop table {name}"), |engine| {
            format!("drop table {}", table_name(engine, &plugin, &name))
        });
        Ok(())
    }

    fn known(&self, table: &str) -> Result<&super::schema::Table, Refusal> {
        self.schema.table(table).ok_or_else(|| {
            Refusal::new(
                RefusalKind::UnknownName,
                format!("plugin {} has no table {table}", self.schema.plugin),
            )
        })
    }

    /// A new table, column or index of a plugin's own may not have the name of another relation.
    fn free(&self, name: &str) -> Result<(), Refusal> {
        let taken = self
            .schema
            .tables
            .iter()
            .any(|table| table.name == name || table.indexes.iter().any(|index| index.name == name));
        match taken {
            true => Err(refused(format!("there is already a table or index {name}"))),
            false => Ok(()),
        }
    }

    /// Taking something away harms the running version, unless this very migration made the table.
    fn class_of_change(&self, table: &str) -> Class {
        match self.before.table(table) {
            Some(_) => Class::Contract,
            None => Class::Expand,
        }
    }

    /// One text for each engine.
    fn ddl(&mut self, class: Class, describes: String, print: impl Fn(Engine) -> String) {
        let (postgres, sqlite) = (vec![print(Engine::Postgres)], vec![print(Engine::Sqlite)]);
        self.steps.push(Step::Ddl {
            postgres,
            sqlite,
            class,
            describes,
        });
    }
}

/// PostgreSQL's keys have at most 32 columns, the store's among them.
fn at_most(columns: usize) -> Result<(), Refusal> {
    refuse_if!(columns > 31 => format!("a key has at most 31 columns, and this has {columns}"));
    Ok(())
}

fn only() -> Refusal {
    refused(
        "a migration may create, alter and drop tables and indexes, and insert, update and delete rows; \
         views, functions, triggers, sequences and the like are refused",
    )
}

fn refused(message: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Migration, message)
}
