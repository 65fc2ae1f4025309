//! Values in PostgreSQL's binary form: parameters bound as the types it inferred, columns read as the types it names.

use std::borrow::Cow;

use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgRow, PgTypeInfo};
use sqlx::{Arguments, Column, Postgres, Row as _, Type, ValueRef};

use crate::storage::sql::border::ColumnType;
use crate::storage::sql::message::AnswerWriter;
use crate::storage::sql::value::Time;
use crate::storage::sql::{Row, SqlError, Value};

/// Microseconds between 1970, where ours begin, and 2000, where PostgreSQL's do.
const EPOCH: i64 = 946_684_800_000_000;

/// The types we read and write, by the numbers PostgreSQL gives its built-in ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage::sql) enum Kind {
    Bool,
    Bytea,
    Int8,
    Int2,
    Int4,
    Text,
    Json,
    Float4,
    Float8,
    Timestamptz,
    Jsonb,
    Other(u32),
}

impl Kind {
    pub(super) fn of_oid(oid: u32) -> Self {
        match oid {
            16 => Self::Bool,
            17 => Self::Bytea,
            20 => Self::Int8,
            21 => Self::Int2,
            23 => Self::Int4,
            // text, name, varchar, bpchar, unknown: the same bytes.
            25 | 19 | 1043 | 1042 | 705 => Self::Text,
            114 => Self::Json,
            700 => Self::Float4,
            701 => Self::Float8,
            1184 => Self::Timestamptz,
            3802 => Self::Jsonb,
            other => Self::Other(other),
        }
    }

    pub(super) fn of(info: &PgTypeInfo) -> Self {
        info.oid().map_or(Self::Other(0), |oid| Self::of_oid(oid.0))
    }

    fn oid(self) -> u32 {
        match self {
            Self::Bool => 16,
            Self::Bytea => 17,
            Self::Int8 => 20,
            Self::Int2 => 21,
            Self::Int4 => 23,
            Self::Text => 25,
            Self::Json => 114,
            Self::Float4 => 700,
            Self::Float8 => 701,
            Self::Timestamptz => 1184,
            Self::Jsonb => 3802,
            Self::Other(oid) => oid,
        }
    }

    fn column_type(self) -> Option<ColumnType> {
        Some(match self {
            Self::Bool => ColumnType::Boolean,
            Self::Bytea => ColumnType::Bytea,
            Self::Int8 | Self::Int2 | Self::Int4 => ColumnType::Bigint,
            Self::Text => ColumnType::Text,
            Self::Json | Self::Jsonb => ColumnType::Jsonb,
            Self::Float4 | Self::Float8 => ColumnType::Double,
            Self::Timestamptz => ColumnType::Timestamptz,
            Self::Other(_) => return None,
        })
    }
}

/// Binds each value as the type that PostgreSQL inferred for its parameter.
pub(super) fn bind<'a>(
    values: impl ExactSizeIterator<Item = Value<'a>>,
    kinds: &[Kind],
) -> Result<PgArguments, SqlError> {
    if values.len() != kinds.len() {
        let problem = format!("the text takes {} arguments, {} were given", kinds.len(), values.len());
        return Err(SqlError::Arguments(problem));
    }
    let mut arguments = PgArguments::default();
    for (position, (value, kind)) in values.zip(kinds).enumerate() {
        let problem =
            |problem: &dyn std::fmt::Display| SqlError::Arguments(format!("argument ${} {problem}", position + 1));
        let column = kind
            .column_type()
            .ok_or_else(|| problem(&"has a type that no value can be bound to"))?;
        let value = value.fit(column).map_err(|wrong| problem(&wrong))?;
        arguments
            .add(Parameter { value, kind: *kind })
            .map_err(|wrong| problem(&wrong))?;
    }
    Ok(arguments)
}

struct Parameter<'a> {
    value: Value<'a>,
    kind: Kind,
}

impl Type<Postgres> for Parameter<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(Kind::Text.oid()))
    }
}

impl Encode<'_, Postgres> for Parameter<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        match (&self.value, self.kind) {
            (Value::Null, _) => return Ok(IsNull::Yes),
            (Value::Int(number), Kind::Int2) => {
                buffer.extend_from_slice(&i16::try_from(*number).map_err(|_| "is too large")?.to_be_bytes());
            }
            (Value::Int(number), Kind::Int4) => {
                buffer.extend_from_slice(&i32::try_from(*number).map_err(|_| "is too large")?.to_be_bytes());
            }
            (Value::Int(number), _) => buffer.extend_from_slice(&number.to_be_bytes()),
            (Value::Bool(flag), _) => buffer.push(u8::from(*flag)),
            (Value::Double(number), Kind::Float4) => buffer.extend_from_slice(&(*number as f32).to_be_bytes()),
            (Value::Double(number), _) => buffer.extend_from_slice(&number.to_be_bytes()),
            (Value::Text(text), kind) => {
                if kind == Kind::Jsonb {
                    buffer.push(1);
                }
                buffer.extend_from_slice(text.as_bytes());
            }
            (Value::Bytes(bytes), _) => buffer.extend_from_slice(bytes),
            (Value::Time(micros), _) => {
                let since = micros.checked_sub(EPOCH).ok_or("is outside of the years 1 to 9999")?;
                buffer.extend_from_slice(&since.to_be_bytes());
            }
        }
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(Oid(self.kind.oid())))
    }
}

pub(super) fn kinds(row: &PgRow) -> Vec<Kind> {
    row.columns()
        .iter()
        .map(|column| Kind::of(column.type_info()))
        .collect()
}

pub(super) fn write_row(answer: &mut AnswerWriter, row: &PgRow, kinds: &[Kind]) -> Result<(), SqlError> {
    answer.row(kinds.len())?;
    for (position, kind) in kinds.iter().enumerate() {
        match read(row, position, *kind)? {
            Value::Null => answer.null(),
            Value::Int(number) => answer.int(number),
            Value::Bool(flag) => answer.bool(flag),
            Value::Double(number) => answer.double(number),
            Value::Text(text) => {
                answer.reserve(text.len())?;
                answer.text(&text);
            }
            Value::Bytes(bytes) => {
                answer.reserve(bytes.len())?;
                answer.bytes(&bytes);
            }
            Value::Time(micros) => answer.text(&Time(micros).text().ok_or(SqlError::Failed)?),
        }
    }
    answer.reserve(0)
}

pub(super) fn kernel_row(row: &PgRow, kinds: &[Kind]) -> Result<Row, SqlError> {
    let mut values = Vec::with_capacity(kinds.len());
    for (position, kind) in kinds.iter().enumerate() {
        values.push(match read(row, position, *kind)? {
            Value::Null => Value::Null,
            Value::Int(number) => Value::Int(number),
            Value::Bool(flag) => Value::Bool(flag),
            Value::Double(number) => Value::Double(number),
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Value::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
            Value::Time(micros) => Value::Time(micros),
        });
    }
    Ok(Row(values.into_boxed_slice()))
}

fn read(row: &PgRow, column: usize, kind: Kind) -> Result<Value<'_>, SqlError> {
    let value = row.try_get_raw(column).map_err(|_| SqlError::Failed)?;
    if value.is_null() {
        return Ok(Value::Null);
    }
    let bytes = value.as_bytes().map_err(|_| SqlError::Failed)?;
    from_binary(bytes, kind).ok_or_else(|| {
        tracing::error!(column, ?kind, "a column has a type or value that cannot be read");
        SqlError::Failed
    })
}

fn from_binary(bytes: &[u8], kind: Kind) -> Option<Value<'_>> {
    let text = |bytes| {
        std::str::from_utf8(bytes)
            .ok()
            .map(|text| Value::Text(Cow::Borrowed(text)))
    };
    Some(match kind {
        Kind::Bool => Value::Bool(*bytes.first()? != 0),
        Kind::Bytea => Value::Bytes(Cow::Borrowed(bytes)),
        Kind::Int8 => Value::Int(i64::from_be_bytes(bytes.try_into().ok()?)),
        Kind::Int2 => Value::Int(i16::from_be_bytes(bytes.try_into().ok()?).into()),
        Kind::Int4 => Value::Int(i32::from_be_bytes(bytes.try_into().ok()?).into()),
        Kind::Text | Kind::Json => text(bytes)?,
        Kind::Jsonb => text(bytes.strip_prefix(&[1])?)?,
        Kind::Float4 => Value::Double(f32::from_be_bytes(bytes.try_into().ok()?).into()),
        Kind::Float8 => Value::Double(f64::from_be_bytes(bytes.try_into().ok()?)),
        Kind::Timestamptz => Value::Time(i64::from_be_bytes(bytes.try_into().ok()?).checked_add(EPOCH)?),
        Kind::Other(_) => return None,
    })
}
