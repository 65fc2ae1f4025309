//! ORDER BY, LIMIT and row locks.

use sqlparser::ast::{self, LimitClause, OrderByKind};

use super::super::ColumnType;
use super::super::names;
use super::super::refusal::{Refusal, RefusalKind, refuse_if};
use super::super::tree::{Expr, Id, Lock, Node, Order, OrderBy, Output, Wait};
use super::conditions::comparable;
use super::query::at_most;
use super::{Checker, rows};

impl Checker<'_> {
    pub(super) fn order(
        &mut self,
        order_by: Option<&ast::OrderBy>,
        outputs: &[Output],
        distinct: bool,
    ) -> Result<Vec<Order>, Refusal> {
        let keys = sort_list(order_by)?;
        let mut order = Vec::with_capacity(keys.len());
        for key in keys {
            order.push(match output_of(&key.expr, outputs)? {
                Some(index) => sorted(OrderBy::Output(index), &outputs[index - 1].clone().into_key(), key)?,
                None if distinct => {
                    return Err(Refusal::not_allowed(
                        "SELECT DISTINCT is sorted by the columns that it selects",
                    ));
                }
                None => {
                    let expr = self.expr(&key.expr, None)?;
                    sorted(OrderBy::Expr(expr.clone()), &expr, key)?
                }
            });
        }
        Ok(order)
    }

    /// The result of a UNION is sorted by its columns, by name or position.
    pub(super) fn order_of_outputs(
        &mut self,
        order_by: Option<&ast::OrderBy>,
        outputs: &[Output],
    ) -> Result<Vec<Order>, Refusal> {
        let sorted_by = |key: &ast::OrderByExpr| match output_of(&key.expr, outputs)? {
            Some(index) => sorted(OrderBy::Output(index), &outputs[index - 1].clone().into_key(), key),
            None => Err(Refusal::not_allowed(
                "the result of UNION, EXCEPT and INTERSECT is sorted by its columns only",
            )
            .within(rows::place(&key.expr))),
        };
        sort_list(order_by)?.iter().map(sorted_by).collect()
    }

    /// Sort keys that are plain expressions: those of windows and aggregates.
    pub(super) fn sort_keys(&mut self, keys: &[ast::OrderByExpr], what: &str) -> Result<Vec<Order>, Refusal> {
        let mut order = Vec::with_capacity(keys.len());
        for key in keys {
            if position(&key.expr)?.is_some() {
                return Err(Refusal::not_allowed(format!(
                    "ORDER BY of {what} takes expressions, not positions"
                )));
            }
            let expr = self.expr(&key.expr, None)?;
            order.push(sorted(OrderBy::Expr(expr.clone()), &expr, key)?);
        }
        Ok(order)
    }

    pub(super) fn limit(&mut self, clause: Option<&LimitClause>) -> Result<(Option<Expr>, Option<Expr>), Refusal> {
        let Some(clause) = clause else {
            return Ok((None, None));
        };
        let LimitClause::LimitOffset {
            limit,
            offset,
            limit_by,
        } = clause
        else {
            return Err(Refusal::not_allowed("LIMIT a, b is refused: write LIMIT b OFFSET a"));
        };
        refuse_if!(!limit_by.is_empty() => "LIMIT BY is refused");
        let limit = limit.as_ref().map(|limit| self.count(limit, "LIMIT")).transpose()?;
        let offset = offset
            .as_ref()
            .map(|offset| self.count(&offset.value, "OFFSET"))
            .transpose()?;
        refuse_if!(limit.is_none() && offset.is_some() => "OFFSET needs a LIMIT");
        Ok((limit, offset))
    }

    fn count(&mut self, count: &ast::Expr, what: &str) -> Result<Expr, Refusal> {
        let count = self.within_rows(Vec::new(), |checker| checker.expr_of(count, ColumnType::Bigint, what))?;
        match count.node {
            Node::Integer(_) | Node::Argument(_) => Ok(count),
            _ => Err(Refusal::not_allowed(format!("{what} takes a number or an argument"))),
        }
    }

    pub(super) fn locks(&mut self, locks: &[ast::LockClause]) -> Result<Vec<Lock>, Refusal> {
        let mut locked: Vec<Lock> = Vec::new();
        for ast::LockClause {
            lock_type,
            of,
            nonblock,
        } in locks
        {
            refuse_if!(*lock_type != ast::LockType::Update => "FOR SHARE is refused: write FOR UPDATE");
            let wait = match nonblock {
                None => Wait::Block,
                Some(ast::NonBlock::Nowait) => Wait::Fail,
                Some(ast::NonBlock::SkipLocked) => Wait::Skip,
            };
            let of = of
                .as_ref()
                .map(|name| names::single("the table", name))
                .transpose()?
                .map(names::written);
            let tables = self.frames.last().map_or(&[][..], |frame| &frame.tables);
            let named: Vec<_> = tables
                .iter()
                .filter(|table| of.as_ref().is_none_or(|of| table.written == *of))
                .collect();
            if let (Some(of), true) = (&of, named.is_empty()) {
                return Err(Refusal::new(
                    RefusalKind::UnknownName,
                    format!("no table {of} is in this FROM"),
                ));
            }
            if named.is_empty() || named.iter().any(|table| !table.lockable || table.outer_joined) {
                return Err(Refusal::not_allowed(
                    "FOR UPDATE locks rows of plain tables that are not left-joined: name them with FOR UPDATE OF",
                ));
            }
            let ids: Vec<Id> = named
                .iter()
                .map(|table| table.id)
                .filter(|id| locked.iter().all(|lock| lock.id != *id))
                .collect();
            locked.extend(ids.into_iter().map(|id| Lock { id, wait }));
        }
        self.locks |= !locked.is_empty();
        Ok(locked)
    }
}

impl Output {
    /// The output as a value to sort by, for its kind and whether it may be NULL.
    fn into_key(self) -> Expr {
        Expr {
            node: Node::Null,
            kind: self.kind,
            nullable: self.nullable,
            weight: self.weight,
        }
    }
}

fn sort_list(order_by: Option<&ast::OrderBy>) -> Result<&[ast::OrderByExpr], Refusal> {
    let Some(ast::OrderBy { kind, interpolate }) = order_by else {
        return Ok(&[]);
    };
    refuse_if!(interpolate.is_some() => "INTERPOLATE is refused");
    match kind {
        OrderByKind::Expressions(keys) => at_most(keys.len(), "ORDER BY").map(|()| keys.as_slice()),
        OrderByKind::All(_) => Err(Refusal::not_allowed("ORDER BY ALL is refused: name the columns")),
    }
}

/// The one-based output that a sort key names, by position or by name.
fn output_of(key: &ast::Expr, outputs: &[Output]) -> Result<Option<usize>, Refusal> {
    if let Some(position) = position(key)? {
        return match (1..=outputs.len()).contains(&position) {
            true => Ok(Some(position)),
            false => Err(Refusal::new(
                RefusalKind::UnknownName,
                format!("there is no column {position} to sort by"),
            )),
        };
    }
    let ast::Expr::Identifier(ident) = key else {
        return Ok(None);
    };
    let name = names::written(ident);
    let mut named = outputs.iter().enumerate().filter(|(_, output)| output.name == name);
    match (named.next(), named.next()) {
        (None, _) => Ok(None),
        (Some((index, _)), None) => Ok(Some(index + 1)),
        (Some(_), Some(_)) => Err(Refusal::new(
            RefusalKind::AmbiguousName,
            format!("more than one selected value is named {name}: sort by position or give them names of their own"),
        )
        .within(ident.span)),
    }
}

/// `order by 2`
pub(super) fn position(key: &ast::Expr) -> Result<Option<usize>, Refusal> {
    let ast::Expr::Value(value) = key else {
        return Ok(None);
    };
    match &value.value {
        ast::Value::Number(digits, false) => digits
            .parse()
            .map(Some)
            .map_err(|_| Refusal::not_allowed("this is not a position")),
        _ => Err(Refusal::not_allowed(
            "sorting or grouping by a constant is refused: name a column",
        )),
    }
}

/// PostgreSQL's default order of NULLs (last when ascending) is SQLite's the other way round: it is always said.
fn sorted(by: OrderBy, value: &Expr, key: &ast::OrderByExpr) -> Result<Order, Refusal> {
    let ast::OrderByExpr {
        expr: _,
        options: ast::OrderByOptions { sort, nulls_first },
        with_fill,
    } = key;
    refuse_if!(with_fill.is_some() => "WITH FILL is refused");
    comparable(value, true)?;
    let descending = match sort {
        None | Some(ast::OrderBySort::Asc) => false,
        Some(ast::OrderBySort::Desc) => true,
        Some(_) => {
            return Err(Refusal::not_allowed("ORDER BY … USING is refused: write ASC or DESC"));
        }
    };
    let nulls_first = value.nullable.then(|| nulls_first.unwrap_or(descending));
    Ok(Order {
        by,
        descending,
        nulls_first,
    })
}
