//! INSERT, UPDATE and DELETE.

use sqlparser::ast::{
    self, AssignmentTarget, FromTable, SetExpr, TableFactor, TableObject, TableWithJoins, UpdateTableFromKind,
};

use super::super::OutputColumn;
use super::super::names;
use super::super::refusal::{Refusal, RefusalKind, refuse_if};
use super::super::schema::{Column, Table};
use super::super::tree::{Delete, Expr, Insert, Rows, Statement, Target, Update, With};
use super::scope::{Frame, Phase, Visible};
use super::upsert::keeps_to_the_snapshot;
use super::{Checker, from};

type Written = (Statement, Vec<OutputColumn>);

impl<'a> Checker<'a> {
    pub(super) fn insert(&mut self, with: With, insert: &ast::Insert) -> Result<Written, Refusal> {
        let ast::Insert {
            insert_token: _,
            optimizer_hints,
            or,
            ignore,
            into: _,
            table,
            table_alias,
            columns,
            overwrite,
            source,
            assignments,
            partitioned,
            after_columns,
            has_table_keyword,
            on,
            returning,
            output,
            replace_into,
            priority,
            insert_alias,
            settings,
            format_clause,
            multi_table_insert_type,
            multi_table_into_clauses,
            multi_table_when_clauses,
            multi_table_else_clause,
        } = insert;
        refuse_if!(
            or.is_some() || *ignore || *replace_into => "INSERT OR …, INSERT IGNORE and REPLACE are refused: write ON CONFLICT",
            !optimizer_hints.is_empty()
                || *overwrite
                || !assignments.is_empty()
                || partitioned.is_some()
                || !after_columns.is_empty()
                || *has_table_keyword
                || output.is_some()
                || priority.is_some()
                || insert_alias.is_some()
                || settings.is_some()
                || format_clause.is_some()
                || multi_table_insert_type.is_some()
                || !multi_table_into_clauses.is_empty()
                || !multi_table_when_clauses.is_empty()
                || multi_table_else_clause.is_some() => "this INSERT uses a clause that is not part of plugin SQL",
        );
        let TableObject::TableName(name) = table else {
            return Err(Refusal::not_allowed("INSERT INTO names a table"));
        };
        let alias = table_alias.as_ref().map(|alias| names::written(&alias.alias));
        let (table, target, own) = self.target(name, alias)?;
        let columns = inserted(table, columns)?;
        let Some(source) = source else {
            return Err(Refusal::not_allowed(
                "DEFAULT VALUES is refused: name the columns and their values",
            ));
        };
        let rows = self.rows(source, &columns)?;
        let excluded = Visible {
            excluded: true,
            ..Visible::new("excluded".to_owned(), target.id, from::recorded(table))
        };
        let frame = Frame {
            tables: vec![own, excluded],
            phase: Phase::Rows,
            aggregated: false,
        };
        let ((conflict, (returning, outputs)), _) = self.within(frame, |checker| {
            let conflict = on.as_ref().map(|on| checker.conflict(table, on)).transpose()?;
            Ok((conflict, checker.returning(returning.as_deref())?))
        })?;
        let updated = conflict.iter().filter_map(|conflict| conflict.update.as_ref());
        for value in updated.flat_map(|update| update.set.iter().map(|(_, value)| value).chain(&update.filter)) {
            keeps_to_the_snapshot(&with, &target, value)?;
        }
        let columns = columns.into_iter().map(|column| column.name.clone()).collect();
        Ok((
            Statement::Insert {
                with,
                insert: Insert {
                    target,
                    columns,
                    rows,
                    conflict,
                    returning,
                },
            },
            outputs,
        ))
    }

    pub(super) fn update(&mut self, with: With, update: &ast::Update) -> Result<Written, Refusal> {
        let ast::Update {
            update_token: _,
            optimizer_hints,
            table,
            assignments,
            from,
            selection,
            returning,
            output,
            or,
            order_by,
            limit,
        } = update;
        refuse_if!(
            !order_by.is_empty() || limit.is_some() => "ORDER BY and LIMIT do not go with UPDATE: select the keys in a subquery",
            !optimizer_hints.is_empty() || output.is_some() || or.is_some() => "this UPDATE uses a clause that is not part of plugin SQL",
        );
        let (name, alias) = written_target(table)?;
        let (table, target, own) = self.target(name, alias)?;
        let listed = match from {
            None => &[][..],
            Some(UpdateTableFromKind::AfterSet(list)) => list,
            Some(UpdateTableFromKind::BeforeSet(_)) => {
                return Err(Refusal::not_allowed("FROM stands after SET"));
            }
        };
        let (from, joined) = self.from(listed)?;
        if joined.iter().any(|other| other.written == own.written) {
            return Err(Refusal::new(
                RefusalKind::AmbiguousName,
                format!(
                    "FROM reads {} under the name of the updated table: give it an alias",
                    own.written
                ),
            ));
        }
        let frame = Frame {
            tables: std::iter::once(own).chain(joined).collect(),
            phase: Phase::Rows,
            aggregated: false,
        };
        let ((set, filter), mut frame) = self.within(frame, |checker| {
            let set = checker.assignments(table, assignments)?;
            let filter = selection.as_ref().map(|filter| checker.boolean(filter)).transpose()?;
            Ok((set, filter))
        })?;
        // With FROM, SQLite computes all new values before it writes the first.
        if from.is_empty() {
            set.iter()
                .try_for_each(|(_, value)| keeps_to_the_snapshot(&with, &target, value))?;
        }
        // SQLite can return no column of another table.
        frame.tables.truncate(1);
        let ((returning, outputs), _) = self.within(frame, |checker| checker.returning(returning.as_deref()))?;
        Ok((
            Statement::Update {
                with,
                update: Update {
                    target,
                    set,
                    from,
                    filter,
                    returning,
                },
            },
            outputs,
        ))
    }

    pub(super) fn delete(&mut self, with: With, delete: &ast::Delete) -> Result<Written, Refusal> {
        let ast::Delete {
            delete_token: _,
            optimizer_hints,
            tables,
            from,
            using,
            selection,
            returning,
            output,
            order_by,
            limit,
        } = delete;
        refuse_if!(
            using.is_some() => "DELETE … USING is refused: write WHERE id IN (SELECT …)",
            !order_by.is_empty() || limit.is_some() => "ORDER BY and LIMIT do not go with DELETE: select the keys in a subquery",
            !optimizer_hints.is_empty() || !tables.is_empty() || output.is_some() => "this DELETE uses a clause that is not part of plugin SQL",
        );
        let (FromTable::WithFromKeyword(list) | FromTable::WithoutKeyword(list)) = from;
        let [table] = list.as_slice() else {
            return Err(Refusal::not_allowed("DELETE FROM names one table"));
        };
        let (name, alias) = written_target(table)?;
        let (_, target, own) = self.target(name, alias)?;
        let frame = Frame {
            tables: vec![own],
            phase: Phase::Rows,
            aggregated: false,
        };
        let ((filter, (returning, outputs)), _) = self.within(frame, |checker| {
            let filter = selection.as_ref().map(|filter| checker.boolean(filter)).transpose()?;
            Ok((filter, checker.returning(returning.as_deref())?))
        })?;
        Ok((
            Statement::Delete {
                with,
                delete: Delete {
                    target,
                    filter,
                    returning,
                },
            },
            outputs,
        ))
    }

    /// The plugin's own table, to be changed.
    fn target(
        &mut self,
        name: &ast::ObjectName,
        alias: Option<String>,
    ) -> Result<(&'a Table, Target, Visible), Refusal> {
        let schema = self.schema;
        let ident = match name.0.as_slice() {
            [ast::ObjectNamePart::Identifier(table)] => table,
            [
                ast::ObjectNamePart::Identifier(plugin),
                ast::ObjectNamePart::Identifier(table),
            ] if names::written(plugin) == schema.plugin => table,
            _ => {
                return Err(Refusal::new(
                    RefusalKind::UnknownName,
                    format!("{name} is not the plugin's own: only its own tables can be changed"),
                ));
            }
        };
        let written = names::written(ident);
        let table = schema
            .table(&written)
            .ok_or_else(|| self.no_table(&written).within(ident.span))?;
        self.touches(&schema.plugin, &written, true);
        let id = self.name();
        let target = Target {
            id,
            plugin: schema.plugin.clone(),
            table: written.clone(),
        };
        let visible = Visible::new(alias.unwrap_or(written), id, from::recorded(table));
        Ok((table, target, visible))
    }

    fn rows(&mut self, source: &ast::Query, columns: &[&Column]) -> Result<Rows, Refusal> {
        let SetExpr::Values(values) = source.body.as_ref() else {
            let kinds = columns.iter().map(|column| column.kind).collect();
            return self.query_for(source, kinds).map(|query| Rows::Query(Box::new(query)));
        };
        refuse_if!(
            source.with.is_some()
                || source.order_by.is_some()
                || source.limit_clause.is_some()
                || source.fetch.is_some()
                || !source.locks.is_empty()
                || source.for_clause.is_some()
                || source.settings.is_some()
                || source.format_clause.is_some()
                || !source.pipe_operators.is_empty() => "VALUES stands alone",
        );
        let ast::Values {
            explicit_row,
            value_keyword: _,
            rows,
        } = values;
        refuse_if!(*explicit_row => "VALUES ROW(…) is refused: write VALUES (…)");
        let mut checked = Vec::with_capacity(rows.len());
        for row in rows {
            if row.content.len() != columns.len() {
                return Err(Refusal::wrong_type(format!(
                    "{} columns are inserted from {} values",
                    columns.len(),
                    row.content.len()
                )));
            }
            checked.push(self.within_rows(Vec::new(), |checker| {
                row.content
                    .iter()
                    .zip(columns)
                    .map(|(value, column)| checker.assigned(column, value))
                    .collect()
            })?);
        }
        Ok(Rows::Values(checked))
    }

    fn assigned(&mut self, column: &Column, value: &ast::Expr) -> Result<Expr, Refusal> {
        if matches!(value, ast::Expr::Identifier(ident) if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
        {
            return Err(Refusal::not_allowed(
                "DEFAULT as a value is refused: leave the column out",
            ));
        }
        self.expr_of(value, column.kind, &format!("the value of {}", column.name))
    }

    pub(super) fn assignments(
        &mut self,
        table: &Table,
        assignments: &[ast::Assignment],
    ) -> Result<Vec<(String, Expr)>, Refusal> {
        let mut set: Vec<(String, Expr)> = Vec::with_capacity(assignments.len());
        for ast::Assignment { target, value } in assignments {
            let AssignmentTarget::ColumnName(name) = target else {
                return Err(Refusal::not_allowed(
                    "SET (a, b) = … is refused: write SET a = …, b = …",
                ));
            };
            let column = known(table, names::single("the column", name)?)?;
            if set.iter().any(|(other, _)| *other == column.name) {
                return Err(Refusal::new(
                    RefusalKind::AmbiguousName,
                    format!("{} is set twice", column.name),
                ));
            }
            let value = self.assigned(column, value)?;
            set.push((column.name.clone(), value));
        }
        Ok(set)
    }
}

/// The columns of an INSERT: known, each once, and none left out that must have a value.
fn inserted<'t>(table: &'t Table, names: &[ast::ObjectName]) -> Result<Vec<&'t Column>, Refusal> {
    if names.is_empty() {
        return Err(Refusal::not_allowed(
            "INSERT names its columns: the table may get more of them",
        ));
    }
    let mut columns: Vec<&Column> = Vec::with_capacity(names.len());
    for name in names {
        let column = known(table, names::single("the column", name)?)?;
        if columns.iter().any(|other| other.name == column.name) {
            return Err(Refusal::new(
                RefusalKind::AmbiguousName,
                format!("{} is inserted twice", column.name),
            ));
        }
        columns.push(column);
    }
    let missing = table.columns.iter().find(|column| {
        !column.nullable && !column.has_default && columns.iter().all(|inserted| inserted.name != column.name)
    });
    match missing {
        None => Ok(columns),
        Some(column) => Err(Refusal::wrong_type(format!(
            "{} needs a value: it is NOT NULL and has no default",
            column.name
        ))),
    }
}

pub(super) fn known<'t>(table: &'t Table, ident: &ast::Ident) -> Result<&'t Column, Refusal> {
    let name = names::written(ident);
    table.column(&name).ok_or_else(|| {
        Refusal::new(RefusalKind::UnknownName, format!("{} has no column {name}", table.name)).within(ident.span)
    })
}

fn written_target(table: &TableWithJoins) -> Result<(&ast::ObjectName, Option<String>), Refusal> {
    let TableWithJoins { relation, joins } = table;
    refuse_if!(!joins.is_empty() => "a write names one table: join others in FROM, or in a subquery");
    let TableFactor::Table {
        name,
        alias,
        args: None,
        with_hints,
        version: None,
        with_ordinality: false,
        partitions,
        json_path: None,
        sample: None,
        index_hints,
    } = relation
    else {
        return Err(Refusal::not_allowed("a write names one table"));
    };
    refuse_if!(!with_hints.is_empty() || !partitions.is_empty() || !index_hints.is_empty() => "a table takes an alias and nothing else");
    match alias {
        None => Ok((name, None)),
        Some(ast::TableAlias {
            explicit: _,
            name: alias,
            columns,
            at,
        }) => {
            refuse_if!(!columns.is_empty() || at.is_some() => "the alias of a changed table has no columns");
            Ok((name, Some(names::written(alias))))
        }
    }
}
