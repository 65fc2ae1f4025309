//! The allow-list: turns the parser's tree into [`tree`](super::tree), or says why not.
//!
//! Every match over the parser's nodes names each of them, and every struct is taken apart field by field, so that a
//! construct which a later version of the parser learns is a compile error here and not a hole.

mod aggregates;
mod conditions;
mod expr;
mod from;
mod functions;
mod grouping;
mod literals;
mod operators;
mod order;
mod outputs;
mod query;
mod returning;
mod rows;
mod scope;
mod sets;
mod types;
mod upsert;
mod views;
mod with;
mod write;

use sqlparser::ast;

use super::parse::{self, Parsed};
use super::refusal::{Refusal, RefusalKind, refuse_if};
use super::schema::Schema;
use super::tree::{Id, Statement, With};
use super::{ColumnType, ForeignView, OutputColumn, TableAccess};
use scope::{CommonEntry, Frame};
pub(super) use types::named as named_type;

/// Beyond this many levels of expressions and queries a statement is refused.
const DEEPEST: usize = 100;
/// SQLite joins at most 64 tables, and a planner's time grows quickly with their number.
const MOST_SOURCES: usize = 48;

pub(super) struct Checked {
    pub statement: Statement,
    pub argument_types: Vec<ColumnType>,
    pub columns: Vec<OutputColumn>,
    pub tables: Vec<TableAccess>,
    pub writes: bool,
}

pub(super) fn statement(schema: &Schema, views: &[ForeignView], parsed: &Parsed) -> Result<Checked, Refusal> {
    let mut checker = Checker::new(schema, views, parsed.arguments);
    let (statement, columns) = checker.statement(&parsed.statement)?;
    let argument_types = checker.resolved_arguments()?;
    let writes = checker.locks || !matches!(statement, Statement::Query(_));
    Ok(Checked {
        statement,
        argument_types,
        columns,
        tables: checker.tables,
        writes,
    })
}

/// Checks a view's text as its own plugin would run it.
pub(super) fn view(schema: &Schema, text: &str) -> Result<(), Refusal> {
    let mut checker = Checker::new(schema, &[], 0);
    checker.view_text(text).map(|_| ())
}

/// Checks a condition over one table's columns, for a CHECK constraint or a partial index.
pub(super) fn condition(schema: &Schema, table: &str, condition: &ast::Expr) -> Result<super::tree::Expr, Refusal> {
    let mut checker = Checker::new(schema, &[], 0);
    checker.over_table(table, |checker| checker.boolean(condition))
}

/// Checks an expression over one table's columns, for an index key.
pub(super) fn over_columns(schema: &Schema, table: &str, key: &ast::Expr) -> Result<super::tree::Expr, Refusal> {
    let mut checker = Checker::new(schema, &[], 0);
    checker.over_table(table, |checker| checker.expr(key, None))
}

/// A constant of the given kind, for a column's default.
pub(super) fn constant(schema: &Schema, value: &ast::Expr, kind: ColumnType) -> Result<super::tree::Expr, Refusal> {
    let mut checker = Checker::new(schema, &[], 0);
    let value = checker.within_rows(Vec::new(), |checker| checker.expr_of(value, kind, "the default"))?;
    let mut constant = true;
    value.each(&mut |part| {
        constant &= literals::is_literal(part);
        true
    });
    match constant {
        true => Ok(value),
        false => Err(Refusal::new(
            RefusalKind::Migration,
            "a default must be a constant: let the plugin compute it and insert it",
        )),
    }
}

struct Checker<'a> {
    /// Whose names a text may use: the plugin's own, or inside an inlined view its owner's.
    schema: &'a Schema,
    views: &'a [ForeignView],
    arguments: Vec<Option<ColumnType>>,
    /// Innermost last.
    frames: Vec<Frame>,
    common: Vec<CommonEntry>,
    named: Id,
    depth: usize,
    sources: usize,
    tables: Vec<TableAccess>,
    locks: bool,
}

impl<'a> Checker<'a> {
    fn new(schema: &'a Schema, views: &'a [ForeignView], arguments: usize) -> Self {
        Checker {
            schema,
            views,
            arguments: vec![None; arguments],
            frames: Vec::new(),
            common: Vec::new(),
            named: 0,
            depth: 0,
            sources: 0,
            tables: Vec::new(),
            locks: false,
        }
    }

    fn statement(&mut self, statement: &ast::Statement) -> Result<(Statement, Vec<OutputColumn>), Refusal> {
        match statement {
            ast::Statement::Query(query) => self.top_query(query),
            ast::Statement::Insert(insert) => self.insert(With::default(), insert),
            ast::Statement::Update(update) => self.update(With::default(), update),
            ast::Statement::Delete(delete) => self.delete(With::default(), delete),
            ast::Statement::CreateTable(_)
            | ast::Statement::CreateIndex(_)
            | ast::Statement::AlterTable(_)
            | ast::Statement::Drop { .. } => {
                Err(Refusal::not_allowed("schema changes belong in the plugin's migrations"))
            }
            ast::Statement::StartTransaction { .. }
            | ast::Statement::Commit { .. }
            | ast::Statement::Rollback { .. } => Err(Refusal::not_allowed(
                "transactions are opened with sql.transaction, not with SQL",
            )),
            // The one place where naming each is not worth a page: there are 150 kinds, and this refuses all of them.
            _ => Err(Refusal::not_allowed(
                "a plugin may send SELECT, INSERT, UPDATE and DELETE, nothing else",
            )),
        }
    }

    /// WITH before a query, or before INSERT, UPDATE or DELETE.
    fn top_query(&mut self, query: &ast::Query) -> Result<(Statement, Vec<OutputColumn>), Refusal> {
        let write = match query.body.as_ref() {
            ast::SetExpr::Insert(write) | ast::SetExpr::Update(write) | ast::SetExpr::Delete(write) => write,
            _ => {
                let query = self.query(query, &query::Want::default())?;
                let columns = query
                    .columns
                    .iter()
                    .map(|c| OutputColumn {
                        name: c.name.clone(),
                        kind: Some(c.kind),
                    })
                    .collect();
                return Ok((Statement::Query(query), columns));
            }
        };
        let ast::Query {
            with,
            body: _,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        refuse_if!(
            order_by.is_some()
                || limit_clause.is_some()
                || fetch.is_some()
                || !locks.is_empty()
                || for_clause.is_some()
                || settings.is_some()
                || format_clause.is_some()
                || !pipe_operators.is_empty() => "ORDER BY, LIMIT and FOR UPDATE do not go with INSERT, UPDATE or DELETE",
        );
        let with = self.with(with.as_ref())?;
        match write {
            ast::Statement::Insert(insert) => self.insert(with, insert),
            ast::Statement::Update(update) => self.update(with, update),
            ast::Statement::Delete(delete) => self.delete(with, delete),
            _ => Err(Refusal::not_allowed("only INSERT, UPDATE and DELETE follow WITH")),
        }
    }

    fn resolved_arguments(&self) -> Result<Vec<ColumnType>, Refusal> {
        let unresolved = |index: usize| {
            Refusal::new(
                RefusalKind::Parameters,
                format!(
                    "nothing tells the type of ${}: write for example cast(${} as text)",
                    index + 1,
                    index + 1
                ),
            )
        };
        self.arguments
            .iter()
            .enumerate()
            .map(|(index, kind)| kind.ok_or_else(|| unresolved(index)))
            .collect()
    }

    fn name(&mut self) -> Id {
        self.named += 1;
        self.named
    }

    /// Notes a table for the database's own wall.
    fn touches(&mut self, plugin: &str, table: &str, writes: bool) {
        match self
            .tables
            .iter_mut()
            .find(|seen| seen.plugin == plugin && seen.table == table)
        {
            Some(seen) => seen.writes |= writes,
            None => self.tables.push(TableAccess {
                plugin: plugin.to_owned(),
                table: table.to_owned(),
                writes,
            }),
        }
    }

    fn deeper<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T, Refusal>) -> Result<T, Refusal> {
        if self.depth >= DEEPEST {
            return Err(Refusal::new(
                RefusalKind::TooLarge,
                "the statement is nested too deeply: split it",
            ));
        }
        self.depth += 1;
        let result = step(self);
        self.depth -= 1;
        result
    }
}
