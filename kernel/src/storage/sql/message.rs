//! The MessagePack of the plugin border: arguments in, answers out.
//!
//! An answer is written straight from the driver's values while they stream, and its caps are checked there, so that
//! a runaway result never becomes a runaway buffer.

use std::borrow::Cow;

use rmp::Marker;
use rmp::encode;

use super::border::OutputColumn;
use super::{SqlError, Value};

/// Reads the array of arguments, which must have exactly as many elements as the text has placeholders: surplus ones
/// would slide into the store's place, missing ones would become NULL.
pub(super) fn arguments(bytes: &[u8], expected: usize) -> Result<Vec<Value<'_>>, SqlError> {
    let mut input = bytes;
    let count = rmp::decode::read_array_len(&mut input)
        .map_err(|_| SqlError::Arguments("the arguments are not a MessagePack array".into()))? as usize;
    if count != expected {
        return Err(SqlError::Arguments(format!(
            "the text takes {expected} arguments, {count} were given"
        )));
    }
    // One more for the store, which the caller adds.
    let mut values = Vec::with_capacity(count + 1);
    for position in 1..=count {
        let value = argument(&mut input).ok_or_else(|| {
            SqlError::Arguments(format!("argument ${position} is not a value that a statement can take"))
        })?;
        values.push(value);
    }
    if !input.is_empty() {
        return Err(SqlError::Arguments("bytes follow the array of arguments".into()));
    }
    Ok(values)
}

fn argument<'a>(input: &mut &'a [u8]) -> Option<Value<'a>> {
    let marker = Marker::from_u8(*input.first()?);
    Some(match marker {
        Marker::Null => {
            *input = &input[1..];
            Value::Null
        }
        Marker::True | Marker::False => Value::Bool(rmp::decode::read_bool(input).ok()?),
        Marker::F32 => finite(rmp::decode::read_f32(input).ok()?.into())?,
        Marker::F64 => finite(rmp::decode::read_f64(input).ok()?)?,
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
            let length = rmp::decode::read_str_len(input).ok()?;
            let text = std::str::from_utf8(take(input, length)?).ok()?;
            // PostgreSQL has no text with a NUL; SQLite's functions would stop at it.
            if text.contains('\0') {
                return None;
            }
            Value::Text(Cow::Borrowed(text))
        }
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {
            let length = rmp::decode::read_bin_len(input).ok()?;
            Value::Bytes(Cow::Borrowed(take(input, length)?))
        }
        _ => Value::Int(rmp::decode::read_int(input).ok()?),
    })
}

/// SQLite would store NULL for what is no number.
fn finite(number: f64) -> Option<Value<'static>> {
    number.is_finite().then_some(Value::Double(number))
}

fn take<'a>(input: &mut &'a [u8], length: u32) -> Option<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(length as usize)?;
    *input = rest;
    Some(taken)
}

/// An answer while its rows arrive: `[[column names], row, row …]`.
pub(super) struct AnswerWriter {
    bytes: Vec<u8>,
    rows: usize,
    max_rows: usize,
    max_bytes: usize,
}

impl AnswerWriter {
    pub(super) fn new(columns: &[OutputColumn], max_rows: usize, max_bytes: usize) -> Self {
        let mut bytes = Vec::with_capacity(256);
        // How many rows come is known at the end only: room for the long form of the length.
        bytes.extend([Marker::Array32.to_u8(), 0, 0, 0, 0]);
        let mut writer = Self {
            bytes,
            rows: 0,
            max_rows,
            max_bytes,
        };
        writer.array(columns.len());
        for column in columns {
            writer.text(&column.name);
        }
        writer
    }

    pub(super) fn row(&mut self, columns: usize) -> Result<(), SqlError> {
        if self.rows == self.max_rows {
            return Err(SqlError::TooLarge);
        }
        self.rows += 1;
        self.array(columns);
        Ok(())
    }

    /// Room for one more value of this many bytes? Asked before it is copied.
    pub(super) fn reserve(&self, length: usize) -> Result<(), SqlError> {
        if self.bytes.len() + length > self.max_bytes {
            Err(SqlError::TooLarge)
        } else {
            Ok(())
        }
    }

    pub(super) fn null(&mut self) {
        self.bytes.push(Marker::Null.to_u8());
    }

    pub(super) fn bool(&mut self, flag: bool) {
        self.bytes.push(if flag { Marker::True } else { Marker::False }.to_u8());
    }

    // Writing to a Vec cannot fail; the encoders' results say so only by their type.
    pub(super) fn int(&mut self, number: i64) {
        let _infallible = encode::write_sint(&mut self.bytes, number);
    }

    pub(super) fn double(&mut self, number: f64) {
        let _infallible = encode::write_f64(&mut self.bytes, number);
    }

    pub(super) fn text(&mut self, text: &str) {
        let _infallible = encode::write_str(&mut self.bytes, text);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let _infallible = encode::write_bin(&mut self.bytes, bytes);
    }

    fn array(&mut self, length: usize) {
        let _infallible = encode::write_array_len(&mut self.bytes, length as u32);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        let elements = self.rows as u32 + 1;
        self.bytes[1..5].copy_from_slice(&elements.to_be_bytes());
        self.bytes
    }
}
