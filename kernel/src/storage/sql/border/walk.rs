//! Visits every expression of a checked statement, those inside subqueries too.

use super::tree::{Aggregate, Body, Expr, Join, Node, Order, OrderBy, Query, Select, Source};

impl Expr {
    /// Calls `visit` for this expression and, where it answers true, for all below it.
    pub(super) fn each<'e>(&'e self, visit: &mut dyn FnMut(&'e Expr) -> bool) {
        if visit(self) {
            self.below(visit);
        }
    }

    /// As [`Expr::each`], without this expression itself.
    #[recursive::recursive]
    pub(super) fn below<'e>(&'e self, visit: &mut dyn FnMut(&'e Expr) -> bool) {
        let mut all = |expressions: &'e [Expr]| expressions.iter().for_each(|e| e.each(visit));
        match &self.node {
            Node::Column { .. }
            | Node::Excluded(_)
            | Node::Argument(_)
            | Node::Null
            | Node::Text(_)
            | Node::Integer(_)
            | Node::Double(_)
            | Node::Boolean(_)
            | Node::Timestamp(_) => {}
            Node::All(parts) | Node::Any(parts) | Node::Concat(parts) => all(parts),
            Node::Not(value) | Node::Negative(value) | Node::Convert(value) => value.each(visit),
            Node::IsNull { value, .. } | Node::IsBoolean { value, .. } => value.each(visit),
            Node::Compare { left, right, .. }
            | Node::Distinct { left, right, .. }
            | Node::Arithmetic { left, right, .. } => {
                left.each(visit);
                right.each(visit);
            }
            Node::CompareRows { left, right, .. } => {
                all(left);
                all(right);
            }
            Node::Between { value, low, high, .. } => [value, low, high].into_iter().for_each(|e| e.each(visit)),
            Node::Like { value, pattern, .. } => [value, pattern].into_iter().for_each(|e| e.each(visit)),
            Node::InList { value, list, .. } => {
                value.each(visit);
                list.iter().for_each(|e| e.each(visit));
            }
            Node::InQuery { values, query, .. } => {
                all(values);
                query.each(visit);
            }
            Node::InArray { value, array, .. } => [value, array].into_iter().for_each(|e| e.each(visit)),
            Node::Exists { query, .. } | Node::Scalar(query) => query.each(visit),
            Node::Case {
                operand,
                arms,
                otherwise,
            } => {
                operand.iter().for_each(|e| e.each(visit));
                for (condition, result) in arms {
                    condition.each(visit);
                    result.each(visit);
                }
                otherwise.iter().for_each(|e| e.each(visit));
            }
            Node::JsonPath { base, .. } => base.each(visit),
            Node::Call { arguments, .. } => all(arguments),
            Node::Aggregate(aggregate) => aggregate.each(visit),
        }
    }
}

impl Aggregate {
    fn each<'e>(&'e self, visit: &mut dyn FnMut(&'e Expr) -> bool) {
        self.arguments.iter().chain(&self.filter).for_each(|e| e.each(visit));
        orders(&self.order, visit);
        if let Some(window) = &self.over {
            window.partition.iter().for_each(|e| e.each(visit));
            orders(&window.order, visit);
        }
    }
}

impl Query {
    pub(super) fn each<'e>(&'e self, visit: &mut dyn FnMut(&'e Expr) -> bool) {
        self.with.tables.iter().for_each(|table| table.query.each(visit));
        self.body.each(visit);
        orders(&self.order, visit);
        self.limit.iter().chain(&self.offset).for_each(|e| e.each(visit));
    }
}

impl Query {
    /// Whether the query reads such a source, here or in any query inside.
    pub(super) fn reads(&self, wanted: &dyn Fn(&Source) -> bool) -> bool {
        let mut found = self.lists(wanted);
        self.each(&mut |part| {
            if let Node::Scalar(query) | Node::Exists { query, .. } | Node::InQuery { query, .. } = &part.node {
                found |= query.lists(wanted);
            }
            !found
        });
        found
    }

    /// As [`Query::reads`], in FROM and WITH only.
    fn lists(&self, wanted: &dyn Fn(&Source) -> bool) -> bool {
        self.with.tables.iter().any(|table| table.query.lists(wanted)) || self.body.lists(wanted)
    }
}

impl Body {
    fn lists(&self, wanted: &dyn Fn(&Source) -> bool) -> bool {
        let source = |source: &Source| wanted(source) || matches!(source, Source::Query(query) if query.lists(wanted));
        match self {
            Body::Select(select) => select.from.iter().any(|from| source(&from.source)),
            Body::Set { left, right, .. } => left.lists(wanted) || right.lists(wanted),
        }
    }

    fn each<'e>(&'e self, visit: &mut dyn FnMut(&'e Expr) -> bool) {
        match self {
            Body::Select(select) => select.each(visit),
            Body::Set { left, right, .. } => {
                left.each(visit);
                right.each(visit);
            }
        }
    }
}

impl Select {
    fn each<'e>(&'e self, visit: &mut dyn FnMut(&'e Expr) -> bool) {
        for from in &self.from {
            match &from.source {
                Source::Slice { .. } | Source::CommonTable(_) => {}
                Source::Query(query) => query.each(visit),
                Source::JsonRows { rows, .. } => rows.each(visit),
            }
            match &from.join {
                Join::Cross => {}
                Join::Inner(on) | Join::Left(on) => on.each(visit),
            }
        }
        self.items
            .iter()
            .chain(&self.filter)
            .chain(&self.group)
            .chain(&self.having)
            .for_each(|e| e.each(visit));
    }
}

fn orders<'e>(order: &'e [Order], visit: &mut dyn FnMut(&'e Expr) -> bool) {
    for key in order {
        match &key.by {
            OrderBy::Output(_) => {}
            OrderBy::Expr(expr) => expr.each(visit),
        }
    }
}
