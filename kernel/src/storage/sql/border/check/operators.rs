//! Operators: each means the same for the kinds that it takes, or it is refused.

use sqlparser::ast::{self, BinaryOperator, UnaryOperator, Value};

use super::super::ColumnType;
use super::super::refusal::{Refusal, RefusalKind};
use super::super::tree::{Arithmetic, Comparison, Expr, JsonStep, Node};
use super::Checker;
use super::conditions::{boolean, comparable};

impl Checker<'_> {
    pub(super) fn unary(
        &mut self,
        operator: &UnaryOperator,
        value: &ast::Expr,
        want: Option<ColumnType>,
    ) -> Result<Expr, Refusal> {
        match operator {
            UnaryOperator::Not => {
                let value = self.boolean(value)?;
                let nullable = value.nullable;
                Ok(boolean(Node::Not(Box::new(value)), nullable))
            }
            UnaryOperator::Plus => self.expr(value, want).and_then(number),
            UnaryOperator::Minus => {
                let value = self.expr(value, want).and_then(number)?;
                let (kind, nullable) = (value.kind, value.nullable);
                let node = match value.node {
                    Node::Integer(number) if number > 0 => Node::Integer(-number),
                    Node::Double(number) if !number.starts_with('-') => Node::Double(format!("-{number}")),
                    _ => Node::Negative(Box::new(value)),
                };
                Ok(Expr {
                    node,
                    kind,
                    nullable,
                    weight: 1,
                })
            }
            _ => Err(Refusal::new(
                RefusalKind::UnknownFunction,
                format!("the operator {operator} is not offered"),
            )),
        }
    }

    pub(super) fn binary(
        &mut self,
        whole: &ast::Expr,
        left: &ast::Expr,
        operator: &BinaryOperator,
        right: &ast::Expr,
        want: Option<ColumnType>,
    ) -> Result<Expr, Refusal> {
        use BinaryOperator as B;
        match operator {
            B::And | B::Or => self.chain(whole, operator),
            B::Eq => self.compare(left, Comparison::Equal, right),
            B::NotEq => self.compare(left, Comparison::NotEqual, right),
            B::Lt => self.compare(left, Comparison::Less, right),
            B::LtEq => self.compare(left, Comparison::LessOrEqual, right),
            B::Gt => self.compare(left, Comparison::Greater, right),
            B::GtEq => self.compare(left, Comparison::GreaterOrEqual, right),
            B::Plus => self.arithmetic(left, Arithmetic::Add, right, want),
            B::Minus => self.arithmetic(left, Arithmetic::Subtract, right, want),
            B::Multiply => self.arithmetic(left, Arithmetic::Multiply, right, want),
            B::Divide => self.arithmetic(left, Arithmetic::Divide, right, want),
            B::Modulo => self.arithmetic(left, Arithmetic::Remainder, right, want),
            B::StringConcat => self.concat(whole),
            B::Arrow => self.json_path(left, right, false),
            B::LongArrow => self.json_path(left, right, true),
            _ => Err(Refusal::new(
                RefusalKind::UnknownFunction,
                format!("the operator {operator} is not offered"),
            )),
        }
    }

    /// `a and b and c` is one node: a long chain is not a deep tree.
    fn chain(&mut self, whole: &ast::Expr, operator: &BinaryOperator) -> Result<Expr, Refusal> {
        let mut parts = Vec::new();
        for part in operands(whole, operator) {
            parts.push(self.boolean(part)?);
        }
        let nullable = parts.iter().any(|part| part.nullable);
        let node = match operator {
            BinaryOperator::And => Node::All(parts),
            _ => Node::Any(parts),
        };
        Ok(boolean(node, nullable))
    }

    fn concat(&mut self, whole: &ast::Expr) -> Result<Expr, Refusal> {
        let mut parts = Vec::new();
        for part in operands(whole, &BinaryOperator::StringConcat) {
            parts.push(self.expr_of(part, ColumnType::Text, "each part of ||")?);
        }
        let nullable = parts.iter().any(|part| part.nullable);
        let weight = parts.iter().map(|part| part.weight).fold(0, u32::saturating_add);
        Ok(Expr {
            node: Node::Concat(parts),
            kind: ColumnType::Text,
            nullable,
            weight,
        })
    }

    fn compare(&mut self, left: &ast::Expr, operator: Comparison, right: &ast::Expr) -> Result<Expr, Refusal> {
        if let (ast::Expr::Tuple(left), ast::Expr::Tuple(right)) = (left, right) {
            return self.compare_rows(left, operator, right);
        }
        let (left, right) = self.pair(left, right)?;
        comparable(&left, operator.orders())?;
        let nullable = left.nullable || right.nullable;
        Ok(boolean(
            Node::Compare {
                operator,
                left: Box::new(left),
                right: Box::new(right),
            },
            nullable,
        ))
    }

    fn compare_rows(&mut self, left: &[ast::Expr], operator: Comparison, right: &[ast::Expr]) -> Result<Expr, Refusal> {
        if left.len() != right.len() || left.len() < 2 {
            return Err(Refusal::wrong_type(
                "the two rows of a comparison need the same number of values, at least two",
            ));
        }
        let (mut lefts, mut rights) = (Vec::new(), Vec::new());
        for (left, right) in left.iter().zip(right) {
            let (left, right) = self.pair(left, right)?;
            comparable(&left, operator.orders())?;
            lefts.push(left);
            rights.push(right);
        }
        Ok(boolean(
            Node::CompareRows {
                operator,
                left: lefts,
                right: rights,
            },
            true,
        ))
    }

    fn arithmetic(
        &mut self,
        left: &ast::Expr,
        operator: Arithmetic,
        right: &ast::Expr,
        want: Option<ColumnType>,
    ) -> Result<Expr, Refusal> {
        // What is wanted outside types an argument, but no literal: 1 / 2 is 0 also where a double is wanted.
        let (left, right) = match want.filter(|_| self.is_bare(left) && self.is_bare(right)) {
            Some(kind) => (self.expr(left, Some(kind))?, self.expr(right, Some(kind))?),
            None => self.pair(left, right)?,
        };
        let (left, right) = (number(left)?, number(right)?);
        let divides = matches!(operator, Arithmetic::Divide | Arithmetic::Remainder);
        if operator == Arithmetic::Remainder && left.kind == ColumnType::Double {
            return Err(Refusal::wrong_type(
                "% takes bigint: the engines differ on double precision",
            ));
        }
        // Division by zero is NULL on both engines.
        let nullable = left.nullable || right.nullable || divides;
        let kind = left.kind;
        Ok(Expr {
            node: Node::Arithmetic {
                operator,
                left: Box::new(left),
                right: Box::new(right),
            },
            kind,
            nullable,
            weight: 1,
        })
    }

    /// `a -> 'b' ->> 'c'` is one path: keys are constants, so that they cannot carry path syntax.
    fn json_path(&mut self, left: &ast::Expr, right: &ast::Expr, as_text: bool) -> Result<Expr, Refusal> {
        let step = json_step(right)?;
        let base = self.expr_of(left, ColumnType::Jsonb, "the value before -> or ->>")?;
        // As text, what is inside another JSON text comes with every quote and backslash escaped: it may be twice as long.
        let weight = base.weight.saturating_mul(if as_text { 2 } else { 1 });
        let (base, mut path) = match base.node {
            Node::JsonPath {
                base,
                path,
                as_text: false,
            } => (base, path),
            _ => (Box::new(base), Vec::new()),
        };
        path.push(step);
        // It prints more than once.
        if as_text && !matches!(base.node, Node::Column { .. } | Node::Excluded(_) | Node::Argument(_)) {
            return Err(Refusal::not_allowed(
                "->> reads a column or an argument: select the value in a subquery first",
            ));
        }
        let kind = if as_text { ColumnType::Text } else { ColumnType::Jsonb };
        Ok(Expr {
            node: Node::JsonPath { base, path, as_text },
            kind,
            nullable: true,
            weight,
        })
    }
}

/// The operands of `a op b op c`, first to last.
fn operands<'e>(whole: &'e ast::Expr, operator: &BinaryOperator) -> Vec<&'e ast::Expr> {
    let mut last_to_first = Vec::new();
    let mut rest = whole;
    while let ast::Expr::BinaryOp { left, op, right } = rest
        && op == operator
    {
        last_to_first.push(right.as_ref());
        rest = left;
    }
    last_to_first.push(rest);
    last_to_first.reverse();
    last_to_first
}

pub(super) fn number(value: Expr) -> Result<Expr, Refusal> {
    match value.kind {
        ColumnType::Bigint | ColumnType::Double => Ok(value),
        ColumnType::Timestamptz => Err(Refusal::wrong_type(
            "arithmetic with times is refused: compute the time in the plugin and pass it as an argument",
        )),
        other => Err(Refusal::wrong_type(format!(
            "arithmetic takes numbers, and this is {}",
            other.sql()
        ))),
    }
}

/// A constant key or position of a JSON path.
pub(super) fn json_step(expr: &ast::Expr) -> Result<JsonStep, Refusal> {
    let constant = || Refusal::not_allowed("a JSON path takes constant keys: data ->> 'key', or a position from 0");
    let ast::Expr::Value(value) = expr else {
        return Err(constant());
    };
    match &value.value {
        Value::SingleQuotedString(key) if key.contains(['"', '\\']) || key.chars().any(char::is_control) => Err(
            Refusal::not_allowed("a JSON key may not contain quotes, backslashes or control characters"),
        ),
        Value::SingleQuotedString(key) => Ok(JsonStep::Key(key.clone())),
        Value::Number(digits, false) => digits.parse().map(JsonStep::Index).map_err(|_| constant()),
        _ => Err(constant()),
    }
}
