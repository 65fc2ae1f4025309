//! Expressions: one arm for each kind of node that the parser knows.

use sqlparser::ast::{self, BinaryOperator, Spanned};

use super::super::ColumnType;
use super::super::refusal::{Refusal, RefusalKind, refuse_if};
use super::super::tree::{Expr, Node};
use super::conditions::{boolean, comparable, is_null};
use super::query::Want;
use super::{Checker, types};

/// How many texts one value may be the sum of; see [`Expr::weight`].
pub(super) const HEAVIEST: u32 = 64;

impl Checker<'_> {
    /// Checks one expression. `want` is the kind that an argument, NULL or literal takes here; others keep their own.
    #[recursive::recursive]
    pub(super) fn expr(&mut self, expr: &ast::Expr, want: Option<ColumnType>) -> Result<Expr, Refusal> {
        let checked = self
            .deeper(|checker| checker.node(expr, want))
            .map_err(|refusal| refusal.within(expr.span()))?;
        match checked.weight <= HEAVIEST {
            true => Ok(checked),
            false => Err(Refusal::new(
                RefusalKind::TooLarge,
                "this joins too many texts, or doubles one at every step: build large texts in the plugin",
            )
            .within(expr.span())),
        }
    }

    fn node(&mut self, expr: &ast::Expr, want: Option<ColumnType>) -> Result<Expr, Refusal> {
        use ast::Expr as E;
        match expr {
            E::Identifier(ident) => self.column(ident),
            E::CompoundIdentifier(parts) => match parts.as_slice() {
                [table, column] => self.column_of(table, column),
                _ => Err(Refusal::new(
                    RefusalKind::UnknownName,
                    format!("`{expr}` has too many parts: write table.column"),
                )),
            },
            E::Value(value) => self.value(value, want),
            E::Nested(inner) => self.expr(inner, want),
            E::TypedString(typed) => {
                refuse_if!(typed.uses_odbc_syntax => "{ts …} is refused: write timestamptz '…'");
                let kind = types::named(&typed.data_type)?;
                let value = self.value(&typed.value, Some(kind))?;
                types::cast(value, kind)
            }
            E::IsTrue(value) => self.is_boolean(value, true, false),
            E::IsNotTrue(value) => self.is_boolean(value, true, true),
            E::IsFalse(value) => self.is_boolean(value, false, false),
            E::IsNotFalse(value) => self.is_boolean(value, false, true),
            E::IsNull(value) => self.is_null(value, false),
            E::IsNotNull(value) => self.is_null(value, true),
            E::IsUnknown(value) => self.boolean(value).map(|value| is_null(value, false)),
            E::IsNotUnknown(value) => self.boolean(value).map(|value| is_null(value, true)),
            E::IsDistinctFrom(left, right) => self.distinct(left, right, false),
            E::IsNotDistinctFrom(left, right) => self.distinct(left, right, true),
            E::InList { expr, list, negated } => self.in_list(expr, list, *negated),
            E::InSubquery {
                expr,
                subquery,
                negated,
            } => self.in_query(expr, subquery, *negated),
            E::Between {
                expr,
                negated,
                low,
                high,
            } => self.between(expr, low, high, *negated),
            E::BinaryOp { left, op, right } => self.binary(expr, left, op, right, want),
            E::UnaryOp { op, expr } => self.unary(op, expr, want),
            E::Like {
                negated,
                any,
                expr,
                pattern,
                escape_char,
            } => {
                refuse_if!(*any => "LIKE ANY is refused: write one LIKE per pattern");
                self.like(expr, pattern, escape_char.as_deref(), *negated, false)
            }
            E::ILike {
                negated,
                any,
                expr,
                pattern,
                escape_char,
            } => {
                refuse_if!(*any => "ILIKE ANY is refused: write one ILIKE per pattern");
                self.like(expr, pattern, escape_char.as_deref(), *negated, true)
            }
            E::AnyOp {
                left,
                compare_op,
                right,
                is_some,
            } => {
                refuse_if!(*is_some => "SOME is refused: write = any(…)");
                match compare_op {
                    BinaryOperator::Eq => self.in_array(left, right, false),
                    _ => Err(Refusal::not_allowed("any() goes with = only: value = any($1)")),
                }
            }
            E::AllOp {
                left,
                compare_op,
                right,
            } => match compare_op {
                BinaryOperator::NotEq => self.in_array(left, right, true),
                _ => Err(Refusal::not_allowed("all() goes with <> only: value <> all($1)")),
            },
            E::Cast {
                kind,
                expr,
                data_type,
                format,
            } => {
                refuse_if!(
                    !matches!(kind, ast::CastKind::Cast | ast::CastKind::DoubleColon) => "this cast is refused: write cast(value as type)",
                    format.is_some() => "CAST … FORMAT is refused: format values in the plugin",
                );
                let kind = types::named(data_type)?;
                let value = self.expr(expr, Some(kind))?;
                types::cast(value, kind)
            }
            E::Function(function) => self.function(function, want),
            E::Substring { .. } | E::Trim { .. } | E::Position { .. } => self.special_function(expr),
            E::Case {
                case_token: _,
                end_token: _,
                operand,
                conditions,
                else_result,
            } => self.case(operand.as_deref(), conditions, else_result.as_deref(), want),
            E::Exists { subquery, negated } => {
                let query = self.query(subquery, &Want::default())?;
                Ok(boolean(
                    Node::Exists {
                        negated: *negated,
                        query: Box::new(query),
                    },
                    false,
                ))
            }
            E::Subquery(query) => self.scalar(query, want),
            E::Tuple(_) => Err(Refusal::not_allowed(
                "a row value stands only in a comparison: (a, b) < ($1, $2)",
            )),
            E::Collate { .. } => Err(Refusal::not_allowed(
                "COLLATE is refused: text compares by its bytes on both engines",
            )),
            E::Extract { .. } | E::AtTimeZone { .. } | E::Interval(_) => Err(Refusal::not_allowed(
                "arithmetic with times is refused: compute the time in the plugin and pass it as an argument",
            )),
            E::Ceil { .. } | E::Floor { .. } => Err(Refusal::new(
                RefusalKind::UnknownFunction,
                "ceil and floor are not offered: use round, or compute in the plugin",
            )),
            E::SimilarTo { .. } | E::RLike { .. } => {
                Err(Refusal::not_allowed("regular expressions are refused: use LIKE"))
            }
            E::Array(_) => Err(Refusal::not_allowed(
                "arrays are refused: pass a JSON array and write = any($1)",
            )),
            E::GroupingSets(_) | E::Cube(_) | E::Rollup(_) => Err(Refusal::not_allowed(
                "grouping sets are refused: join several queries with UNION ALL",
            )),
            E::Wildcard(_) | E::QualifiedWildcard(..) => {
                Err(Refusal::not_allowed("* stands only in a select list or count(*)"))
            }
            E::CompoundFieldAccess { .. }
            | E::JsonAccess { .. }
            | E::IsJson { .. }
            | E::IsNormalized { .. }
            | E::InUnnest { .. }
            | E::Convert { .. }
            | E::Overlay { .. }
            | E::Prefixed { .. }
            | E::Struct { .. }
            | E::Named { .. }
            | E::Dictionary(_)
            | E::Map(_)
            | E::MatchAgainst { .. }
            | E::OuterJoin(_)
            | E::Prior(_)
            | E::Lambda(_)
            | E::MemberOf(_) => Err(Refusal::not_allowed(format!("`{expr}` is not part of plugin SQL"))),
        }
    }

    fn case(
        &mut self,
        operand: Option<&ast::Expr>,
        arms: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
        want: Option<ColumnType>,
    ) -> Result<Expr, Refusal> {
        let conditions: Vec<&ast::Expr> = arms.iter().map(|arm| &arm.condition).collect();
        let (operand, conditions) = match operand {
            None => {
                let mut checked = Vec::with_capacity(conditions.len());
                for condition in conditions {
                    checked.push(self.boolean(condition)?);
                }
                (None, checked)
            }
            Some(operand) => {
                let exprs: Vec<&ast::Expr> = std::iter::once(operand).chain(conditions).collect();
                let mut alike = self.alike(&exprs, None)?;
                let conditions = alike.split_off(1);
                let operand = alike.remove(0);
                comparable(&operand, false)?;
                (Some(Box::new(operand)), conditions)
            }
        };
        let results: Vec<&ast::Expr> = arms.iter().map(|arm| &arm.result).chain(otherwise).collect();
        let mut results = self.alike(&results, want)?;
        let nullable = otherwise.is_none() || results.iter().any(|result| result.nullable);
        let weight = results.iter().map(|result| result.weight).max().unwrap_or(1);
        let kind = results.first().map_or(ColumnType::Text, |result| result.kind);
        let otherwise = otherwise.and_then(|_| results.pop()).map(Box::new);
        let arms = conditions.into_iter().zip(results).collect();
        Ok(Expr {
            node: Node::Case {
                operand,
                arms,
                otherwise,
            },
            kind,
            nullable,
            weight,
        })
    }

    fn scalar(&mut self, query: &ast::Query, want: Option<ColumnType>) -> Result<Expr, Refusal> {
        let query = self.query(
            query,
            &Want {
                kinds: want.into_iter().collect(),
            },
        )?;
        let [column] = query.columns.as_slice() else {
            return Err(Refusal::wrong_type(format!(
                "a subquery used as a value has one column, and this has {}",
                query.columns.len()
            )));
        };
        // PostgreSQL fails on a second row and SQLite takes the first that it meets.
        if !self.at_most_one_row(&query) {
            return Err(Refusal::not_allowed(
                "a subquery used as a value must give at most one row: compare all columns of a key, aggregate, or add LIMIT 1",
            ));
        }
        let (kind, weight) = (column.kind, column.weight);
        Ok(Expr {
            node: Node::Scalar(Box::new(query)),
            kind,
            nullable: true,
            weight,
        })
    }
}
