//! UNION, EXCEPT and INTERSECT.

use sqlparser::ast::{self, SetExpr, SetQuantifier};

use super::super::ColumnType;
use super::super::refusal::{Refusal, RefusalKind, refuse_if};
use super::super::tree::{Body, Output, SetOperator};
use super::Checker;
use super::query::Want;

/// As many as the SQLite connections take: see `LIMITS` in `sqlite/wall.rs`.
const MOST_TERMS: usize = 50;

impl Checker<'_> {
    pub(super) fn set_operation(
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
        if terms(&left) >= MOST_TERMS {
            return Err(Refusal::new(
                RefusalKind::TooLarge,
                format!("UNION, EXCEPT and INTERSECT join at most {MOST_TERMS} SELECTs: pass rows with json_rows"),
            ));
        }
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
}

/// How many SELECTs stand side by side in what SQLite reads as one compound.
fn terms(body: &Body) -> usize {
    match body {
        Body::Select(_) => 1,
        Body::Set { left, .. } => terms(left) + 1,
    }
}

pub(super) fn quantifier(quantifier: &SetQuantifier) -> Result<bool, Refusal> {
    match quantifier {
        SetQuantifier::All => Ok(true),
        SetQuantifier::None | SetQuantifier::Distinct => Ok(false),
        SetQuantifier::ByName | SetQuantifier::AllByName | SetQuantifier::DistinctByName => Err(Refusal::not_allowed(
            "UNION BY NAME is refused: select the columns in the same order",
        )),
    }
}

pub(super) fn same_shape(left: &[Output], right: &[Output]) -> Result<(), Refusal> {
    if left.len() != right.len() {
        return Err(Refusal::wrong_type(format!(
            "the two sides of UNION have {} and {} columns",
            left.len(),
            right.len()
        )));
    }
    match left.iter().zip(right).find(|(left, right)| left.kind != right.kind) {
        None => Ok(()),
        Some((left, right)) => Err(Refusal::wrong_type(format!(
            "the column {} is {} on one side of UNION and {} on the other: cast one of them",
            left.name,
            left.kind.sql(),
            right.kind.sql()
        ))),
    }
}
