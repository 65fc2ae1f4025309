//! Queries, and the SELECTs in them.

use sqlparser::ast::{self, GroupByExpr, SetExpr};

use super::super::ColumnType;
use super::super::names;
use super::super::refusal::{Refusal, RefusalKind, refuse_if};
use super::super::tree::{Body, Expr, Id, Lock, Node, Order, OrderBy, Output, Query, Select, With};
use super::conditions::comparable;
use super::order::position;
use super::outputs::outputs;
use super::scope::{Frame, Phase};
use super::{Checker, grouping, literals, types};

const MOST_KEYS: usize = 100;

/// The kinds that a query's columns should have, where they are arguments or NULL. Empty: nothing is known.
#[derive(Clone, Default)]
pub(super) struct Want {
    pub kinds: Vec<ColumnType>,
}

/// A SELECT and what belongs to the query around it.
pub(super) struct Selected {
    pub body: Body,
    pub order: Vec<Order>,
    pub columns: Vec<Output>,
    pub locks: Vec<Lock>,
}

impl Want {
    pub fn of(columns: &[Output]) -> Want {
        Want {
            kinds: columns.iter().map(|column| column.kind).collect(),
        }
    }

    pub(super) fn column(&self, index: usize) -> Option<ColumnType> {
        self.kinds.get(index).copied()
    }
}

impl Checker<'_> {
    #[recursive::recursive]
    pub(super) fn query(&mut self, query: &ast::Query, want: &Want) -> Result<Query, Refusal> {
        let ast::Query {
            with,
            body,
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
            fetch.is_some() => "FETCH is refused: write LIMIT",
            for_clause.is_some() || settings.is_some() || format_clause.is_some() || !pipe_operators.is_empty()
                => "this clause after a query is not part of plugin SQL",
        );
        let visible = self.common.len();
        let with = self.with(with.as_ref())?;
        let checked = self.deeper(|checker| {
            let Selected {
                body,
                order,
                columns,
                locks,
            } = match unwrapped(body) {
                SetExpr::Select(select) => checker.select(select, order_by.as_ref(), locks, want)?,
                body => {
                    refuse_if!(!locks.is_empty() => "FOR UPDATE goes with a plain SELECT");
                    let (body, columns) = checker.body(body, want)?;
                    let order = checker.order_of_outputs(order_by.as_ref(), &columns)?;
                    Selected {
                        body,
                        order,
                        columns,
                        locks: Vec::new(),
                    }
                }
            };
            let (limit, offset) = checker.limit(limit_clause.as_ref())?;
            Ok(Query {
                with: With::default(),
                body,
                order,
                limit,
                offset,
                locks,
                columns,
            })
        });
        self.common.truncate(visible);
        checked.map(|checked| Query { with, ..checked })
    }

    pub(super) fn body(&mut self, body: &SetExpr, want: &Want) -> Result<(Body, Vec<Output>), Refusal> {
        self.deeper(|checker| match unwrapped(body) {
            SetExpr::Select(select) => {
                let selected = checker.select(select, None, &[], want)?;
                Ok((selected.body, selected.columns))
            }
            SetExpr::SetOperation {
                left,
                op,
                set_quantifier,
                right,
            } => checker.set_operation(left, *op, set_quantifier, right, want),
            SetExpr::Query(_) => Err(Refusal::not_allowed(
                "ORDER BY and LIMIT inside one side of a UNION are refused: make it a subquery in FROM",
            )),
            SetExpr::Values(_) => Err(Refusal::not_allowed(
                "VALUES stands only in INSERT: pass rows with json_rows",
            )),
            SetExpr::Table(_) => Err(Refusal::not_allowed("TABLE is refused: write SELECT")),
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => Err(
                Refusal::not_allowed("a statement that writes stands alone, not inside another"),
            ),
        })
    }

    pub(super) fn select(
        &mut self,
        select: &ast::Select,
        order_by: Option<&ast::OrderBy>,
        locks: &[ast::LockClause],
        want: &Want,
    ) -> Result<Selected, Refusal> {
        let ast::Select {
            select_token: _,
            optimizer_hints,
            distinct,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor,
        } = select;
        refuse_if!(
            into.is_some() => "SELECT INTO is refused: create tables in migrations",
            !named_window.is_empty() => "named windows are refused: write over (partition by … order by …)",
            top.is_some() => "TOP is refused: write LIMIT",
            !optimizer_hints.is_empty()
                || select_modifiers.is_some()
                || exclude.is_some()
                || !lateral_views.is_empty()
                || prewhere.is_some()
                || !connect_by.is_empty()
                || !cluster_by.is_empty()
                || !distribute_by.is_empty()
                || !sort_by.is_empty()
                || qualify.is_some()
                || value_table_mode.is_some()
                || *flavor != ast::SelectFlavor::Standard => "this SELECT uses a clause that is not part of plugin SQL",
        );
        let distinct = match distinct {
            None | Some(ast::Distinct::All) => false,
            Some(ast::Distinct::Distinct) => true,
            Some(ast::Distinct::On(_)) => {
                return Err(Refusal::not_allowed(
                    "DISTINCT ON is refused: number the rows with row_number() over (…) and keep the first",
                ));
            }
        };
        let (from, tables) = self.from(from)?;
        let frame = Frame {
            tables,
            phase: Phase::Rows,
            aggregated: false,
        };
        let (parts, frame) = self.within(frame, |checker| {
            let filter = selection.as_ref().map(|filter| checker.boolean(filter)).transpose()?;
            let (items, names) = checker.in_phase(Phase::Output, |checker| checker.items(projection, want))?;
            let group = checker.group(group_by, &items, &names)?;
            let having = checker.in_phase(Phase::Groups, |checker| {
                having.as_ref().map(|having| checker.boolean(having)).transpose()
            })?;
            let outputs = outputs(&items, &names);
            let order = checker.in_phase(Phase::Output, |checker| checker.order(order_by, &outputs, distinct))?;
            let locks = checker.locks(locks)?;
            Ok((filter, items, group, having, order, outputs, locks))
        })?;
        let (filter, items, group, having, order, outputs, locks) = parts;
        if distinct {
            items.iter().try_for_each(|item| comparable(item, false))?;
        }
        refuse_if!(
            having.is_some() && group.is_empty() && !frame.aggregated => "HAVING goes with GROUP BY or an aggregate: use WHERE",
        );
        let grouped = frame.aggregated || !group.is_empty();
        if grouped {
            let own: Vec<Id> = frame.tables.iter().map(|table| table.id).collect();
            let ordered = order.iter().filter_map(|key| match &key.by {
                OrderBy::Expr(expr) => Some(expr),
                OrderBy::Output(_) => None,
            });
            items
                .iter()
                .chain(&having)
                .chain(ordered)
                .try_for_each(|expr| grouping::check(expr, &group, &own))?;
        }
        refuse_if!(
            !locks.is_empty() && (grouped || distinct || items.iter().any(grouping::has_aggregate))
                => "FOR UPDATE goes with a plain SELECT of rows, without DISTINCT, groups, aggregates and windows",
        );
        let body = Body::Select(Box::new(Select {
            distinct,
            items,
            from,
            filter,
            group,
            having,
        }));
        Ok(Selected {
            body,
            order,
            columns: outputs,
            locks,
        })
    }

    fn group(&mut self, group_by: &GroupByExpr, items: &[Expr], names: &[String]) -> Result<Vec<Expr>, Refusal> {
        let GroupByExpr::Expressions(keys, modifiers) = group_by else {
            return Err(Refusal::not_allowed("GROUP BY ALL is refused: name the columns"));
        };
        refuse_if!(!modifiers.is_empty() => "GROUP BY … WITH is refused");
        at_most(keys.len(), "GROUP BY")?;
        let mut group = Vec::with_capacity(keys.len());
        for key in keys {
            let expr = match (position(key)?, key) {
                (Some(position), _) => output_at(items, position)?.clone(),
                // An input column wins over an output's name, as in PostgreSQL.
                (None, ast::Expr::Identifier(ident)) => match self.column(ident) {
                    Ok(column) => column,
                    Err(refusal) => match names.iter().position(|name| *name == names::written(ident)) {
                        Some(index) => items[index].clone(),
                        None => return Err(refusal),
                    },
                },
                (None, key) => self.expr(key, None)?,
            };
            comparable(&expr, false)?;
            if grouping::has_aggregate(&expr) {
                return Err(Refusal::new(
                    RefusalKind::Grouping,
                    "GROUP BY cannot contain an aggregate",
                ));
            }
            // A constant would print as a position.
            if literals::is_literal(&expr) || matches!(expr.node, Node::Argument(_)) {
                return Err(Refusal::new(
                    RefusalKind::Grouping,
                    "GROUP BY takes columns and expressions, not constants",
                ));
            }
            group.push(expr);
        }
        Ok(group)
    }

    /// The kinds that the columns of an INSERT's query take.
    pub(super) fn query_for(&mut self, query: &ast::Query, kinds: Vec<ColumnType>) -> Result<Query, Refusal> {
        let mut query = self.query(query, &Want { kinds: kinds.clone() })?;
        if query.columns.len() != kinds.len() {
            return Err(Refusal::wrong_type(format!(
                "{} columns are inserted from a query of {}",
                kinds.len(),
                query.columns.len()
            )));
        }
        for (column, kind) in query.columns.iter_mut().zip(&kinds) {
            if types::common(column.kind, *kind).is_err()
                || (column.kind == ColumnType::Double && *kind == ColumnType::Bigint)
            {
                return Err(Refusal::wrong_type(format!(
                    "the column {} of the query is {} and {} is inserted: cast it",
                    column.name,
                    column.kind.sql(),
                    kind.sql()
                )));
            }
        }
        Ok(query)
    }
}

/// Whether so many keys of a sort or a group pass on both engines.
pub(super) fn at_most(keys: usize, what: &str) -> Result<(), Refusal> {
    match keys <= MOST_KEYS {
        true => Ok(()),
        false => Err(Refusal::new(
            RefusalKind::TooLarge,
            format!("{what} has {keys} keys and {MOST_KEYS} are allowed"),
        )),
    }
}

/// Parentheses around a whole SELECT mean nothing.
fn unwrapped(mut body: &SetExpr) -> &SetExpr {
    while let SetExpr::Query(query) = body
        && query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && query.locks.is_empty()
        && query.for_clause.is_none()
        && query.settings.is_none()
        && query.format_clause.is_none()
        && query.pipe_operators.is_empty()
    {
        body = &query.body;
    }
    body
}

fn output_at(items: &[Expr], position: usize) -> Result<&Expr, Refusal> {
    position
        .checked_sub(1)
        .and_then(|index| items.get(index))
        .ok_or_else(|| {
            Refusal::new(
                RefusalKind::UnknownName,
                format!("there is no column {position} to group by"),
            )
        })
}
