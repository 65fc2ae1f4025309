//! WITH and WITH RECURSIVE.

use sqlparser::ast::{self, SetExpr};

use super::super::names;
use super::super::refusal::{Refusal, RefusalKind, refuse_if};
use super::super::tree::{Body, CommonTable, Id, Join, Query, SetOperator, Source, With};
use super::query::Want;
use super::scope::{CommonEntry, VisibleColumn, columns_of};
use super::sets::{quantifier, same_shape};
use super::{Checker, grouping};

/// A row of CTE columns may be doubled at each step of a recursion: two copies of such a column are too many.
const RECURSIVE_WEIGHT: u32 = super::expr::HEAVIEST / 2 + 1;

impl Checker<'_> {
    /// Leaves the entries in scope; the caller takes them out.
    pub(super) fn with(&mut self, with: Option<&ast::With>) -> Result<With, Refusal> {
        let Some(ast::With {
            with_token: _,
            recursive,
            cte_tables,
        }) = with
        else {
            return Ok(With::default());
        };
        let mut tables = Vec::with_capacity(cte_tables.len());
        let visible = self.common.len();
        for ast::Cte {
            alias,
            query,
            from,
            materialized,
            closing_paren_token: _,
        } in cte_tables
        {
            refuse_if!(
                from.is_some() => "FROM after a common table expression is refused",
                materialized.is_some() => "MATERIALIZED is refused: the engines decide",
            );
            let ast::TableAlias {
                explicit: _,
                name,
                columns,
                at,
            } = alias;
            refuse_if!(at.is_some() => "AT after a name is refused");
            let written = names::written(name);
            if self.common[visible..].iter().any(|entry| entry.written == written) {
                return Err(Refusal::new(
                    RefusalKind::AmbiguousName,
                    format!("{written} is defined twice in WITH"),
                ));
            }
            let id = self.name();
            let (query, columns) = match *recursive && mentions(query, &written) {
                true => self.recursive_table(&written, id, query, columns)?,
                false => {
                    let query = self.query(query, &Want::default())?;
                    let columns = renamed(columns_of(&query.columns), columns, &written)?;
                    (query, columns)
                }
            };
            tables.push(CommonTable { id, query });
            self.common.push(CommonEntry {
                written,
                id,
                columns,
                uses: None,
            });
        }
        Ok(With {
            recursive: *recursive,
            tables,
        })
    }

    /// `first UNION [ALL] step`, where the step reads the table once.
    fn recursive_table(
        &mut self,
        written: &str,
        id: Id,
        query: &ast::Query,
        given: &[ast::TableAliasColumnDef],
    ) -> Result<(Query, Vec<VisibleColumn>), Refusal> {
        let shape = || {
            Refusal::not_allowed(format!(
                "{written} refers to itself: write it as SELECT … UNION [ALL] SELECT … FROM {written} …, nothing after it"
            ))
        };
        let ast::Query {
            with: None,
            body,
            order_by: None,
            limit_clause: None,
            fetch: None,
            locks,
            ..
        } = query
        else {
            return Err(shape());
        };
        let SetExpr::SetOperation {
            left,
            op: ast::SetOperator::Union,
            set_quantifier,
            right,
        } = body.as_ref()
        else {
            return Err(shape());
        };
        let all = quantifier(set_quantifier)?;
        let (SetExpr::Select(first), SetExpr::Select(step), true) = (left.as_ref(), right.as_ref(), locks.is_empty())
        else {
            return Err(shape());
        };
        let first = self.select(first, None, &[], &Want::default())?;
        let (left, mut columns) = (first.body, first.columns);
        for column in &mut columns {
            column.nullable = true;
            column.weight = RECURSIVE_WEIGHT;
        }
        let entry = CommonEntry {
            written: written.to_owned(),
            id,
            columns: renamed(columns_of(&columns), given, written)?,
            uses: Some(0),
        };
        self.common.push(entry);
        let step = self.select(step, None, &[], &Want::of(&columns));
        let uses = self.common.pop().and_then(|entry| entry.uses);
        let step = step?;
        let (right, stepped) = (step.body, step.columns);
        let Body::Select(select) = &right else {
            return Err(shape());
        };
        // What PostgreSQL refuses in a step, and SQLite partly runs.
        let plain = !select.distinct && select.group.is_empty() && select.having.is_none();
        let read_once = select
            .from
            .iter()
            .filter(|from| from.source == Source::CommonTable(id))
            .count()
            == 1
            && uses == Some(1)
            && !select.from.iter().any(|from| matches!(from.join, Join::Left(_)));
        let aggregated = select.items.iter().any(grouping::has_aggregate);
        if !plain || !read_once || aggregated {
            return Err(Refusal::not_allowed(format!(
                "the step of {written} reads it exactly once in its FROM, joined by inner joins, without DISTINCT, groups, aggregates or windows"
            )));
        }
        same_shape(&columns, &stepped)?;
        for column in &mut columns {
            column.weight = super::expr::HEAVIEST / 8;
        }
        let visible = renamed(columns_of(&columns), given, written)?;
        let body = Body::Set {
            operator: SetOperator::Union,
            all,
            left: Box::new(left),
            right: Box::new(right),
        };
        let query = Query {
            with: With::default(),
            body,
            order: Vec::new(),
            limit: None,
            offset: None,
            locks: Vec::new(),
            columns,
        };
        Ok((query, visible))
    }
}

/// `with t(a, b) as …`: gives the columns these names.
pub(super) fn renamed(
    mut columns: Vec<VisibleColumn>,
    given: &[ast::TableAliasColumnDef],
    table: &str,
) -> Result<Vec<VisibleColumn>, Refusal> {
    if given.len() > columns.len() {
        return Err(Refusal::wrong_type(format!(
            "{table} has {} columns, and {} are named",
            columns.len(),
            given.len()
        )));
    }
    for (column, ast::TableAliasColumnDef { name, data_type }) in columns.iter_mut().zip(given) {
        refuse_if!(data_type.is_some() => "types after a table's name go with json_rows only");
        column.written = names::written(name);
    }
    Ok(columns)
}

/// Whether a table of this name may be read somewhere inside. Only decides how a WITH RECURSIVE entry is checked.
fn mentions(query: &ast::Query, name: &str) -> bool {
    use std::ops::ControlFlow;
    ast::visit_relations(query, |relation| match names::single("the table", relation) {
        Ok(ident) if names::written(ident) == name => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .is_break()
}
