//! Whether a subquery can give more than one row, and where in the text things stand.

use sqlparser::ast::{self, Spanned};
use sqlparser::tokenizer::Span;

use super::super::tree::{Body, Comparison, Expr, Id, Join, Node, Query, Select, Source};
use super::{Checker, grouping};

pub(super) fn place(expr: &ast::Expr) -> Span {
    expr.span()
}

impl Checker<'_> {
    /// PostgreSQL fails where a scalar subquery has a second row and SQLite takes the first: so there must be none.
    pub(super) fn at_most_one_row(&self, query: &Query) -> bool {
        if matches!(
            query.limit,
            Some(Expr {
                node: Node::Integer(0 | 1),
                ..
            })
        ) {
            return true;
        }
        let Body::Select(select) = &query.body else {
            return false;
        };
        let aggregated = select.items.iter().any(grouping::has_plain_aggregate) && select.group.is_empty();
        aggregated || select.from.is_empty() || self.pinned_by_keys(select)
    }

    /// Every table of the FROM is pinned by a key whose columns all equal something already known.
    fn pinned_by_keys(&self, select: &Select) -> bool {
        let mut unknown: Vec<Id> = select.from.iter().map(|from| from.id).collect();
        let mut equal = Vec::new();
        if let Some(filter) = &select.filter {
            equalities(filter, &mut equal);
        }
        for from in &select.from {
            match &from.join {
                // A left join keeps every row on its left: its ON pins nothing but its own table, below.
                Join::Cross | Join::Left(_) => {}
                Join::Inner(on) => equalities(on, &mut equal),
            }
        }
        loop {
            let pinned = select
                .from
                .iter()
                .filter(|from| unknown.contains(&from.id))
                .find(|from| {
                    let Source::Slice { table, .. } = &from.source else {
                        return false;
                    };
                    let Some(table) = self.schema.table(table) else {
                        return false;
                    };
                    let mut equal = equal.clone();
                    if let Join::Left(on) = &from.join {
                        equalities(on, &mut equal);
                    }
                    let known = |column: &str| {
                        equal.iter().any(|(column_side, other)| {
                            is_column(column_side, from.id, column) && !reads(other, &unknown)
                        })
                    };
                    table.keys().any(|key| key.iter().all(|column| known(column)))
                });
            match pinned {
                Some(from) => unknown.retain(|id| *id != from.id),
                None => return unknown.is_empty(),
            }
        }
    }
}

/// The `a = b` that must all hold, each both ways round.
fn equalities<'e>(condition: &'e Expr, found: &mut Vec<(&'e Expr, &'e Expr)>) {
    match &condition.node {
        Node::All(parts) => parts.iter().for_each(|part| equalities(part, found)),
        Node::Compare {
            operator: Comparison::Equal,
            left,
            right,
        } => {
            found.push((left, right));
            found.push((right, left));
        }
        _ => {}
    }
}

fn is_column(expr: &Expr, id: Id, name: &str) -> bool {
    matches!(&expr.node, Node::Column { id: found, name: column } if *found == id && column == name)
}

fn reads(expr: &Expr, tables: &[Id]) -> bool {
    let mut found = false;
    expr.each(&mut |part| {
        found |= matches!(&part.node, Node::Column { id, .. } if tables.contains(id));
        !found
    });
    found
}
