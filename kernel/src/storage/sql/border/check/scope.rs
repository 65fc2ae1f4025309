//! Which names an expression can see.
//!
//! Every column is found here or the text is refused: an unknown quoted name would be a string on SQLite, and a table's
//! name used as a value is a whole row on PostgreSQL, hidden columns included.

use sqlparser::ast::Ident;

use super::super::ColumnType;
use super::super::names;
use super::super::refusal::{Refusal, RefusalKind};
use super::super::tree::{Expr, Id, Node, Output};
use super::Checker;

/// The tables of one query, or the target and tables of one write.
pub(super) struct Frame {
    pub tables: Vec<Visible>,
    pub phase: Phase,
    /// Set once an aggregate without OVER was met: the query then has one row per group.
    pub aggregated: bool,
}

pub(super) struct Visible {
    /// The alias or table name by which the plugin's text knows it.
    pub written: String,
    pub id: Id,
    pub columns: Vec<VisibleColumn>,
    /// Whether its rows can be locked: only those of a plain table.
    pub lockable: bool,
    pub outer_joined: bool,
    /// `excluded` of an upsert.
    pub excluded: bool,
}

#[derive(Clone)]
pub(super) struct VisibleColumn {
    /// As the plugin's text names it.
    pub written: String,
    /// As it prints: recorded columns as they are, those of subqueries as `c1`, `c2`, ….
    pub printed: String,
    pub kind: ColumnType,
    pub nullable: bool,
    pub weight: u32,
}

/// What an expression may contain, by where it stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// WHERE, ON, GROUP BY, SET, VALUES: one row, no aggregates.
    Rows,
    /// HAVING: aggregates.
    Groups,
    /// The selected values and ORDER BY: aggregates and windows.
    Output,
    /// Inside an aggregate: neither.
    Argument,
}

pub(super) struct CommonEntry {
    pub written: String,
    pub id: Id,
    pub columns: Vec<VisibleColumn>,
    /// While the second half of a recursive one is being checked: how often it was used.
    pub uses: Option<usize>,
}

impl Visible {
    pub fn new(written: String, id: Id, columns: Vec<VisibleColumn>) -> Self {
        Visible {
            written,
            id,
            columns,
            lockable: false,
            outer_joined: false,
            excluded: false,
        }
    }

    fn value(&self, column: &VisibleColumn) -> Expr {
        let node = match self.excluded {
            true => Node::Excluded(column.printed.clone()),
            false => Node::Column {
                id: self.id,
                name: column.printed.clone(),
            },
        };
        let nullable = column.nullable || self.outer_joined;
        Expr {
            node,
            kind: column.kind,
            nullable,
            weight: column.weight,
        }
    }

    /// Every column in order: what `*` means.
    pub fn all(&self) -> impl Iterator<Item = (String, Expr)> {
        self.columns
            .iter()
            .map(|column| (column.written.clone(), self.value(column)))
    }
}

/// The columns of a query as the query around it sees them.
pub(super) fn columns_of(outputs: &[Output]) -> Vec<VisibleColumn> {
    let column = |(index, output): (usize, &Output)| VisibleColumn {
        written: output.name.clone(),
        printed: format!("c{}", index + 1),
        kind: output.kind,
        nullable: output.nullable,
        weight: output.weight,
    };
    outputs.iter().enumerate().map(column).collect()
}

impl Checker<'_> {
    /// Runs `step` with these tables in scope.
    pub(super) fn within<T>(
        &mut self,
        frame: Frame,
        step: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<(T, Frame), Refusal> {
        self.frames.push(frame);
        let result = step(self);
        let frame = self
            .frames
            .pop()
            .ok_or_else(|| Refusal::new(RefusalKind::Proof, "scopes do not nest"))?;
        Ok((result?, frame))
    }

    pub(super) fn within_rows<T>(
        &mut self,
        tables: Vec<Visible>,
        step: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let frame = Frame {
            tables,
            phase: Phase::Rows,
            aggregated: false,
        };
        self.within(frame, step).map(|(result, _)| result)
    }

    pub(super) fn phase(&self) -> Phase {
        self.frames.last().map_or(Phase::Rows, |frame| frame.phase)
    }

    /// Runs `step` in another phase of the innermost frame.
    pub(super) fn in_phase<T>(
        &mut self,
        phase: Phase,
        step: impl FnOnce(&mut Self) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let before = self.phase();
        self.set_phase(phase);
        let result = step(self);
        self.set_phase(before);
        result
    }

    fn set_phase(&mut self, phase: Phase) {
        if let Some(frame) = self.frames.last_mut() {
            frame.phase = phase;
        }
    }

    pub(super) fn column(&self, ident: &Ident) -> Result<Expr, Refusal> {
        self.find_column(ident)?
            .ok_or_else(|| self.unknown(ident).within(ident.span))
    }

    /// Looks from the innermost query outwards, as SQL does.
    fn find_column(&self, ident: &Ident) -> Result<Option<Expr>, Refusal> {
        let name = names::written(ident);
        for frame in self.frames.iter().rev() {
            let mut found = None;
            // An upsert's own row and the one it could not insert have the same columns; unqualified means its own.
            for table in frame.tables.iter().filter(|table| !table.excluded) {
                for column in table.columns.iter().filter(|column| column.written == name) {
                    if found.is_some() {
                        return Err(Refusal::new(
                            RefusalKind::AmbiguousName,
                            format!(
                                "more than one table has a column {name}: write it as {}.{name}",
                                table.written
                            ),
                        )
                        .within(ident.span));
                    }
                    found = Some(table.value(column));
                }
            }
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    pub(super) fn column_of(&self, qualifier: &Ident, ident: &Ident) -> Result<Expr, Refusal> {
        let table = self.visible(qualifier)?;
        let name = names::written(ident);
        let mut found = table.columns.iter().filter(|column| column.written == name);
        match (found.next(), found.next()) {
            (Some(column), None) => Ok(table.value(column)),
            (Some(_), Some(_)) => Err(Refusal::new(
                RefusalKind::AmbiguousName,
                format!(
                    "{} has more than one column {name}: give them names of their own",
                    table.written
                ),
            )
            .within(ident.span)),
            (None, _) => Err(Refusal::new(
                RefusalKind::UnknownName,
                format!("{} has no column {name}", table.written),
            )
            .within(ident.span)),
        }
    }

    pub(super) fn visible(&self, qualifier: &Ident) -> Result<&Visible, Refusal> {
        let name = names::written(qualifier);
        let found = self
            .frames
            .iter()
            .rev()
            .flat_map(|frame| &frame.tables)
            .find(|table| table.written == name);
        found.ok_or_else(|| {
            Refusal::new(RefusalKind::UnknownName, format!("no table {name} is in scope here")).within(qualifier.span)
        })
    }

    /// Says what an unknown name probably was meant to be.
    fn unknown(&self, ident: &Ident) -> Refusal {
        let name = names::written(ident);
        let is_table = self
            .frames
            .iter()
            .flat_map(|frame| &frame.tables)
            .any(|table| table.written == name);
        let message = match (is_table, ident.quote_style) {
            (true, _) => {
                format!("{name} is a table, and a whole row is not a value: name its columns")
            }
            (false, Some(_)) => {
                format!("there is no column \"{name}\" here: strings are written '{name}'")
            }
            (false, None) => format!("there is no column {name} here"),
        };
        Refusal::new(RefusalKind::UnknownName, message)
    }
}
