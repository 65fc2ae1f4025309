//! Expressions.

use sqlparser::ast::{self, BinaryOperator, Spanned, UnaryOperator, Value};

use super::super::ColumnType;
use super::super::refusal::{Refusal, RefusalKind, refuse_if};
use super::super::tree::{Arithmetic, Comparison, Expr, JsonStep, Node};
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

    fn is_boolean(&mut self, value: &ast::Expr, truth: bool, negated: bool) -> Result<Expr, Refusal> {
        let value = Box::new(self.boolean(value)?);
        Ok(boolean(Node::IsBoolean { negated, truth, value }, false))
    }

    fn is_null(&mut self, value: &ast::Expr, negated: bool) -> Result<Expr, Refusal> {
        Ok(is_null(self.expr(value, None)?, negated))
    }

    fn distinct(&mut self, left: &ast::Expr, right: &ast::Expr, negated: bool) -> Result<Expr, Refusal> {
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

    fn in_list(&mut self, value: &ast::Expr, list: &[ast::Expr], negated: bool) -> Result<Expr, Refusal> {
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

    fn in_query(&mut self, value: &ast::Expr, query: &ast::Query, negated: bool) -> Result<Expr, Refusal> {
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

    fn in_array(&mut self, value: &ast::Expr, array: &ast::Expr, negated: bool) -> Result<Expr, Refusal> {
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

    fn between(
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

    fn like(
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

    fn unary(
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

    fn binary(
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

fn boolean(node: Node, nullable: bool) -> Expr {
    Expr {
        node,
        kind: ColumnType::Boolean,
        nullable,
        weight: 1,
    }
}

fn is_null(value: Expr, negated: bool) -> Expr {
    boolean(
        Node::IsNull {
            negated,
            value: Box::new(value),
        },
        false,
    )
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
