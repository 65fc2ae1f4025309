//! ON CONFLICT: what an upsert names, and what its new values may read.

use sqlparser::ast::{self, ConflictTarget, OnConflictAction, OnInsert};

use super::super::refusal::{Refusal, RefusalKind, refuse_if};
use super::super::schema::Table;
use super::super::tree::{Conflict, ConflictUpdate, Expr, Id, Node, Source, Target, With};
use super::Checker;
use super::write::known;

impl Checker<'_> {
    pub(super) fn conflict(&mut self, table: &Table, on: &OnInsert) -> Result<Conflict, Refusal> {
        let OnInsert::OnConflict(ast::OnConflict {
            conflict_target,
            action,
        }) = on
        else {
            return Err(Refusal::not_allowed(
                "ON DUPLICATE KEY is refused: write ON CONFLICT (…) DO UPDATE SET …",
            ));
        };
        let columns = match conflict_target {
            None => Vec::new(),
            Some(ConflictTarget::Columns(idents)) => {
                let mut columns = Vec::with_capacity(idents.len());
                for ident in idents {
                    columns.push(known(table, ident)?.name.clone());
                }
                if !table.keys().any(|key| same_columns(key, &columns)) {
                    return Err(Refusal::new(
                        RefusalKind::UnknownName,
                        format!(
                            "no key of {} has exactly the columns ({}): ON CONFLICT names a whole key",
                            table.name,
                            columns.join(", ")
                        ),
                    ));
                }
                columns
            }
            Some(ConflictTarget::OnConstraint(_)) => {
                return Err(Refusal::not_allowed("ON CONSTRAINT is refused: name the key's columns"));
            }
        };
        let update = match action {
            OnConflictAction::DoNothing => None,
            OnConflictAction::DoUpdate(ast::DoUpdate { assignments, selection }) => {
                refuse_if!(columns.is_empty() => "DO UPDATE needs the columns of a key: ON CONFLICT (…)");
                let set = self.assignments(table, assignments)?;
                let filter = selection.as_ref().map(|filter| self.boolean(filter)).transpose()?;
                Some(ConflictUpdate { set, filter })
            }
        };
        Ok(Conflict { columns, update })
    }
}

/// Refuses a new value that is computed from other rows of the changed table: SQLite computes it row by row, and would
/// read what the same statement has already written.
pub(super) fn keeps_to_the_snapshot(with: &With, target: &Target, value: &Expr) -> Result<(), Refusal> {
    let mut common: Vec<Id> = Vec::new();
    let is_target = |source: &Source, common: &[Id]| match source {
        Source::Slice { plugin, table, .. } => *plugin == target.plugin && *table == target.table,
        Source::CommonTable(id) => common.contains(id),
        Source::Query(_) | Source::JsonRows { .. } => false,
    };
    for table in &with.tables {
        if table.query.reads(&|source| is_target(source, &common)) {
            common.push(table.id);
        }
    }
    let mut broken = false;
    value.each(&mut |part| {
        if let Node::Scalar(query) | Node::Exists { query, .. } | Node::InQuery { query, .. } = &part.node {
            broken |= query.reads(&|source| is_target(source, &common));
        }
        !broken
    });
    match broken {
        false => Ok(()),
        true => Err(Refusal::not_allowed(format!(
            "a new value may not read other rows of {}, which SQLite changes one by one: join them with UPDATE … FROM (SELECT …)",
            target.table
        ))),
    }
}

fn same_columns(key: &[String], columns: &[String]) -> bool {
    key.len() == columns.len() && key.iter().all(|column| columns.contains(column))
}
