//! JSON Schemas of routes, compiled once when a route table is built, and the JSON that they are held against ([`json`]).
//!
//! Messages ([`errors`]) never repeat what the client sent: a body may hold a password, and answers end up in logs.

mod errors;
mod json;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};

use commerce_contract::JsonSchema;
use jsonschema::Validator;
use serde_json::{Map, Number, Value};

use self::errors::errors;
pub(super) use self::json::{parse_json, refuse_nul, refuse_nul_in_query};
use super::problem::{Code, FieldError, Problem};

/// What a body has to look like.
#[derive(Debug)]
pub struct BodySchema(Validator);

impl BodySchema {
    /// `named`: the schemas that `#/components/schemas/…` refers to.
    pub fn compile(schema: &JsonSchema, named: &BTreeMap<String, JsonSchema>) -> Result<Self, String> {
        compile(schema, named).map(Self)
    }

    pub fn check(&self, body: &Value) -> Result<(), Problem> {
        let errors = errors(&self.0, body, |path| path.to_owned());
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Problem::from(Code::InvalidBody).with_errors(errors))
        }
    }
}

/// What a query may contain. Texts become the types that the schema names for each parameter before they are checked.
#[derive(Debug)]
pub struct QuerySchema {
    validator: Validator,
    parameters: BTreeMap<String, Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Integer,
    Number,
    Boolean,
    Text,
    /// `?tag=a&tag=b`; the only kind that may be given more than once.
    Texts,
}

impl QuerySchema {
    pub fn compile(schema: &JsonSchema, named: &BTreeMap<String, JsonSchema>) -> Result<Self, String> {
        let properties = schema.get("properties").and_then(Value::as_object);
        let parameters = properties
            .into_iter()
            .flatten()
            .map(|(name, property)| (name.clone(), kind(property, named)))
            .collect();
        Ok(Self {
            validator: compile(schema, named)?,
            parameters,
        })
    }

    pub fn check(&self, query: &str) -> Result<(), Problem> {
        let mut values = Map::new();
        let mut wrong = Vec::new();
        for (name, text) in pairs(query) {
            let (Ok(name), Ok(text)) = (name, text) else {
                return Err(Problem::new(Code::InvalidQuery, "Percent-encode the query as UTF-8."));
            };
            let kind = self.parameters.get(&name).copied().unwrap_or(Kind::Text);
            if kind == Kind::Texts {
                match values.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
                    Value::Array(items) => items.push(Value::String(text)),
                    _ => unreachable!("parameters of this kind are only ever arrays"),
                }
            } else if values.contains_key(&name) && self.parameters.contains_key(&name) {
                // Which one counts? The handler and the cache must not differ about that.
                wrong.push(FieldError {
                    pointer: format!("?{name}"),
                    message: "is given more than once".to_owned(),
                });
            } else {
                values.insert(name, typed(kind, text));
            }
        }
        wrong.extend(errors(&self.validator, &Value::Object(values), |path| {
            let name = path.trim_start_matches('/').split('/').next().unwrap_or_default();
            format!("?{}", name.replace("~1", "/").replace("~0", "~"))
        }));
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(Problem::from(Code::InvalidQuery).with_errors(wrong))
        }
    }
}

/// `a=1&b` as decoded pairs; a name without `=` has the empty text.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (Decoded, Decoded)> + '_ {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
        (decode_form(name), decode_form(text))
    })
}

type Decoded = Result<String, std::str::Utf8Error>;

fn decode_form(text: &str) -> Decoded {
    let spaced;
    let text = if text.contains('+') {
        spaced = text.replace('+', " ");
        &spaced
    } else {
        text
    };
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .map(|text| text.into_owned())
}

/// A text that is no number stays a text, and the schema says so.
fn typed(kind: Kind, text: String) -> Value {
    let converted = match kind {
        Kind::Integer => text.parse::<i64>().ok().map(Value::from),
        Kind::Number => text.parse::<f64>().ok().and_then(Number::from_f64).map(Value::Number),
        Kind::Boolean => text.parse::<bool>().ok().map(Value::Bool),
        Kind::Text | Kind::Texts => None,
    };
    converted.unwrap_or(Value::String(text))
}

/// The kind of one parameter, through `$ref`, and through `anyOf` and `["…", "null"]` that stand for "may be absent".
fn kind(schema: &Value, named: &BTreeMap<String, JsonSchema>) -> Kind {
    if let Some(name) = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|text| text.strip_prefix("#/components/schemas/"))
    {
        return named
            .get(name)
            .filter(|target| target.get("$ref").is_none())
            .map_or(Kind::Text, |target| kind(target, named));
    }
    if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
        return choices
            .iter()
            .find(|choice| choice.get("type").is_none_or(|kind| kind != "null"))
            .map_or(Kind::Text, |choice| kind(choice, named));
    }
    let name = match schema.get("type") {
        Some(Value::String(name)) => Some(name.as_str()),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        _ => None,
    };
    match name {
        Some("integer") => Kind::Integer,
        Some("number") => Kind::Number,
        Some("boolean") => Kind::Boolean,
        Some("array") => Kind::Texts,
        _ => Kind::Text,
    }
}

fn compile(schema: &JsonSchema, named: &BTreeMap<String, JsonSchema>) -> Result<Validator, String> {
    let mut root = match schema {
        Value::Object(members) => members.clone(),
        Value::Bool(true) => Map::new(),
        _ => return Err("a schema must be an object".to_owned()),
    };
    root.insert("components".to_owned(), serde_json::json!({ "schemas": named }));
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        // The default engine can take exponential time for one pattern; this one is linear and refuses look-around.
        .with_pattern_options(jsonschema::PatternOptions::regex())
        .build(&Value::Object(root))
        .map_err(|error| error.to_string())
}

/// Schemas that a descriptor mentions but does not name, for the check at install.
pub(super) fn dangling(schema: &Value, named: &HashSet<&str>, found: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref")
                && !reference
                    .strip_prefix("#/components/schemas/")
                    .is_some_and(|name| named.contains(name))
            {
                found.push(reference.clone());
            }
            members.values().for_each(|member| dangling(member, named, found));
        }
        Value::Array(items) => items.iter().for_each(|item| dangling(item, named, found)),
        _ => {}
    }
}
