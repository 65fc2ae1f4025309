//! Conditions: what answers true, false or NULL.

use sqlparser::ast::{self, Value};

use super::super::ColumnType;
use super::super::refusal::{Refusal, RefusalKind};
use super::super::tree::{Expr, Node};
use super::Checker;
use super::query::Want;

impl Checker<'_> {
    pub(super) fn is_boolean(&mut self, value: &ast::Expr, truth: bool, negated: bool) -> Result<Expr, Refusal> {
        let value = Box::new(self.boolean(value)?);
        Ok(boolean(Node::IsBoolean { negated, truth, value }, false))
    }

    pub(super) fn is_null(&mut self, value: &ast::Expr, negated: bool) -> Result<Expr, Refusal> {
        Ok(is_null(self.expr(value, None)?, negated))
    }

    pub(super) fn distinct(&mut self, left: &ast::Expr, right: &ast::Expr, negated: bool) -> Result<Expr, Refusal> {
        let (left, right) = self.pair(left, right)?;
        comparable(&left, false)?;
        Ok(boolean(
            Node::Distinct {
                negated,
                left: Box::new(left),
                right: Box::new(right),
            },
            false,
        ))
    }

    pub(super) fn in_list(&mut self, value: &ast::Expr, list: &[ast::Expr], negated: bool) -> Result<Expr, Refusal> {
        let exprs: Vec<&ast::Expr> = std::iter::once(value).chain(list).collect();
        let mut alike = self.alike(&exprs, None)?;
        let list = alike.split_off(1);
        let value = alike.remove(0);
        comparable(&value, false)?;
        let nullable = value.nullable || list.iter().any(|item| item.nullable);
        Ok(boolean(
            Node::InList {
                negated,
                value: Box::new(value),
                list,
            },
            nullable,
        ))
    }

    pub(super) fn in_query(&mut self, value: &ast::Expr, query: &ast::Query, negated: bool) -> Result<Expr, Refusal> {
        let values: Vec<&ast::Expr> = match value {
            ast::Expr::Tuple(values) => values.iter().collect(),
            value => vec![value],
        };
        let query = self.query(query, &Want::default())?;
        if values.len() != query.columns.len() {
            return Err(Refusal::wrong_type(format!(
                "{} values are compared with a subquery of {} columns",
                values.len(),
                query.columns.len()
            )));
        }
        let mut checked = Vec::with_capacity(values.len());
        for (value, column) in values.into_iter().zip(&query.columns) {
            let value = self.expr_of(value, column.kind, "the value before IN")?;
            comparable(&value, false)?;
            checked.push(value);
        }
        Ok(boolean(
            Node::InQuery {
                negated,
                values: checked,
                query: Box::new(query),
            },
            true,
        ))
    }

    pub(super) fn in_array(&mut self, value: &ast::Expr, array: &ast::Expr, negated: bool) -> Result<Expr, Refusal> {
        let value = self.expr(value, None)?;
        if !matches!(value.kind, ColumnType::Text | ColumnType::Bigint) {
            return Err(Refusal::wrong_type(
                "any() and all() compare text or bigint with a JSON array of the same",
            ));
        }
        let array = self.expr_of(array, ColumnType::Jsonb, "the list in any() or all(), a JSON array,")?;
        if !matches!(array.node, Node::Argument(_)) {
            return Err(Refusal::not_allowed(
                "any() and all() take an argument: value = any($1)",
            ));
        }
        Ok(boolean(
            Node::InArray {
                negated,
                value: Box::new(value),
                array: Box::new(array),
            },
            true,
        ))
    }

    pub(super) fn between(
        &mut self,
        value: &ast::Expr,
        low: &ast::Expr,
        high: &ast::Expr,
        negated: bool,
    ) -> Result<Expr, Refusal> {
        let mut alike = self.alike(&[value, low, high], None)?.into_iter();
        let (Some(value), Some(low), Some(high)) = (alike.next(), alike.next(), alike.next()) else {
            return Err(Refusal::new(RefusalKind::Proof, "BETWEEN has three parts"));
        };
        comparable(&value, true)?;
        let nullable = value.nullable || low.nullable || high.nullable;
        let node = Node::Between {
            negated,
            value: Box::new(value),
            low: Box::new(low),
            high: Box::new(high),
        };
        Ok(boolean(node, nullable))
    }

    pub(super) fn like(
        &mut self,
        value: &ast::Expr,
        pattern: &ast::Expr,
        escape: Option<&ast::Expr>,
        negated: bool,
        ignoring_case: bool,
    ) -> Result<Expr, Refusal> {
        let escape = match escape {
            None => '\\',
            Some(ast::Expr::Value(ast::ValueWithSpan {
                value: Value::SingleQuotedString(text),
                span: _,
            })) => {
                let mut letters = text.chars();
                match (letters.next(), letters.next()) {
                    (Some(letter), None) if letter.is_ascii() => letter,
                    _ => return Err(Refusal::not_allowed("ESCAPE takes one ASCII character")),
                }
            }
            Some(_) => return Err(Refusal::not_allowed("ESCAPE takes one constant character")),
        };
        let mut value = self.expr_of(value, ColumnType::Text, "the value before LIKE")?;
        let mut pattern = self.expr_of(pattern, ColumnType::Text, "the pattern of LIKE")?;
        if ignoring_case {
            value = super::functions::lower(value);
            pattern = super::functions::lower(pattern);
        }
        let nullable = value.nullable || pattern.nullable;
        Ok(boolean(
            Node::Like {
                negated,
                value: Box::new(value),
                pattern: Box::new(pattern),
                escape,
            },
            nullable,
        ))
    }
}

pub(super) fn boolean(node: Node, nullable: bool) -> Expr {
    Expr {
        node,
        kind: ColumnType::Boolean,
        nullable,
        weight: 1,
    }
}

pub(super) fn is_null(value: Expr, negated: bool) -> Expr {
    boolean(
        Node::IsNull {
            negated,
            value: Box::new(value),
        },
        false,
    )
}

/// What `=` (or with `ordered` also `<`) means the same for on both engines.
pub(super) fn comparable(value: &Expr, ordered: bool) -> Result<(), Refusal> {
    match value.kind {
        ColumnType::Jsonb => Err(Refusal::wrong_type(
            "jsonb cannot be compared, sorted or grouped: take a field of it with ->> first",
        )),
        ColumnType::Bytea if ordered => Err(Refusal::wrong_type("bytea has no order that both engines share")),
        _ => Ok(()),
    }
}
