//! Literals and arguments.

use chrono::{DateTime, Datelike};
use sqlparser::ast::{Value, ValueWithSpan};

use super::super::ColumnType;
use super::super::is_json;
use super::super::refusal::{Refusal, RefusalKind};
use super::super::tree::{Expr, Node};
use super::{Checker, parse};

/// The one text form of a time on SQLite: of fixed width, so that its order as text is its order in time
/// (`…00Z` would sort after `…00.5Z`).
const FIXED_WIDTH_UTC: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";

impl Checker<'_> {
    pub(super) fn value(&mut self, value: &ValueWithSpan, want: Option<ColumnType>) -> Result<Expr, Refusal> {
        match &value.value {
            Value::Placeholder(name) => self.argument(name, want),
            Value::Null => match want {
                Some(kind) => Ok(literal(Node::Null, kind, true)),
                None => Err(Refusal::wrong_type(
                    "nothing tells the type of this NULL: write for example cast(null as text)",
                )),
            },
            Value::Boolean(value) => Ok(literal(Node::Boolean(*value), ColumnType::Boolean, false)),
            Value::SingleQuotedString(text) => string(text, want),
            Value::Number(digits, false) => number(digits, want),
            Value::Number(_, true)
            | Value::TripleSingleQuotedString(_)
            | Value::TripleDoubleQuotedString(_)
            | Value::DollarQuotedString(_)
            | Value::EscapedStringLiteral(_)
            | Value::UnicodeStringLiteral(_)
            | Value::SingleQuotedByteStringLiteral(_)
            | Value::DoubleQuotedByteStringLiteral(_)
            | Value::TripleSingleQuotedByteStringLiteral(_)
            | Value::TripleDoubleQuotedByteStringLiteral(_)
            | Value::SingleQuotedRawStringLiteral(_)
            | Value::DoubleQuotedRawStringLiteral(_)
            | Value::TripleSingleQuotedRawStringLiteral(_)
            | Value::TripleDoubleQuotedRawStringLiteral(_)
            | Value::NationalStringLiteral(_)
            | Value::QuoteDelimitedStringLiteral(_)
            | Value::NationalQuoteDelimitedStringLiteral(_)
            | Value::HexStringLiteral(_)
            | Value::DoubleQuotedString(_) => Err(Refusal::not_allowed(format!(
                "the literal {value} is refused: write '…' with quotes doubled, or pass an argument"
            ))),
        }
    }

    /// An argument has one type in the whole statement: the first place that tells decides.
    fn argument(&mut self, name: &str, want: Option<ColumnType>) -> Result<Expr, Refusal> {
        let number = parse::number_of(name)
            .filter(|number| *number <= self.arguments.len())
            .ok_or_else(|| Refusal::new(RefusalKind::Parameters, format!("{name} is not an argument here")))?;
        let kind = self.arguments[number - 1].or(want).ok_or_else(|| {
            Refusal::new(
                RefusalKind::Parameters,
                format!("nothing here tells the type of {name}: write for example cast({name} as text)"),
            )
        })?;
        self.arguments[number - 1] = Some(kind);
        Ok(literal(Node::Argument(number), kind, true))
    }
}

pub(super) fn is_literal(expr: &Expr) -> bool {
    matches!(
        expr.node,
        Node::Null | Node::Text(_) | Node::Integer(_) | Node::Double(_) | Node::Boolean(_) | Node::Timestamp(_)
    )
}

pub(super) fn double(value: f64) -> Expr {
    literal(Node::Double(format!("{value:?}")), ColumnType::Double, false)
}

fn literal(node: Node, kind: ColumnType, nullable: bool) -> Expr {
    Expr {
        node,
        kind,
        nullable,
        weight: 1,
    }
}

fn number(digits: &str, want: Option<ColumnType>) -> Result<Expr, Refusal> {
    let out_of_range = || Refusal::wrong_type(format!("the number {digits} is out of range"));
    let whole = digits.bytes().all(|b| b.is_ascii_digit());
    if whole && want != Some(ColumnType::Double) {
        let value = digits.parse().map_err(|_| out_of_range())?;
        return Ok(literal(Node::Integer(value), ColumnType::Bigint, false));
    }
    let value: f64 = digits.parse().map_err(|_| out_of_range())?;
    match value.is_finite() {
        true => Ok(double(value)),
        false => Err(out_of_range()),
    }
}

fn string(text: &str, want: Option<ColumnType>) -> Result<Expr, Refusal> {
    match want {
        Some(ColumnType::Timestamptz) => {
            // As an argument is read: leap seconds are the next second, fractions beyond microseconds are cut.
            let fixed = DateTime::parse_from_rfc3339(text)
                .ok()
                .and_then(|time| DateTime::from_timestamp_micros(time.timestamp_micros()))
                .filter(|time| (1..=9999).contains(&time.year()))
                .map(|time| time.format(FIXED_WIDTH_UTC).to_string())
                .ok_or_else(|| {
                    Refusal::wrong_type(format!(
                        "'{text}' is not a time of the years 1 to 9999: write it as '2026-01-31T12:00:00Z'"
                    ))
                })?;
            Ok(literal(Node::Timestamp(fixed), ColumnType::Timestamptz, false))
        }
        Some(ColumnType::Jsonb) => {
            if !is_json(text) {
                return Err(Refusal::wrong_type(format!("'{text}' is not JSON")));
            }
            Ok(literal(Node::Text(text.trim().to_owned()), ColumnType::Jsonb, false))
        }
        _ => Ok(literal(Node::Text(text.to_owned()), ColumnType::Text, false)),
    }
}
