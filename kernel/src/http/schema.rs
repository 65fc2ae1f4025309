//! JSON Schemas of routes, compiled once when a route table is built, and JSON as strictly as plugins can rely on.
//!
//! Messages never repeat what the client sent: a body may hold a password, and answers end up in logs.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use commerce_contract::JsonSchema;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::problem::{Code, FieldError, Problem};

/// More than this helps nobody, and an array of a million wrong items is cheap to send.
const MOST_ERRORS: usize = 20;

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

fn errors(validator: &Validator, value: &Value, pointer: impl Fn(&str) -> String) -> Vec<FieldError> {
    if validator.is_valid(value) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for error in validator.iter_errors(value) {
        collect(&error, &pointer, &mut found);
        if found.len() >= MOST_ERRORS {
            found.truncate(MOST_ERRORS);
            break;
        }
    }
    found
}

fn collect(error: &ValidationError<'_>, pointer: &impl Fn(&str) -> String, found: &mut Vec<FieldError>) {
    let path = error.instance_path().as_str();
    let mut push = |path: &str, message: String| {
        found.push(FieldError {
            pointer: pointer(path),
            message,
        })
    };
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            push(
                &member(path, property.as_str().unwrap_or_default()),
                "is required".to_owned(),
            );
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            for name in unexpected {
                push(&member(path, name), "is not known here".to_owned());
            }
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            match (constants(context), meant(context, path)) {
                (Some(allowed), _) => push(path, format!("must be one of {allowed}")),
                (None, Some(branch)) => branch.iter().for_each(|error| collect(error, pointer, found)),
                (None, None) => push(path, error.masked().to_string()),
            }
        }
        _ => push(path, error.masked().to_string()),
    }
}

/// The allowed values, where every branch is one: an enum whose cases have descriptions.
fn constants(branches: &[Vec<ValidationError<'_>>]) -> Option<String> {
    let values: Option<Vec<String>> = branches
        .iter()
        .map(|errors| match errors.as_slice() {
            [error] => match error.kind() {
                ValidationErrorKind::Constant { expected_value } => Some(expected_value.to_string()),
                _ => None,
            },
            _ => None,
        })
        .collect();
    values
        .filter(|values| !values.is_empty())
        .map(|values| values.join(", "))
}

/// The branch that the client most likely meant: one for the type of value that was sent, rather than the `null` that
/// stands for "may be absent"; of several the one with the least wrong.
fn meant<'b, 'e>(branches: &'b [Vec<ValidationError<'e>>], path: &str) -> Option<&'b Vec<ValidationError<'e>>> {
    let is_other_type = |errors: &&Vec<ValidationError<'_>>| {
        errors.iter().any(|error| {
            matches!(error.kind(), ValidationErrorKind::Type { .. }) && error.instance_path().as_str() == path
        })
    };
    let of_that_type = branches.iter().filter(|errors| !is_other_type(errors));
    of_that_type.min_by_key(|errors| errors.len()).or(branches.first())
}

fn member(path: &str, name: &str) -> String {
    format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// No text may hold U+0000. PostgreSQL stores none, and where one program takes it for the end of a text another reads on.
pub(super) fn refuse_nul(body: &Value) -> Result<(), Problem> {
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

pub(super) fn refuse_nul_in_query(query: &str) -> Result<(), Problem> {
    match query.split('&').find(|pair| pair.contains("%00")) {
        None => Ok(()),
        Some(pair) => {
            let name = pair.split('=').next().unwrap_or_default().replace("%00", "");
            Err(Problem::from(Code::InvalidQuery).with_error(format!("?{name}"), NUL))
        }
    }
}

/// Parses a body, refusing a member given twice: serde_json would take the last one here and a handler in another
/// language perhaps the first, so that the value that was checked would not be the value that is used.
pub(super) fn parse_json(body: &[u8]) -> Result<Value, Problem> {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn signing_up() -> BodySchema {
        let named = BTreeMap::from([("Secret".to_owned(), json!({ "type": "string", "minLength": 10 }))]);
        let schema = json!({
            "type": "object", "required": ["email", "password"], "additionalProperties": false,
            "properties": { "email": { "type": "string", "format": "email" }, "password": { "$ref": "#/components/schemas/Secret" } },
        });
        BodySchema::compile(&schema, &named).unwrap()
    }

    #[test]
    fn errors_point_to_members_and_never_repeat_a_password() {
        let problem = signing_up()
            .check(&json!({ "password": "hunter2", "role": "owner" }))
            .unwrap_err();
        let text = String::from_utf8(problem.to_json("req_1")).unwrap();
        assert!(!text.contains("hunter2") && !text.contains("\"owner\""), "{text}");
        let mut pointers: Vec<_> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!(pointers, ["/email", "/password", "/role"]);
    }

    #[test]
    fn a_member_given_twice_cannot_slip_past_the_check() {
        assert_eq!(
            parse_json(br#"{"quantity": -5, "quantity": 1}"#).unwrap_err().status,
            400
        );
        assert_eq!(parse_json(br#"{"a": [{"b": 1, "b": 2}]}"#).unwrap_err().status, 400);
        assert_eq!(parse_json(br#"{"a": 1} x"#).unwrap_err().status, 400);
        assert_eq!(parse_json("[".repeat(100_000).as_bytes()).unwrap_err().status, 400);
        assert_eq!(
            parse_json(br#"{"a": [1, 2.5, "x", null, true]}"#).unwrap(),
            json!({ "a": [1, 2.5, "x", null, true] })
        );
    }

    fn listing() -> QuerySchema {
        let schema = json!({
            "type": "object", "additionalProperties": false,
            "properties": {
                "limit": { "type": ["integer", "null"], "minimum": 1, "maximum": 100 },
                "finished": { "anyOf": [{ "type": "boolean" }, { "type": "null" }] },
                "tag": { "type": "array", "items": { "type": "string" } },
                "q": { "type": "string" },
            },
        });
        QuerySchema::compile(&schema, &BTreeMap::new()).unwrap()
    }

    #[test]
    fn parameters_are_checked_as_the_types_that_the_schema_names() {
        assert!(listing().check("limit=20&finished=true&tag=a&tag=b&q=12").is_ok());
        for (query, pointer) in [
            ("limit=twenty", "?limit"),
            ("limit=101", "?limit"),
            ("finished=maybe", "?finished"),
            ("sort=size", "?sort"),
            ("q=a&q=b", "?q"),
        ] {
            let problem = listing().check(query).unwrap_err();
            assert_eq!(
                (problem.code.as_str(), problem.errors[0].pointer.as_str()),
                ("invalid_query", pointer),
                "{query}"
            );
        }
        assert_eq!(listing().check("q=%ff").unwrap_err().status, 422);
    }

    #[test]
    fn a_million_wrong_items_give_a_short_answer() {
        let schema = BodySchema::compile(
            &json!({ "type": "array", "items": { "type": "string" } }),
            &BTreeMap::new(),
        )
        .unwrap();
        let problem = schema.check(&json!(vec![1; 1_000_000])).unwrap_err();
        assert_eq!(problem.errors.len(), MOST_ERRORS);
    }

    #[test]
    fn a_nul_is_found_wherever_it_hides() {
        let pointer = |value: Value| {
            refuse_nul(&value)
                .err()
                .map(|problem| problem.errors[0].pointer.clone())
        };
        assert_eq!(pointer(json!({ "a": [1, "x", null], "b": "\\u0000" })), None);
        assert_eq!(
            pointer(json!({ "a": ["x", { "b/c": "y\0" }] })).as_deref(),
            Some("/a/1/b~1c")
        );
        assert_eq!(
            pointer(json!({ "a": ["x"], "b": [{ "c\0": 1 }] })).as_deref(),
            Some("/b/0")
        );
        assert_eq!(pointer(json!("\0")).as_deref(), Some(""));
        assert!(refuse_nul_in_query("q=%2500&limit=1").is_ok());
        let problem = refuse_nul_in_query("limit=1&q=a%00").unwrap_err();
        assert_eq!((problem.status, problem.errors[0].pointer.as_str()), (422, "?q"));
    }

    #[test]
    fn of_several_forms_the_one_that_was_meant_is_told() {
        let amount = json!({ "type": "object", "required": ["amount", "currency"], "properties": {
            "amount": { "type": "integer", "maximum": 9007199254740991_i64 }, "currency": { "type": "string" } } });
        let schema = json!({ "type": "object", "properties": {
            "price": { "anyOf": [{ "$ref": "#/components/schemas/Money" }, { "type": "null" }] },
            "weight": { "anyOf": [{ "type": "null" }, { "type": "integer", "minimum": 0 }] },
            "status": { "oneOf": [{ "const": "draft" }, { "const": "active" }] } } });
        let schema = BodySchema::compile(&schema, &BTreeMap::from([("Money".to_owned(), amount)])).unwrap();
        let told = |body: Value| {
            let problem = schema.check(&body).unwrap_err();
            let error = &problem.errors[0];
            assert_eq!(problem.errors.len(), 1, "{problem:?}");
            (error.pointer.clone(), error.message.clone())
        };
        assert_eq!(
            told(json!({ "price": { "amount": 1.5, "currency": "USD" } })).0,
            "/price/amount"
        );
        assert_eq!(
            told(json!({ "price": { "amount": 1 } })),
            ("/price/currency".to_owned(), "is required".to_owned())
        );
        assert_eq!(told(json!({ "weight": -1 })).0, "/weight");
        assert!(told(json!({ "weight": -1 })).1.contains("minimum"));
        assert_eq!(
            told(json!({ "status": "gone" })),
            ("/status".to_owned(), r#"must be one of "draft", "active""#.to_owned())
        );
    }
}
