//! JSON as strictly as plugins can rely on: no member twice, no NUL.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::errors::member;
use crate::http::problem::{Code, Problem};

/// Parses a body, refusing a member given twice: serde_json would take the last one here and a handler in another
/// language perhaps the first, so that the value that was checked would not be the value that is used.
pub(in crate::http) fn parse_json(body: &[u8]) -> Result<Value, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = Strict::deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value.0));
    value.map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Problem::new(
            Code::InvalidJson,
            format!(
                "The body is no well-formed JSON ({place}). {}",
                Code::InvalidJson.remedy()
            ),
        )
    })
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> DeserializeSeed<'de> for StrictVisitor {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element_seed(StrictVisitor)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if members.contains_key(&name) {
                return Err(serde::de::Error::custom("a member is given twice"));
            }
            let value = map.next_value_seed(StrictVisitor)?;
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

/// No text may hold U+0000. PostgreSQL stores none, and where one program takes it for the end of a text another reads on.
pub(in crate::http) fn refuse_nul(body: &Value) -> Result<(), Problem> {
    let mut path = String::new();
    if has_nul(body, &mut path) {
        Err(Problem::from(Code::InvalidBody).with_error(path, NUL))
    } else {
        Ok(())
    }
}

const NUL: &str = "must not contain the character U+0000";

/// Leaves the pointer to it in `path`; to the object where it is in a member's name.
fn has_nul(value: &Value, path: &mut String) -> bool {
    let before = path.len();
    let mut below = |name: &str, value: &Value| {
        path.truncate(before);
        path.push_str(&member("", name));
        has_nul(value, path)
    };
    let found = match value {
        Value::String(text) => return text.contains('\0'),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .any(|(position, item)| below(&position.to_string(), item)),
        Value::Object(members) if members.keys().any(|name| name.contains('\0')) => return true,
        Value::Object(members) => members.iter().any(|(name, value)| below(name, value)),
        _ => return false,
    };
    if !found {
        path.truncate(before);
    }
    found
}

pub(in crate::http) fn refuse_nul_in_query(query: &str) -> Result<(), Problem> {
    match query.split('&').find(|pair| pair.contains("%00")) {
        None => Ok(()),
        Some(pair) => {
            let name = pair.split('=').next().unwrap_or_default().replace("%00", "");
            Err(Problem::from(Code::InvalidQuery).with_error(format!("?{name}"), NUL))
        }
    }
}
