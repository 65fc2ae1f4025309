//! Queries: WITH, set operations, SELECT, ORDER BY, LIMIT, row locks.

use sqlparser::ast::{
    self, GroupByExpr, LimitClause, OrderByKind, SelectItem, SetExpr, SetQuantifier,
};

use super::super::ColumnType;
use super::super::names;
use super::super::refusal::{Refusal, RefusalKind, refuse_if};
use super::super::tree::{
    Body, CommonTable, Expr, Id, Lock, Node, Order, OrderBy, Output, Query, Select, SetOperator,
    Wait, With,
};
use super::expr::comparable;
use super::scope::{CommonEntry, Frame, Phase, VisibleColumn, columns_of};
use super::{Checker, grouping, literals, rows, types};

/// The kinds that a query's columns should have, where they are arguments or NULL. Empty: nothing is known.
#[derive(Clone, Default)]
pub(super) struct Want {
    pub kinds: Vec<ColumnType>,
}

impl Want {
    fn of(columns: &[Output]) -> Want {
        Want {
            kinds: columns.iter().map(|column| column.kind).collect(),
        }
    }

    fn column(&self, index: usize) -> Option<ColumnType> {
        self.kinds.get(index).copied()
    }
}

/// A row of CTE columns may be doubled at each step of a recursion: two copies of such a column are too many.
const RECURSIVE_WEIGHT: u32 = super::expr::HEAVIEST / 2 + 1;

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
            let (body, order, columns, locks) = match unwrapped(body) {
                SetExpr::Select(select) => {
                    checker.select(select, order_by.as_ref(), locks, want)?
                }
                body => {
                    refuse_if!(!locks.is_empty() => "FOR UPDATE goes with a plain SELECT");
                    let (body, columns) = checker.body(body, want)?;
                    let order = checker.order_of_outputs(order_by.as_ref(), &columns)?;
                    (body, order, columns, Vec::new())
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
            if self.common[visible..]
                .iter()
                .any(|entry| entry.written == written)
            {
                return Err(Refusal::new(
                    RefusalKind::AmbiguousName,
                    format!("{written} is defined twice in WITH"),
                ));
            }
            let id = self.name();
            let named = |outputs: &[Output]| renamed(columns_of(outputs), columns, &written);
            let (query, columns) = match *recursive && mentions(query, &written) {
                true => self.recursive_table(&written, id, query, &named)?,
                false => {
                    let query = self.query(query, &Want::default())?;
                    let columns = named(&query.columns)?;
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
        named: &dyn Fn(&[Output]) -> Result<Vec<VisibleColumn>, Refusal>,
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
        let (SetExpr::Select(first), SetExpr::Select(step), true) =
            (left.as_ref(), right.as_ref(), locks.is_empty())
        else {
            return Err(shape());
        };
        let (left, _, mut columns, _) = self.select(first, None, &[], &Want::default())?;
        for column in &mut columns {
            column.nullable = true;
            column.weight = RECURSIVE_WEIGHT;
        }
        let entry = CommonEntry {
            written: written.to_owned(),
            id,
            columns: named(&columns)?,
            uses: Some(0),
        };
        self.common.push(entry);
        let step = self.select(step, None, &[], &Want::of(&columns));
        let uses = self.common.pop().and_then(|entry| entry.uses);
        let (right, _, stepped, _) = step?;
        let Body::Select(select) = &right else {
            return Err(shape());
        };
        // What PostgreSQL refuses in a step, and SQLite partly runs.
        let plain = !select.distinct && select.group.is_empty() && select.having.is_none();
        let read_once = select
            .from
            .iter()
            .filter(|from| from.source == super::super::tree::Source::CommonTable(id))
            .count()
            == 1
            && uses == Some(1)
            && !select
                .from
                .iter()
                .any(|from| matches!(from.join, super::super::tree::Join::Left(_)));
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
        let visible = named(&columns)?;
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

    fn body(&mut self, body: &SetExpr, want: &Want) -> Result<(Body, Vec<Output>), Refusal> {
        self.deeper(|checker| match unwrapped(body) {
            SetExpr::Select(select) => {
                let (body, _, columns, _) = checker.select(select, None, &[], want)?;
                Ok((body, columns))
            }
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                checker.set_operation(left, *op, set_quantifier, right, want)
            }
            SetExpr::Query(_) => Err(Refusal::not_allowed(
                "ORDER BY and LIMIT inside one side of a UNION are refused: make it a subquery in FROM",
            )),
            SetExpr::Values(_) => Err(Refusal::not_allowed("VALUES stands only in INSERT: pass rows with json_rows")),
            SetExpr::Table(_) => Err(Refusal::not_allowed("TABLE is refused: write SELECT")),
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                Err(Refusal::not_allowed("a statement that writes stands alone, not inside another"))
            }
        })
    }

    fn set_operation(
        &mut self,
        left: &SetExpr,
        operator: ast::SetOperator,
        set_quantifier: &SetQuantifier,
        right: &SetExpr,
        want: &Want,
    ) -> Result<(Body, Vec<Output>), Refusal> {
        let operator = match operator {
            ast::SetOperator::Union => SetOperator::Union,
            ast::SetOperator::Except | ast::SetOperator::Minus => SetOperator::Except,
            ast::SetOperator::Intersect => SetOperator::Intersect,
        };
        let all = quantifier(set_quantifier)?;
        refuse_if!(all && operator != SetOperator::Union => "EXCEPT ALL and INTERSECT ALL are refused");
        let (left, mut columns) = self.body(left, want)?;
        let (right, others) = self.body(right, &Want::of(&columns))?;
        same_shape(&columns, &others)?;
        for (column, other) in columns.iter_mut().zip(&others) {
            column.nullable |= other.nullable;
            column.weight = column.weight.max(other.weight);
            if !all && column.kind == ColumnType::Jsonb {
                return Err(Refusal::wrong_type(
                    "jsonb cannot be compared: use UNION ALL, or leave the column out",
                ));
            }
        }
        Ok((
            Body::Set {
                operator,
                all,
                left: Box::new(left),
                right: Box::new(right),
            },
            columns,
        ))
    }

    fn select(
        &mut self,
        select: &ast::Select,
        order_by: Option<&ast::OrderBy>,
        locks: &[ast::LockClause],
        want: &Want,
    ) -> Result<(Body, Vec<Order>, Vec<Output>, Vec<Lock>), Refusal> {
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
            let filter = selection
                .as_ref()
                .map(|filter| checker.boolean(filter))
                .transpose()?;
            let (items, names) =
                checker.in_phase(Phase::Output, |checker| checker.items(projection, want))?;
            let group = checker.group(group_by, &items, &names)?;
            let having = checker.in_phase(Phase::Groups, |checker| {
                having
                    .as_ref()
                    .map(|having| checker.boolean(having))
                    .transpose()
            })?;
            let outputs = outputs(&items, &names);
            let order = checker.in_phase(Phase::Output, |checker| {
                checker.order(order_by, &outputs, distinct)
            })?;
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
        Ok((body, order, outputs, locks))
    }

    fn items(
        &mut self,
        projection: &[SelectItem],
        want: &Want,
    ) -> Result<(Vec<Expr>, Vec<String>), Refusal> {
        let (mut items, mut names) = (Vec::new(), Vec::new());
        for item in projection {
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    names.push(default_name(expr, items.len()));
                    items.push(self.expr(expr, want.column(items.len()))?);
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    names.push(output_name(alias)?);
                    items.push(self.expr(expr, want.column(items.len()))?);
                }
                SelectItem::ExprWithAliases { .. } => {
                    return Err(Refusal::not_allowed("one name per selected value"));
                }
                SelectItem::Wildcard(options) => {
                    plain_wildcard(options)?;
                    let tables = self.frames.last().map_or(&[][..], |frame| &frame.tables);
                    for (name, column) in tables
                        .iter()
                        .filter(|table| !table.excluded)
                        .flat_map(|table| table.all())
                    {
                        names.push(name);
                        items.push(column);
                    }
                }
                SelectItem::QualifiedWildcard(
                    ast::SelectItemQualifiedWildcardKind::ObjectName(name),
                    options,
                ) => {
                    plain_wildcard(options)?;
                    let table = names::single("the table", name)?;
                    // Only this query's own tables: `outer.*` has no meaning that both engines share.
                    let written = names::written(table);
                    let tables = self.frames.last().map_or(&[][..], |frame| &frame.tables);
                    let Some(table) = tables.iter().find(|table| table.written == written) else {
                        return Err(Refusal::new(
                            RefusalKind::UnknownName,
                            format!("no table {written} is in this FROM"),
                        ));
                    };
                    for (name, column) in table.all() {
                        names.push(name);
                        items.push(column);
                    }
                }
                SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::Expr(_), _) => {
                    return Err(Refusal::not_allowed(
                        "* of an expression is refused: name the columns",
                    ));
                }
            }
        }
        match items.is_empty() {
            true => Err(Refusal::not_allowed("a SELECT names at least one column")),
            false => Ok((items, names)),
        }
    }

    fn group(
        &mut self,
        group_by: &GroupByExpr,
        items: &[Expr],
        names: &[String],
    ) -> Result<Vec<Expr>, Refusal> {
        let GroupByExpr::Expressions(keys, modifiers) = group_by else {
            return Err(Refusal::not_allowed(
                "GROUP BY ALL is refused: name the columns",
            ));
        };
        refuse_if!(!modifiers.is_empty() => "GROUP BY … WITH is refused");
        let mut group = Vec::with_capacity(keys.len());
        for key in keys {
            let expr = match (position(key)?, key) {
                (Some(position), _) => output_at(items, position)?.clone(),
                // An input column wins over an output's name, as in PostgreSQL.
                (None, ast::Expr::Identifier(ident)) => match self.column(ident) {
                    Ok(column) => column,
                    Err(refusal) => {
                        match names.iter().position(|name| *name == names::written(ident)) {
                            Some(index) => items[index].clone(),
                            None => return Err(refusal),
                        }
                    }
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

    fn order(
        &mut self,
        order_by: Option<&ast::OrderBy>,
        outputs: &[Output],
        distinct: bool,
    ) -> Result<Vec<Order>, Refusal> {
        let keys = sort_list(order_by)?;
        let mut order = Vec::with_capacity(keys.len());
        for key in keys {
            order.push(match output_of(&key.expr, outputs)? {
                Some(index) => sorted(
                    OrderBy::Output(index),
                    &outputs[index - 1].clone().into_key(),
                    key,
                )?,
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
    fn order_of_outputs(
        &mut self,
        order_by: Option<&ast::OrderBy>,
        outputs: &[Output],
    ) -> Result<Vec<Order>, Refusal> {
        let sorted_by = |key: &ast::OrderByExpr| match output_of(&key.expr, outputs)? {
            Some(index) => sorted(
                OrderBy::Output(index),
                &outputs[index - 1].clone().into_key(),
                key,
            ),
            None => Err(Refusal::not_allowed(
                "the result of UNION, EXCEPT and INTERSECT is sorted by its columns only",
            )
            .within(rows::place(&key.expr))),
        };
        sort_list(order_by)?.iter().map(sorted_by).collect()
    }

    /// Sort keys that are plain expressions: those of windows and aggregates.
    pub(super) fn sort_keys(
        &mut self,
        keys: &[ast::OrderByExpr],
        what: &str,
    ) -> Result<Vec<Order>, Refusal> {
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

    fn limit(
        &mut self,
        clause: Option<&LimitClause>,
    ) -> Result<(Option<Expr>, Option<Expr>), Refusal> {
        let Some(clause) = clause else {
            return Ok((None, None));
        };
        let LimitClause::LimitOffset {
            limit,
            offset,
            limit_by,
        } = clause
        else {
            return Err(Refusal::not_allowed(
                "LIMIT a, b is refused: write LIMIT b OFFSET a",
            ));
        };
        refuse_if!(!limit_by.is_empty() => "LIMIT BY is refused");
        let limit = limit
            .as_ref()
            .map(|limit| self.count(limit, "LIMIT"))
            .transpose()?;
        let offset = offset
            .as_ref()
            .map(|offset| self.count(&offset.value, "OFFSET"))
            .transpose()?;
        refuse_if!(limit.is_none() && offset.is_some() => "OFFSET needs a LIMIT");
        Ok((limit, offset))
    }

    fn count(&mut self, count: &ast::Expr, what: &str) -> Result<Expr, Refusal> {
        let count = self.within_rows(Vec::new(), |checker| {
            checker.expr_of(count, ColumnType::Bigint, what)
        })?;
        match count.node {
            Node::Integer(_) | Node::Argument(_) => Ok(count),
            _ => Err(Refusal::not_allowed(format!(
                "{what} takes a number or an argument"
            ))),
        }
    }

    fn locks(&mut self, locks: &[ast::LockClause]) -> Result<Vec<Lock>, Refusal> {
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
            if named.is_empty()
                || named
                    .iter()
                    .any(|table| !table.lockable || table.outer_joined)
            {
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

fn outputs(items: &[Expr], names: &[String]) -> Vec<Output> {
    let output = |(item, name): (&Expr, &String)| Output {
        name: name.clone(),
        kind: item.kind,
        nullable: item.nullable,
        weight: item.weight,
    };
    items.iter().zip(names).map(output).collect()
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

fn quantifier(quantifier: &SetQuantifier) -> Result<bool, Refusal> {
    match quantifier {
        SetQuantifier::All => Ok(true),
        SetQuantifier::None | SetQuantifier::Distinct => Ok(false),
        SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName => Err(
            Refusal::not_allowed("UNION BY NAME is refused: select the columns in the same order"),
        ),
    }
}

fn same_shape(left: &[Output], right: &[Output]) -> Result<(), Refusal> {
    if left.len() != right.len() {
        return Err(Refusal::wrong_type(format!(
            "the two sides of UNION have {} and {} columns",
            left.len(),
            right.len()
        )));
    }
    match left
        .iter()
        .zip(right)
        .find(|(left, right)| left.kind != right.kind)
    {
        None => Ok(()),
        Some((left, right)) => Err(Refusal::wrong_type(format!(
            "the column {} is {} on one side of UNION and {} on the other: cast one of them",
            left.name,
            left.kind.sql(),
            right.kind.sql()
        ))),
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
    ast::visit_relations(query, |relation| {
        match names::single("the table", relation) {
            Ok(ident) if names::written(ident) == name => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    })
    .is_break()
}

fn plain_wildcard(options: &ast::WildcardAdditionalOptions) -> Result<(), Refusal> {
    let ast::WildcardAdditionalOptions {
        wildcard_token: _,
        opt_ilike,
        opt_exclude,
        opt_except,
        opt_replace,
        opt_rename,
        opt_alias,
    } = options;
    refuse_if!(
        opt_ilike.is_some()
            || opt_exclude.is_some()
            || opt_except.is_some()
            || opt_replace.is_some()
            || opt_rename.is_some()
            || opt_alias.is_some() => "* takes no options: name the columns",
    );
    Ok(())
}

/// The name of an answer's column never reaches the engines, so it may be any word.
pub(super) fn output_name(alias: &ast::Ident) -> Result<String, Refusal> {
    let name = names::written(alias);
    let plain = !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    match plain {
        true => Ok(name),
        false => Err(Refusal::new(
            RefusalKind::ReservedName,
            "the name of a selected value has at most 63 letters, digits and _",
        )
        .within(alias.span)),
    }
}

pub(super) fn default_name(expr: &ast::Expr, index: usize) -> String {
    match expr {
        ast::Expr::Identifier(ident) => names::written(ident),
        ast::Expr::CompoundIdentifier(parts) => {
            parts.last().map(names::written).unwrap_or_default()
        }
        ast::Expr::Nested(inner) => default_name(inner, index),
        ast::Expr::Function(function) => function.name.to_string().to_ascii_lowercase(),
        _ => format!("column{}", index + 1),
    }
}

fn sort_list(order_by: Option<&ast::OrderBy>) -> Result<&[ast::OrderByExpr], Refusal> {
    let Some(ast::OrderBy { kind, interpolate }) = order_by else {
        return Ok(&[]);
    };
    refuse_if!(interpolate.is_some() => "INTERPOLATE is refused");
    match kind {
        OrderByKind::Expressions(keys) => Ok(keys),
        OrderByKind::All(_) => Err(Refusal::not_allowed(
            "ORDER BY ALL is refused: name the columns",
        )),
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
    let mut named = outputs
        .iter()
        .enumerate()
        .filter(|(_, output)| output.name == name);
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
fn position(key: &ast::Expr) -> Result<Option<usize>, Refusal> {
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
            return Err(Refusal::not_allowed(
                "ORDER BY … USING is refused: write ASC or DESC",
            ));
        }
    };
    let nulls_first = value.nullable.then(|| nulls_first.unwrap_or(descending));
    Ok(Order {
        by,
        descending,
        nulls_first,
    })
}

impl Checker<'_> {
    /// The kinds that the columns of an INSERT's query take.
    pub(super) fn query_for(
        &mut self,
        query: &ast::Query,
        kinds: Vec<ColumnType>,
    ) -> Result<Query, Refusal> {
        let mut query = self.query(
            query,
            &Want {
                kinds: kinds.clone(),
            },
        )?;
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
