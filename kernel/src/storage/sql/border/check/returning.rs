//! RETURNING.

use sqlparser::ast::{self, SelectItem};

use super::super::OutputColumn;
use super::super::refusal::{Refusal, refuse_if};
use super::super::tree::Expr;
use super::outputs::{default_name, output_name};
use super::{Checker, grouping};

impl Checker<'_> {
    /// Values of the changed row only.
    pub(super) fn returning(
        &mut self,
        items: Option<&[SelectItem]>,
    ) -> Result<(Vec<Expr>, Vec<OutputColumn>), Refusal> {
        let (mut values, mut outputs) = (Vec::new(), Vec::new());
        let mut push = |name: String, value: Expr| {
            outputs.push(OutputColumn {
                name,
                kind: Some(value.kind),
            });
            values.push(value);
        };
        for item in items.unwrap_or_default() {
            match item {
                SelectItem::UnnamedExpr(expr) => push(default_name(expr, 0), self.returned(expr)?),
                SelectItem::ExprWithAlias { expr, alias } => push(output_name(alias)?, self.returned(expr)?),
                SelectItem::Wildcard(_) => {
                    let own = self.frames.last().and_then(|frame| frame.tables.first());
                    own.into_iter()
                        .flat_map(|table| table.all())
                        .for_each(|(name, value)| push(name, value));
                }
                SelectItem::QualifiedWildcard(..) | SelectItem::ExprWithAliases { .. } => {
                    return Err(Refusal::not_allowed(
                        "RETURNING takes columns of the changed table, or *",
                    ));
                }
            }
        }
        Ok((values, outputs))
    }

    fn returned(&mut self, expr: &ast::Expr) -> Result<Expr, Refusal> {
        let value = self.expr(expr, None)?;
        refuse_if!(
            grouping::has_subquery(&value) => "a subquery in RETURNING is refused: the engines disagree on what it sees",
        );
        Ok(value)
    }
}
