//! GROUP BY: every selected column is grouped or aggregated.
//!
//! SQLite would pick a value from any row, and PostgreSQL's "the primary key decides the rest" is lost behind a slice.

use super::super::refusal::{Refusal, RefusalKind};
use super::super::tree::{Expr, Id, Node};
use super::Checker;

/// Refuses a column of `own` tables that is neither in `group` nor inside an aggregate.
pub(super) fn check(expr: &Expr, group: &[Expr], own: &[Id]) -> Result<(), Refusal> {
    let mut loose = None;
    expr.each(&mut |part| {
        if loose.is_some() || group.contains(part) {
            return false;
        }
        match &part.node {
            Node::Column { id, name } if own.contains(id) => {
                loose = Some(name.clone());
                false
            }
            Node::Aggregate(aggregate) => aggregate.over.is_some(),
            _ => true,
        }
    });
    match loose {
        None => Ok(()),
        Some(name) => Err(Refusal::new(
            RefusalKind::Grouping,
            format!("the column {name} is neither in GROUP BY nor inside an aggregate: add it to GROUP BY"),
        )),
    }
}

/// An aggregate or window of this query, not of a subquery.
pub(super) fn has_aggregate(expr: &Expr) -> bool {
    found(expr, |_| true)
}

/// An aggregate that makes one row of many.
pub(super) fn has_plain_aggregate(expr: &Expr) -> bool {
    found(expr, |windowed| !windowed)
}

pub(super) fn has_subquery(expr: &Expr) -> bool {
    let mut found = false;
    expr.each(&mut |part| {
        found |= matches!(part.node, Node::Scalar(_) | Node::Exists { .. } | Node::InQuery { .. });
        !found
    });
    found
}

fn found(expr: &Expr, wanted: fn(bool) -> bool) -> bool {
    let mut found = false;
    expr.each(&mut |part| match &part.node {
        Node::Aggregate(aggregate) => {
            found |= wanted(aggregate.over.is_some());
            !found
        }
        Node::Scalar(_) | Node::Exists { .. } => false,
        Node::InQuery { values, .. } => {
            found |= values.iter().any(|value| self::found(value, wanted));
            false
        }
        _ => true,
    });
    found
}

impl Checker<'_> {
    /// Notes that the innermost query is aggregated.
    ///
    /// An aggregate over nothing but columns of an outer query belongs, in SQL, to that outer query: engines differ in
    /// how well they know it, and no one writes it on purpose.
    pub(super) fn mark_aggregated(
        &mut self,
        name: &str,
        arguments: &[Expr],
        filter: Option<&Expr>,
    ) -> Result<(), Refusal> {
        let Some((frame, around)) = self.frames.split_last_mut() else {
            return Ok(());
        };
        let own: Vec<Id> = frame.tables.iter().map(|table| table.id).collect();
        let outside: Vec<Id> = around
            .iter()
            .flat_map(|frame| &frame.tables)
            .map(|table| table.id)
            .collect();
        let (mut inner, mut outer) = (false, false);
        for expr in arguments.iter().chain(filter) {
            expr.each(&mut |part| {
                if let Node::Column { id, .. } = &part.node {
                    inner |= own.contains(id);
                    outer |= outside.contains(id);
                }
                true
            });
        }
        if outer && !inner {
            return Err(Refusal::new(
                RefusalKind::Grouping,
                format!("{name} reads only columns of an outer query: aggregate there"),
            ));
        }
        frame.aggregated = true;
        Ok(())
    }
}
