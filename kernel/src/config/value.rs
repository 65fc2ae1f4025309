//! One value: read from TOML or from text, checked against its key, and shown without what must stay secret.

use toml::de::DeValue;
use toml::{Spanned, Value};

use super::keys::{Key, Kind, Secrecy};

/// Why a value does not fit its key, as the end of a sentence: `must be …`.
pub type Misfit = String;

pub fn from_toml(key: &Key, given: &DeValue<'_>) -> Result<Value, Misfit> {
    let value = match (given, &key.kind) {
        (DeValue::String(text), Kind::Text(_) | Kind::Choice(_)) => Value::String(text.to_string()),
        (DeValue::Integer(number), Kind::Integer { .. }) => {
            Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).map_err(|_| expectation(key))?)
        }
        (DeValue::Boolean(flag), Kind::Boolean) => Value::Boolean(*flag),
        (DeValue::Array(items), Kind::List(_)) => {
            let texts: Option<Vec<Value>> = items
                .iter()
                .map(|item: &Spanned<_>| item.get_ref().as_str())
                .map(|text| text.map(Value::from))
                .collect();
            Value::Array(texts.ok_or_else(|| expectation(key))?)
        }
        _ => return Err(expectation(key)),
    };
    checked(key, value)
}

/// From a variable or a file, where everything is text.
pub fn from_text(key: &Key, given: &str) -> Result<Value, Misfit> {
    let value = match &key.kind {
        Kind::Text(_) | Kind::Choice(_) => Value::String(given.to_owned()),
        Kind::Integer { .. } => Value::Integer(given.trim().parse().map_err(|_| expectation(key))?),
        Kind::Boolean => Value::Boolean(given.trim().parse().map_err(|_| expectation(key))?),
        Kind::List(_) => Value::Array(
            given
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(Value::from)
                .collect(),
        ),
    };
    checked(key, value)
}

fn checked(key: &Key, value: Value) -> Result<Value, Misfit> {
    let fits = match (&key.kind, &value) {
        (Kind::Integer { min, max }, Value::Integer(number)) => (min..=max).contains(&number),
        (Kind::Choice(choices), Value::String(text)) => choices.contains(&text.as_str()),
        (Kind::Text(form), Value::String(text)) => form.fits(text),
        (Kind::List(form), Value::Array(items)) => items.iter().filter_map(Value::as_str).all(|item| form.fits(item)),
        _ => true,
    };
    if fits { Ok(value) } else { Err(expectation(key)) }
}

/// What the key takes. Does not repeat what was given: it may be a secret in the wrong place.
pub fn expectation(key: &Key) -> String {
    match &key.kind {
        Kind::Text(form) => format!("must be {}", form.expectation()),
        Kind::Integer { min, max } => format!("must be a whole number from {min} to {max}"),
        Kind::Boolean => "must be true or false".to_owned(),
        Kind::Choice(choices) => format!("must be one of {}", choices.join(", ")),
        Kind::List(form) => format!("must be a list, each item {}", form.expectation()),
    }
}

/// As `commerce config show` and logs print it.
pub fn shown(key: &Key, value: &Value) -> String {
    match (key.secrecy, value) {
        (Secrecy::Secret, _) => "[redacted]".to_owned(),
        (Secrecy::Credentials, Value::String(url)) => without_credentials(url),
        _ => value.to_string(),
    }
}

/// Keeps where the database is, drops who signs in and how: also a password among the parameters, which PostgreSQL accepts.
fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return if url.starts_with("sqlite:") {
            format!("{url:?}")
        } else {
            "[redacted]".to_owned()
        };
    };
    let (place, parameters) = match rest.split_once('?') {
        Some((place, _)) => (place, "?[redacted]"),
        None => (rest, ""),
    };
    // The last @ ends the credentials: a password may hold one that somebody forgot to encode.
    let place = match place.rsplit_once('@') {
        Some((_, host)) => format!("[redacted]@{host}"),
        None => place.to_owned(),
    };
    format!("\"{scheme}://{place}{parameters}\"")
}
