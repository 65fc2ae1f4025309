//! Every expression has one kind, known before anything runs.
//!
//! PostgreSQL refuses to compare text with a number and SQLite answers something; a parameter's type follows from its
//! neighbours on one and from its value on the other. Here both follow from the text, and the printed text says so.

use sqlparser::ast;

use super::super::ColumnType;
use super::super::refusal::{Refusal, RefusalKind};
use super::super::tree::{Expr, Function, Node};
use super::{Checker, literals, rows};

impl ColumnType {
    /// As authors write it.
    pub(crate) fn sql(self) -> &'static str {
        match self {
            ColumnType::Text => "text",
            ColumnType::Bigint => "bigint",
            ColumnType::Boolean => "boolean",
            ColumnType::Double => "double precision",
            ColumnType::Timestamptz => "timestamptz",
            ColumnType::Jsonb => "jsonb",
            ColumnType::Bytea => "bytea",
        }
    }
}

impl Checker<'_> {
    /// An expression that must be of this kind.
    pub(super) fn expr_of(&mut self, expr: &ast::Expr, kind: ColumnType, what: &str) -> Result<Expr, Refusal> {
        let checked = self.expr(expr, Some(kind))?;
        fit(checked, kind).map_err(|found| {
            Refusal::wrong_type(format!("{what} must be {}, and this is {}", kind.sql(), found.sql()))
                .within(rows::place(expr))
        })
    }

    pub(super) fn boolean(&mut self, expr: &ast::Expr) -> Result<Expr, Refusal> {
        self.expr_of(expr, ColumnType::Boolean, "a condition")
    }

    /// Two expressions made to be of one kind: an argument, a NULL or a literal takes the other's.
    pub(super) fn pair(&mut self, left: &ast::Expr, right: &ast::Expr) -> Result<(Expr, Expr), Refusal> {
        let (left, right) = match self.is_bare(left) && !self.is_bare(right) {
            true => {
                let right = self.expr(right, None)?;
                (self.expr(left, Some(right.kind))?, right)
            }
            false => {
                let left = self.expr(left, None)?;
                let right = self.expr(right, Some(left.kind))?;
                (left, right)
            }
        };
        let kind = common(left.kind, right.kind)?;
        Ok((promote(left, kind), promote(right, kind)))
    }

    /// As [`Checker::pair`], for any number.
    pub(super) fn alike(&mut self, exprs: &[&ast::Expr], want: Option<ColumnType>) -> Result<Vec<Expr>, Refusal> {
        // The first that has a kind of its own decides for those that have none.
        let mut kind = want;
        let mut checked: Vec<Option<Expr>> = Vec::with_capacity(exprs.len());
        for expr in exprs {
            checked.push(match self.is_bare(expr) {
                true => None,
                false => Some(self.expr(expr, want)?),
            });
        }
        for expr in checked.iter().flatten() {
            kind = Some(match (kind, want) {
                // What was wanted is a hint, not a rule: the caller checks it.
                (Some(kind), Some(wanted)) if kind == wanted && kind != expr.kind => expr.kind,
                (Some(kind), _) => common(kind, expr.kind)?,
                (None, _) => expr.kind,
            });
        }
        let mut alike = Vec::with_capacity(exprs.len());
        for (expr, checked) in exprs.iter().zip(checked) {
            alike.push(match checked {
                Some(checked) => checked,
                None => self.expr(expr, kind)?,
            });
        }
        let mut all = alike.first().map_or(ColumnType::Text, |first| first.kind);
        for expr in &alike {
            all = common(all, expr.kind)?;
        }
        Ok(alike.into_iter().map(|expr| promote(expr, all)).collect())
    }

    /// Whether an expression takes its kind from its neighbours.
    pub(super) fn is_bare(&self, expr: &ast::Expr) -> bool {
        match expr {
            ast::Expr::Nested(inner) => self.is_bare(inner),
            ast::Expr::Value(value) => match &value.value {
                ast::Value::Placeholder(name) => super::parse::number_of(name)
                    .and_then(|number| self.arguments.get(number - 1))
                    .is_none_or(|kind| kind.is_none()),
                ast::Value::Null | ast::Value::SingleQuotedString(_) => true,
                _ => false,
            },
            _ => false,
        }
    }
}

/// The kind in which both can be compared.
pub(super) fn common(left: ColumnType, right: ColumnType) -> Result<ColumnType, Refusal> {
    match (left, right) {
        (left, right) if left == right => Ok(left),
        (ColumnType::Bigint, ColumnType::Double) | (ColumnType::Double, ColumnType::Bigint) => Ok(ColumnType::Double),
        (left, right) => Err(Refusal::wrong_type(format!(
            "{} and {} do not go together: cast one of them, or compare it in the plugin",
            left.sql(),
            right.sql()
        ))),
    }
}

/// Makes an expression of a kind that it can become without loss; otherwise says what it is.
pub(super) fn fit(expr: Expr, kind: ColumnType) -> Result<Expr, ColumnType> {
    match (expr.kind, kind) {
        (found, wanted) if found == wanted => Ok(expr),
        (ColumnType::Bigint, ColumnType::Double) => Ok(promote(expr, kind)),
        (found, _) => Err(found),
    }
}

fn promote(expr: Expr, kind: ColumnType) -> Expr {
    match (&expr.node, expr.kind, kind) {
        (Node::Integer(number), _, ColumnType::Double) => literals::double(*number as f64),
        (_, ColumnType::Bigint, ColumnType::Double) => convert(expr, kind),
        _ => expr,
    }
}

fn convert(value: Expr, kind: ColumnType) -> Expr {
    let nullable = value.nullable;
    Expr {
        node: Node::Convert(Box::new(value)),
        kind,
        nullable,
        weight: 1,
    }
}

/// `cast(value as kind)`: only where both engines give the same.
pub(super) fn cast(value: Expr, kind: ColumnType) -> Result<Expr, Refusal> {
    use ColumnType::{Bigint, Boolean, Double, Text, Timestamptz};
    let whole = matches!(
        value.node,
        Node::Call {
            function: Function::Round,
            ..
        }
    );
    match (value.kind, kind) {
        (from, to) if from == to => Ok(value),
        (Bigint, Double) => Ok(promote(value, Double)),
        (Bigint | Boolean | Timestamptz, Text) | (Boolean, Bigint) => Ok(convert(value, kind)),
        (Double, Bigint) if whole => Ok(convert(value, kind)),
        (Double, Bigint) => Err(Refusal::wrong_type(
            "the engines round differently when they cast double precision to bigint: write cast(round(…) as bigint)",
        )),
        (from, to) => Err(Refusal::wrong_type(format!(
            "{} cannot be cast to {} with the same meaning on both engines: do it in the plugin",
            from.sql(),
            to.sql()
        ))),
    }
}

/// The kinds that columns, casts and json_rows can name.
pub(in super::super) fn named(data_type: &ast::DataType) -> Result<ColumnType, Refusal> {
    use ast::DataType;
    match data_type {
        DataType::Text => Ok(ColumnType::Text),
        DataType::BigInt(None) | DataType::Integer(None) | DataType::Int(None) | DataType::Int8(None) => {
            Ok(ColumnType::Bigint)
        }
        DataType::Boolean | DataType::Bool => Ok(ColumnType::Boolean),
        DataType::DoublePrecision => Ok(ColumnType::Double),
        DataType::Timestamp(None, ast::TimezoneInfo::Tz | ast::TimezoneInfo::WithTimeZone) => {
            Ok(ColumnType::Timestamptz)
        }
        DataType::JSONB => Ok(ColumnType::Jsonb),
        DataType::Bytea => Ok(ColumnType::Bytea),
        DataType::Numeric(_) | DataType::Decimal(_) | DataType::Real | DataType::Float(_) => {
            Err(Refusal::wrong_type(format!(
                "the type {data_type} is not offered: money is bigint in minor units, measures are double precision"
            )))
        }
        DataType::Varchar(_) | DataType::CharVarying(_) | DataType::Char(_) => Err(Refusal::wrong_type(format!(
            "the type {data_type} is not offered: use text, with a check on length() where it matters"
        ))),
        DataType::Timestamp(..) | DataType::Date | DataType::Time(..) | DataType::Interval { .. } => {
            Err(Refusal::wrong_type(format!(
                "the type {data_type} is not offered: use timestamptz, and compute times in the plugin"
            )))
        }
        DataType::JSON => Err(Refusal::wrong_type("the type json is not offered: use jsonb")),
        DataType::Custom(name, _) if name.to_string().to_ascii_lowercase().contains("serial") => Err(
            Refusal::wrong_type("there are no sequences: make ids in the plugin, with ids.new"),
        ),
        _ => Err(Refusal::new(
            RefusalKind::Type,
            format!(
                "the type {data_type} is not offered: use text, bigint, boolean, double precision, timestamptz, jsonb or bytea"
            ),
        )),
    }
}
