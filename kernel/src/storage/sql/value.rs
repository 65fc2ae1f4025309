//! Values on their way into and out of the database, the same for both engines.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Datelike, Timelike};

use super::SqlError;
use super::border::{ColumnType, is_json};

/// One argument or one column. JSON travels as text.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    Null,
    Int(i64),
    Bool(bool),
    Double(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    /// Microseconds since 1970 UTC.
    Time(i64),
}

/// Microseconds since 1970 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

/// The arguments of a kernel statement: `&args![store, "a@b", Time::now()]`.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => { [$($crate::storage::sql::Value::from($value)),*] };
}

impl Time {
    pub fn now() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
    }

    /// RFC 3339 with any offset. Fractions beyond microseconds are cut.
    pub fn parse(text: &str) -> Option<Self> {
        let time = DateTime::parse_from_rfc3339(text).ok()?;
        (1..=9999)
            .contains(&time.to_utc().year())
            .then(|| Self(time.timestamp_micros()))
    }

    /// `YYYY-MM-DDTHH:MM:SS.ffffffZ`: fixed width, so that texts sort as times do. None beyond the years 1 to 9999.
    pub fn text(self) -> Option<TimeText> {
        let time = DateTime::from_timestamp_micros(self.0)?;
        let year = u32::try_from(time.year())
            .ok()
            .filter(|year| (1..=9999).contains(year))?;
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        digits(&mut text[0..4], year);
        digits(&mut text[5..7], time.month());
        digits(&mut text[8..10], time.day());
        digits(&mut text[11..13], time.hour());
        digits(&mut text[14..16], time.minute());
        digits(&mut text[17..19], time.second());
        digits(&mut text[20..26], time.timestamp_subsec_micros());
        Some(TimeText(text))
    }
}

fn digits(target: &mut [u8], mut number: u32) {
    for digit in target.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// A formatted time without an allocation.
pub struct TimeText([u8; 27]);

impl std::ops::Deref for TimeText {
    type Target = str;

    fn deref(&self) -> &str {
        // Digits and separators written by `Time::text`: always ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl<'a> Value<'a> {
    /// The value as a column of this type takes it, or what a plugin's author did wrong.
    pub(super) fn fit(self, column: ColumnType) -> Result<Value<'a>, &'static str> {
        Ok(match (column, self) {
            (_, Value::Null) => Value::Null,
            (ColumnType::Text, value @ Value::Text(_))
            | (ColumnType::Bigint, value @ Value::Int(_))
            | (ColumnType::Boolean, value @ Value::Bool(_))
            | (ColumnType::Double, value @ Value::Double(_))
            | (ColumnType::Bytea, value @ Value::Bytes(_))
            | (ColumnType::Timestamptz, value @ Value::Time(_)) => value,
            (ColumnType::Double, Value::Int(number)) => Value::Double(number as f64),
            (ColumnType::Timestamptz, Value::Text(text)) => {
                Value::Time(Time::parse(&text).ok_or("is not a time as in RFC 3339")?.0)
            }
            (ColumnType::Jsonb, Value::Text(text)) => {
                if !is_json(&text) {
                    return Err("is not a JSON text, or has a zero or half a character in it");
                }
                Value::Text(text)
            }
            (ColumnType::Text, _) => return Err("must be text"),
            (ColumnType::Bigint, _) => return Err("must be an integer"),
            (ColumnType::Boolean, _) => return Err("must be a boolean"),
            (ColumnType::Double, _) => return Err("must be a number"),
            (ColumnType::Bytea, _) => return Err("must be bytes"),
            (ColumnType::Timestamptz, _) => return Err("must be a time as RFC 3339 text"),
            (ColumnType::Jsonb, _) => return Err("must be a JSON text"),
        })
    }
}

macro_rules! into_value {
    ($($from:ty => $value:expr),* $(,)?) => {
        $(impl<'a> From<$from> for Value<'a> {
            fn from(value: $from) -> Self {
                let into: fn($from) -> Value<'a> = $value;
                into(value)
            }
        })*
    };
}

into_value! {
    i64 => Value::Int,
    i32 => |value| Value::Int(value.into()),
    u32 => |value| Value::Int(value.into()),
    u16 => |value| Value::Int(value.into()),
    bool => Value::Bool,
    f64 => Value::Double,
    Time => |value| Value::Time(value.0),
    &'a str => |value| Value::Text(Cow::Borrowed(value)),
    &'a String => |value| Value::Text(Cow::Borrowed(value)),
    String => |value| Value::Text(Cow::Owned(value)),
    &'a [u8] => |value| Value::Bytes(Cow::Borrowed(value)),
    Vec<u8> => |value| Value::Bytes(Cow::Owned(value)),
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// One row that a kernel statement answered, read by position.
#[derive(Debug)]
pub struct Row(pub(super) Box<[Value<'static>]>);

impl Row {
    /// Fails where the column is missing or of another type: a mistake of the kernel's own statement.
    pub fn get<T: FromColumn>(&self, column: usize) -> Result<T, SqlError> {
        self.0.get(column).and_then(T::from_column).ok_or_else(|| {
            tracing::error!(column, value = ?self.0.get(column), "a kernel statement is read as another type than it answers");
            SqlError::Failed
        })
    }
}

/// What a column can be read as. SQLite stores booleans as integers and times as text; both are read as what they mean.
pub trait FromColumn: Sized {
    fn from_column(value: &Value<'static>) -> Option<Self>;
}

impl FromColumn for i64 {
    fn from_column(value: &Value<'static>) -> Option<Self> {
        match value {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }
}

impl FromColumn for bool {
    fn from_column(value: &Value<'static>) -> Option<Self> {
        match value {
            Value::Bool(flag) => Some(*flag),
            Value::Int(number) => Some(*number != 0),
            _ => None,
        }
    }
}

impl FromColumn for f64 {
    fn from_column(value: &Value<'static>) -> Option<Self> {
        match value {
            Value::Double(number) => Some(*number),
            _ => None,
        }
    }
}

impl FromColumn for String {
    fn from_column(value: &Value<'static>) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone().into_owned()),
            _ => None,
        }
    }
}

impl FromColumn for Vec<u8> {
    fn from_column(value: &Value<'static>) -> Option<Self> {
        match value {
            Value::Bytes(bytes) => Some(bytes.clone().into_owned()),
            _ => None,
        }
    }
}

impl FromColumn for Time {
    fn from_column(value: &Value<'static>) -> Option<Self> {
        match value {
            Value::Time(micros) => Some(Time(*micros)),
            Value::Text(text) => Time::parse(text),
            _ => None,
        }
    }
}

impl<T: FromColumn> FromColumn for Option<T> {
    fn from_column(value: &Value<'static>) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            other => T::from_column(other).map(Some),
        }
    }
}
