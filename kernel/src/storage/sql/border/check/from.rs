//! FROM: every table becomes a slice, every view its own plugin's query.

use sqlparser::ast::{self, JoinConstraint, JoinOperator, TableFactor, TableWithJoins};

use super::super::ColumnType;
use super::super::names;
use super::super::refusal::{Refusal, RefusalKind, refuse_if};
use super::super::tree::{Comparison, Expr, From, Id, Join, Node, Source};
use super::query::Want;
use super::scope::{Visible, VisibleColumn, columns_of};
use super::with::renamed;
use super::{Checker, MOST_SOURCES};

impl Checker<'_> {
    /// Tables of one FROM see those before them in ON, and never in a subquery (that would be LATERAL).
    pub(super) fn from(&mut self, list: &[TableWithJoins]) -> Result<(Vec<From>, Vec<Visible>), Refusal> {
        let (mut from, mut tables) = (Vec::new(), Vec::new());
        for TableWithJoins { relation, joins } in list {
            let source = self.factor(relation)?;
            self.join(&mut from, &mut tables, source, None, false)?;
            for ast::Join {
                relation,
                global,
                join_operator,
            } in joins
            {
                refuse_if!(*global => "GLOBAL JOIN is refused");
                let source = self.factor(relation)?;
                let (constraint, left) = match join_operator {
                    JoinOperator::Join(on) | JoinOperator::Inner(on) => (Some(on), false),
                    JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (Some(on), true),
                    JoinOperator::CrossJoin(JoinConstraint::None) => (None, false),
                    JoinOperator::Right(_) | JoinOperator::RightOuter(_) => {
                        return Err(Refusal::not_allowed(
                            "RIGHT JOIN is refused: turn the tables round and write LEFT JOIN",
                        ));
                    }
                    JoinOperator::FullOuter(_) => {
                        return Err(Refusal::not_allowed(
                            "FULL JOIN is refused: join two LEFT JOINs with UNION ALL",
                        ));
                    }
                    JoinOperator::CrossJoin(_)
                    | JoinOperator::Semi(_)
                    | JoinOperator::LeftSemi(_)
                    | JoinOperator::RightSemi(_)
                    | JoinOperator::Anti(_)
                    | JoinOperator::LeftAnti(_)
                    | JoinOperator::RightAnti(_)
                    | JoinOperator::CrossApply
                    | JoinOperator::OuterApply
                    | JoinOperator::AsOf { .. }
                    | JoinOperator::StraightJoin(_)
                    | JoinOperator::ArrayJoin
                    | JoinOperator::LeftArrayJoin
                    | JoinOperator::InnerArrayJoin => {
                        return Err(Refusal::not_allowed("joins are JOIN, LEFT JOIN and CROSS JOIN"));
                    }
                };
                self.join(&mut from, &mut tables, source, constraint, left)?;
            }
        }
        Ok((from, tables))
    }

    fn join(
        &mut self,
        from: &mut Vec<From>,
        tables: &mut Vec<Visible>,
        (source, mut table): (Source, Visible),
        constraint: Option<&JoinConstraint>,
        left: bool,
    ) -> Result<(), Refusal> {
        if tables.iter().any(|other| other.written == table.written) {
            return Err(Refusal::new(
                RefusalKind::AmbiguousName,
                format!(
                    "two tables of this FROM are called {}: give one an alias",
                    table.written
                ),
            ));
        }
        let id = table.id;
        let join = match constraint {
            None => {
                tables.push(table);
                Join::Cross
            }
            Some(constraint) => {
                // Within its own ON a left-joined row is there.
                tables.push(table);
                let on = self.on(constraint, tables)?;
                table = tables
                    .pop()
                    .ok_or_else(|| Refusal::new(RefusalKind::Proof, "scopes do not nest"))?;
                table.outer_joined = left;
                tables.push(table);
                if left { Join::Left(on) } else { Join::Inner(on) }
            }
        };
        from.push(From { id, source, join });
        Ok(())
    }

    fn on(&mut self, constraint: &JoinConstraint, tables: &mut Vec<Visible>) -> Result<Expr, Refusal> {
        match constraint {
            JoinConstraint::On(condition) => {
                let visible = std::mem::take(tables);
                let frame = super::Frame {
                    tables: visible,
                    phase: super::scope::Phase::Rows,
                    aggregated: false,
                };
                let (condition, frame) = self.within(frame, |checker| checker.boolean(condition))?;
                *tables = frame.tables;
                Ok(condition)
            }
            JoinConstraint::Using(columns) => {
                let mut equal = Vec::with_capacity(columns.len());
                for column in columns {
                    equal.push(using(names::single("the column", column)?, tables)?);
                }
                Ok(Expr {
                    node: Node::All(equal),
                    kind: ColumnType::Boolean,
                    nullable: true,
                    weight: 1,
                })
            }
            JoinConstraint::Natural => Err(Refusal::not_allowed("NATURAL JOIN is refused: write ON a.id = b.a_id")),
            JoinConstraint::None => Err(Refusal::not_allowed("JOIN needs ON: for all pairs write CROSS JOIN")),
        }
    }

    fn factor(&mut self, factor: &TableFactor) -> Result<(Source, Visible), Refusal> {
        self.sources += 1;
        if self.sources > MOST_SOURCES {
            return Err(Refusal::new(
                RefusalKind::TooLarge,
                format!("a statement reads at most {MOST_SOURCES} tables"),
            ));
        }
        match factor {
            TableFactor::Table {
                name,
                alias,
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
            } => {
                refuse_if!(
                    !with_hints.is_empty()
                        || version.is_some()
                        || *with_ordinality
                        || !partitions.is_empty()
                        || json_path.is_some()
                        || sample.is_some()
                        || !index_hints.is_empty() => format!("`{factor}`: a table takes an alias and nothing else"),
                );
                match args {
                    None => self.table(name, alias.as_ref()),
                    Some(ast::TableFunctionArgs { args, settings }) => {
                        refuse_if!(settings.is_some() => "SETTINGS is refused");
                        self.table_function(name, args, alias.as_ref())
                    }
                }
            }
            TableFactor::Function {
                lateral,
                name,
                args,
                with_ordinality,
                alias,
            } => {
                refuse_if!(
                    *lateral => "LATERAL is refused: use a correlated subquery in the select list",
                    *with_ordinality => "WITH ORDINALITY is refused: put the position into the JSON rows",
                );
                self.table_function(name, args, alias.as_ref())
            }
            TableFactor::Derived {
                lateral,
                subquery,
                alias,
                sample,
            } => {
                refuse_if!(
                    *lateral => "LATERAL is refused: use a correlated subquery in the select list",
                    sample.is_some() => "TABLESAMPLE is refused",
                );
                let Some(alias) = alias else {
                    return Err(Refusal::not_allowed(
                        "a subquery in FROM needs an alias: (select …) as name",
                    ));
                };
                let query = self.query(subquery, &Want::default())?;
                let (id, columns) = (self.name(), columns_of(&query.columns));
                let (written, columns) = aliased(alias, columns)?;
                Ok((Source::Query(Box::new(query)), Visible::new(written, id, columns)))
            }
            TableFactor::NestedJoin { .. } => Err(Refusal::not_allowed(
                "parentheses around joins are refused: write the joins one after the other",
            )),
            TableFactor::UNNEST { .. } => Err(Refusal::not_allowed(
                "unnest is refused: pass a JSON array and use json_rows",
            )),
            TableFactor::TableFunction { .. }
            | TableFactor::JsonTable { .. }
            | TableFactor::OpenJsonTable { .. }
            | TableFactor::Pivot { .. }
            | TableFactor::Unpivot { .. }
            | TableFactor::UnpivotExpr { .. }
            | TableFactor::MatchRecognize { .. }
            | TableFactor::XmlTable { .. }
            | TableFactor::SemanticView { .. } => Err(Refusal::not_allowed(
                "FROM reads the plugin's tables, granted views, subqueries and json_rows",
            )),
        }
    }

    fn table(&mut self, name: &ast::ObjectName, alias: Option<&ast::TableAlias>) -> Result<(Source, Visible), Refusal> {
        let parts: Vec<&ast::Ident> = name.0.iter().filter_map(|part| part.as_ident()).collect();
        match parts.as_slice() {
            [table] if name.0.len() == 1 => {
                let written = names::written(table);
                match self.common.iter_mut().rev().find(|entry| entry.written == written) {
                    Some(entry) => {
                        entry.uses = entry.uses.map(|uses| uses + 1);
                        let (common, columns) = (entry.id, entry.columns.clone());
                        let id = self.name();
                        let (written, columns) = or_aliased(alias, written, columns)?;
                        Ok((Source::CommonTable(common), Visible::new(written, id, columns)))
                    }
                    None => self.own_table(table, &written, alias),
                }
            }
            [plugin, table] if name.0.len() == 2 && names::written(plugin) == self.schema.plugin => {
                self.own_table(table, &names::written(table), alias)
            }
            [plugin, view] if name.0.len() == 2 => self.foreign_view(plugin, view, alias),
            _ => Err(Refusal::new(
                RefusalKind::UnknownName,
                format!("there is no table {name}"),
            )),
        }
    }

    fn own_table(
        &mut self,
        ident: &ast::Ident,
        written: &str,
        alias: Option<&ast::TableAlias>,
    ) -> Result<(Source, Visible), Refusal> {
        let id = self.name();
        let schema = self.schema;
        let table = schema
            .table(written)
            .ok_or_else(|| self.no_table(written).within(ident.span))?;
        self.touches(&schema.plugin, written, false);
        let columns: Vec<String> = table.columns.iter().map(|column| column.name.clone()).collect();
        let source = Source::Slice {
            plugin: schema.plugin.clone(),
            table: written.to_owned(),
            columns,
        };
        let (written, columns) = or_aliased(alias, written.to_owned(), recorded(table))?;
        Ok((
            source,
            Visible {
                lockable: true,
                ..Visible::new(written, id, columns)
            },
        ))
    }

    pub(super) fn no_table(&self, name: &str) -> Refusal {
        Refusal::new(
            RefusalKind::UnknownName,
            format!("plugin {} has no table {name}", self.schema.plugin),
        )
    }

    /// Runs `step` with one table's columns in scope, under the name that DDL prints them by.
    pub(super) fn over_table<T>(
        &mut self,
        table: &str,
        step: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let schema = self.schema;
        let found = schema.table(table).ok_or_else(|| self.no_table(table))?;
        let id: Id = super::super::dialect::BARE;
        self.within_rows(vec![Visible::new(table.to_owned(), id, recorded(found))], step)
    }
}

pub(super) fn recorded(table: &super::super::schema::Table) -> Vec<VisibleColumn> {
    let visible = |column: &super::super::schema::Column| VisibleColumn {
        written: column.name.clone(),
        printed: column.name.clone(),
        kind: column.kind,
        nullable: column.nullable,
        weight: 1,
    };
    table.columns.iter().map(visible).collect()
}

fn aliased(alias: &ast::TableAlias, columns: Vec<VisibleColumn>) -> Result<(String, Vec<VisibleColumn>), Refusal> {
    let ast::TableAlias {
        explicit: _,
        name,
        columns: given,
        at,
    } = alias;
    refuse_if!(at.is_some() => "AT after a name is refused");
    let written = names::written(name);
    let columns = renamed(columns, given, &written)?;
    Ok((written, columns))
}

pub(super) fn or_aliased(
    alias: Option<&ast::TableAlias>,
    written: String,
    columns: Vec<VisibleColumn>,
) -> Result<(String, Vec<VisibleColumn>), Refusal> {
    match alias {
        Some(alias) => aliased(alias, columns),
        None => Ok((written, columns)),
    }
}

/// `using (id)`: the column must be known on both sides, once on the left.
fn using(column: &ast::Ident, tables: &[Visible]) -> Result<Expr, Refusal> {
    let name = names::written(column);
    let Some((right, left)) = tables.split_last() else {
        return Err(Refusal::new(RefusalKind::Proof, "a join has two sides"));
    };
    let of = |tables: &[&Visible]| -> Vec<Expr> {
        tables
            .iter()
            .flat_map(|table| table.all())
            .filter(|(written, _)| *written == name)
            .map(|(_, value)| value)
            .collect()
    };
    let lefts = of(&left.iter().collect::<Vec<_>>());
    let rights = of(&[right]);
    match (lefts.as_slice(), rights.as_slice()) {
        ([left], [right]) if left.kind == right.kind => Ok(Expr {
            node: Node::Compare {
                operator: Comparison::Equal,
                left: Box::new(left.clone()),
                right: Box::new(right.clone()),
            },
            kind: ColumnType::Boolean,
            nullable: true,
            weight: 1,
        }),
        _ => Err(Refusal::new(
            RefusalKind::UnknownName,
            format!("USING ({name}) needs exactly one column of that name and one type on each side: write ON"),
        )
        .within(column.span)),
    }
}
