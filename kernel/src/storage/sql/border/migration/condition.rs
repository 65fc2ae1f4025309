//! The expressions that DDL may hold: constants, and what one row says about itself.

use sqlparser::ast;

use super::super::ColumnType;
use super::super::check;
use super::super::dialect::{Engine, print_bare};
use super::super::refusal::Refusal;
use super::super::schema::Schema;
use super::super::tree::{Expr, Function, Node};
use super::refused;

/// A checked expression of DDL, printed for both engines.
pub(super) struct Condition {
    pub postgres: String,
    pub sqlite: String,
    /// The columns that it reads.
    pub columns: Vec<String>,
}

impl Condition {
    pub fn text(&self, engine: Engine) -> &str {
        match engine {
            Engine::Postgres => &self.postgres,
            Engine::Sqlite => &self.sqlite,
        }
    }
}

/// A condition on one row, for CHECK and partial indexes.
pub(super) fn condition(schema: &Schema, table: &str, expr: &ast::Expr) -> Result<Condition, Refusal> {
    printed(&check::condition(schema, table, expr)?)
}

/// An expression as the key of an index.
pub(super) fn key(schema: &Schema, table: &str, expr: &ast::Expr) -> Result<Condition, Refusal> {
    let key = check::over_columns(schema, table, expr)?;
    match key.kind {
        ColumnType::Jsonb | ColumnType::Bytea => Err(refused(format!(
            "{} cannot be indexed: index a text field of it",
            key.kind.sql()
        ))),
        _ => printed(&key),
    }
}

/// A column's default. SQLite adds a column only with a literal, so a literal is printed for it.
pub(super) fn default(schema: &Schema, expr: &ast::Expr, kind: ColumnType) -> Result<Condition, Refusal> {
    let value = check::constant(schema, expr, kind)?;
    let sqlite = match &value.node {
        Node::Boolean(true) => "1".to_owned(),
        Node::Boolean(false) => "0".to_owned(),
        Node::Integer(number) => number.to_string(),
        Node::Double(number) => number.clone(),
        _ => print_bare(&value, Engine::Sqlite),
    };
    Ok(Condition {
        postgres: print_bare(&value, Engine::Postgres),
        sqlite,
        columns: Vec::new(),
    })
}

fn printed(expr: &Expr) -> Result<Condition, Refusal> {
    let mut columns: Vec<String> = Vec::new();
    let mut refusal = None;
    expr.each(&mut |part| {
        match &part.node {
            Node::Column { name, .. } if !columns.contains(name) => columns.push(name.clone()),
            Node::Scalar(_) | Node::Exists { .. } | Node::InQuery { .. } | Node::InArray { .. } => {
                refusal = Some(refused("a subquery cannot stand in a constraint or an index"));
            }
            Node::Call {
                function: Function::Now,
                ..
            } => {
                refusal = Some(refused(
                    "now() cannot stand in a constraint or an index: its value changes",
                ));
            }
            // PostgreSQL indexes only what it knows never to change.
            Node::Call {
                function: Function::JsonArray | Function::JsonObject,
                ..
            } => {
                refusal = Some(refused(
                    "json_object and json_array cannot stand in a constraint or an index",
                ));
            }
            Node::Convert(value) if value.kind == ColumnType::Timestamptz => {
                refusal = Some(refused("a time cast to text cannot stand in a constraint or an index"));
            }
            _ => {}
        }
        refusal.is_none()
    });
    match refusal {
        Some(refusal) => Err(refusal),
        None => Ok(Condition {
            postgres: print_bare(expr, Engine::Postgres),
            sqlite: print_bare(expr, Engine::Sqlite),
            columns,
        }),
    }
}
