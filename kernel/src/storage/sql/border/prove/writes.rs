//! The target of a write: its store's predicate around the plugin's own, or its store's number in every new row.

use sqlparser::ast::{self, BinaryOperator, Expr, SetExpr, Statement};

use super::super::dialect::{Engine, placeholder};
use super::super::names::STORE_COLUMN;
use super::Printed;

impl Printed<'_> {
    /// How often the store's column guards the written table; nothing where it does not.
    pub(super) fn guarded_target(&self, statement: &Statement) -> Option<usize> {
        let write = match statement {
            Statement::Query(query) => match query.body.as_ref() {
                SetExpr::Insert(write) | SetExpr::Update(write) | SetExpr::Delete(write) => write,
                _ => return None,
            },
            write => write,
        };
        match write {
            Statement::Update(update) => self.guards(update.selection.as_ref()?).then_some(1),
            Statement::Delete(delete) => self.guards(delete.selection.as_ref()?).then_some(1),
            Statement::Insert(insert) => self.guarded_insert(insert),
            _ => None,
        }
    }

    fn guarded_insert(&self, insert: &ast::Insert) -> Option<usize> {
        let is_store_column = |name: &ast::ObjectName| name.to_string() == format!("\"{STORE_COLUMN}\"");
        insert.columns.first().filter(|name| is_store_column(name))?;
        let filled = match insert.source.as_deref()?.body.as_ref() {
            SetExpr::Values(values) => values
                .rows
                .iter()
                .all(|row| row.content.first().is_some_and(|value| self.is_store(value))),
            SetExpr::Select(select) => match select.projection.first() {
                Some(ast::SelectItem::UnnamedExpr(value)) => self.is_store(value),
                _ => false,
            },
            _ => false,
        };
        let conflict = match &insert.on {
            None => 0,
            Some(ast::OnInsert::OnConflict(conflict)) => self.guarded_conflict(conflict)?,
            Some(_) => return None,
        };
        filled.then_some(1 + conflict)
    }

    fn guarded_conflict(&self, conflict: &ast::OnConflict) -> Option<usize> {
        let columns = match &conflict.conflict_target {
            None => 0,
            Some(ast::ConflictTarget::Columns(columns)) => {
                columns.first().filter(|column| column.value == STORE_COLUMN)?;
                1
            }
            Some(ast::ConflictTarget::OnConstraint(_)) => return None,
        };
        match &conflict.action {
            ast::OnConflictAction::DoNothing => Some(columns),
            ast::OnConflictAction::DoUpdate(update) => self.guards(update.selection.as_ref()?).then_some(columns + 1),
        }
    }

    /// `t1."store_id" = $k+1`, alone or followed by `and ( … )`.
    fn guards(&self, selection: &Expr) -> bool {
        match selection {
            Expr::BinaryOp {
                left,
                op: BinaryOperator::And,
                right,
            } => matches!(right.as_ref(), Expr::Nested(_)) && self.is_store_predicate(left),
            predicate => self.is_store_predicate(predicate),
        }
    }

    fn is_store_predicate(&self, predicate: &Expr) -> bool {
        let Expr::BinaryOp {
            left,
            op: BinaryOperator::Eq,
            right,
        } = predicate
        else {
            return false;
        };
        let Expr::CompoundIdentifier(parts) = left.as_ref() else {
            return false;
        };
        matches!(parts.as_slice(), [_, column] if column.value == STORE_COLUMN) && self.is_store(right)
    }

    fn is_store(&self, value: &Expr) -> bool {
        let store = placeholder(self.engine, self.arguments + 1);
        let expected = match self.engine {
            Engine::Postgres => format!("{store}::BIGINT"),
            Engine::Sqlite => store,
        };
        value.to_string() == expected
    }
}
