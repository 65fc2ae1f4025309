//! Tells a change of the OpenAPI document that breaks clients from one that only adds.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Who writes what a schema describes: it decides what may be added and what may be asked for.
#[derive(Clone, Copy, PartialEq)]
enum Writer {
    Client,
    Server,
}

/// What a client that was written for the older document would trip over, in words.
pub fn breaking_changes(old: &Value, new: &Value) -> Vec<String> {
    let mut comparison = Comparison {
        old,
        new,
        compared: BTreeSet::new(),
        found: Vec::new(),
    };
    comparison.paths();
    comparison.schema_names();
    comparison.found
}

struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    /// References already followed: schemas may contain themselves.
    compared: BTreeSet<(String, bool)>,
    found: Vec<String>,
}

impl<'a> Comparison<'a> {
    fn paths(&mut self) {
        for (path, old_item) in members(&self.old["paths"]) {
            for (method, old) in members(old_item) {
                let place = format!("{} {path}", method.to_uppercase());
                match &self.new["paths"][path][method] {
                    Value::Null => self.found.push(format!("{place} is gone")),
                    new => self.operation(&place, old, new),
                }
            }
        }
    }

    fn operation(&mut self, place: &str, old: &'a Value, new: &'a Value) {
        if old["operationId"] != new["operationId"] {
            self.found.push(format!(
                "{place}: the operation {} is now called {}",
                old["operationId"], new["operationId"]
            ));
        }
        self.parameters(place, old, new);
        let body = |operation: &'a Value| &operation["requestBody"]["content"]["application/json"]["schema"];
        match (body(old), body(new)) {
            (Value::Null, Value::Null) => {}
            (Value::Null, _) => self.found.push(format!("{place} wants a body now")),
            (_, Value::Null) => self.found.push(format!("{place} takes no body any more")),
            (old, new) => self.schema(&format!("{place} body"), old, new, Writer::Client),
        }
        let successes = members(&old["responses"]).filter(|(status, _)| status.starts_with('2'));
        for (status, old) in successes {
            let place = format!("{place} {status}");
            let new = &new["responses"][status];
            if new.is_null() {
                self.found.push(format!("{place} is never answered any more"));
                continue;
            }
            for (media, old) in members(&old["content"]) {
                match &new["content"][media]["schema"] {
                    Value::Null => self.found.push(format!("{place} is no {media} any more")),
                    new => self.schema(&place, &old["schema"], new, Writer::Server),
                }
            }
        }
    }

    fn parameters(&mut self, place: &str, old: &'a Value, new: &'a Value) {
        let old_parameters = parameters(self.old, old);
        let new_parameters = parameters(self.new, new);
        let same = |one: &Value, other: &Value| one["name"] == other["name"] && one["in"] == other["in"];
        for old in &old_parameters {
            let place = format!("{place} parameter {}", old["name"]);
            match new_parameters.iter().find(|new| same(old, new)) {
                None => self.found.push(format!("{place} is gone")),
                Some(new) => {
                    if new["required"] == true && old["required"] != true {
                        self.found.push(format!("{place} is required now"));
                    }
                    self.schema(&place, &old["schema"], &new["schema"], Writer::Client);
                }
            }
        }
        for new in &new_parameters {
            if new["required"] == true && !old_parameters.iter().any(|old| same(old, new)) {
                self.found
                    .push(format!("{place} parameter {} is new and required", new["name"]));
            }
        }
    }

    /// Generated clients name their types after the schemas.
    fn schema_names(&mut self) {
        for (name, _) in members(&self.old["components"]["schemas"]) {
            if self.new["components"]["schemas"].get(name).is_none() {
                self.found.push(format!("the schema {name} is gone"));
            }
        }
        let codes = "/components/schemas/ProblemCode";
        if let (Some(old), Some(new)) = (self.old.pointer(codes), self.new.pointer(codes)) {
            self.schema("the problem codes", old, new, Writer::Server);
        }
    }

    fn schema(&mut self, place: &str, old: &'a Value, new: &'a Value, writer: Writer) {
        if let Some(name) = old["$ref"].as_str()
            && !self.compared.insert((name.to_owned(), writer == Writer::Client))
        {
            return;
        }
        let (old, new) = (resolve(self.old, old), resolve(self.new, new));
        for key in ["type", "const", "format", "pattern"] {
            let differs = match key {
                "type" => types(old) != types(new),
                _ => !old[key].is_null() && old[key] != new[key],
            };
            if differs {
                self.found
                    .push(format!("{place}: its {key} was {}, now {}", old[key], new[key]));
            }
        }
        self.enumeration(place, old, new);
        self.properties(place, old, new, writer);
        if !old["items"].is_null() {
            self.schema(&format!("{place}[]"), &old["items"], &new["items"], writer);
        }
        for key in ["allOf", "anyOf", "oneOf"] {
            let lists = (old[key].as_array(), new[key].as_array());
            let (Some(old), Some(new)) = lists else {
                if lists.0.is_some() || (lists.1.is_some() && writer == Writer::Client) {
                    self.found.push(format!("{place}: its {key} was changed"));
                }
                continue;
            };
            if new.len() < old.len() {
                self.found.push(format!("{place}: a choice of its {key} is gone"));
            }
            for (old, new) in old.iter().zip(new) {
                self.schema(place, old, new, writer);
            }
        }
    }

    fn enumeration(&mut self, place: &str, old: &Value, new: &Value) {
        let (Some(old), Some(new)) = (old["enum"].as_array(), new["enum"].as_array()) else {
            if old["enum"] != new["enum"] {
                self.found
                    .push(format!("{place}: its enum was {}, now {}", old["enum"], new["enum"]));
            }
            return;
        };
        for gone in old.iter().filter(|value| !new.contains(value)) {
            self.found.push(format!("{place}: the value {gone} is gone"));
        }
    }

    fn properties(&mut self, place: &str, old: &'a Value, new: &'a Value, writer: Writer) {
        for (name, old_property) in members(&old["properties"]) {
            let place = format!("{place}.{name}");
            match new["properties"].get(name) {
                None => self.found.push(format!("{place} is gone")),
                Some(new_property) => self.schema(&place, old_property, new_property, writer),
            }
        }
        let (was, is) = (required(old), required(new));
        let tripped = match writer {
            Writer::Client => is.difference(&was),
            Writer::Server => was.difference(&is),
        };
        let what = match writer {
            Writer::Client => "is required now",
            Writer::Server => "may be absent now",
        };
        self.found.extend(tripped.map(|name| format!("{place}.{name} {what}")));
        if writer == Writer::Client && new["additionalProperties"] == false && old["additionalProperties"] != false {
            self.found.push(format!("{place} refuses further members now"));
        }
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn required(schema: &Value) -> BTreeSet<&str> {
    let names = schema["required"].as_array().into_iter().flatten();
    names.filter_map(Value::as_str).collect()
}

/// `"string"` and `["string"]` are one type.
fn types(schema: &Value) -> BTreeSet<&str> {
    match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    }
}

fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document
            .pointer(reference.trim_start_matches('#'))
            .unwrap_or(&Value::Null),
        None => value,
    }
}

fn parameters<'a>(document: &'a Value, operation: &'a Value) -> Vec<&'a Value> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    parameters.map(|parameter| resolve(document, parameter)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        json!({
            "paths": { "/api/things": { "post": {
                "operationId": "things.create",
                "parameters": [{ "name": "dry", "in": "query", "schema": { "type": "boolean" } }],
                "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Thing" } } } },
                "responses": { "201": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Thing" } } } } },
            } } },
            "components": { "schemas": {
                "Thing": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": { "type": "string" },
                        "kind": { "enum": ["round", "square"] },
                        "parts": { "type": "array", "items": { "$ref": "#/components/schemas/Thing" } },
                    },
                },
                "ProblemCode": { "enum": ["not_found"] },
            } },
        })
    }

    #[test]
    fn what_a_client_would_trip_over_is_found() {
        let change = |pointer: &str, value: Value| {
            let mut new = document();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            let key = key.replace("~1", "/");
            let parent = new.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            match value {
                Value::Null => parent.remove(&key),
                value => parent.insert(key, value),
            };
            breaking_changes(&document(), &new).join("; ")
        };
        let thing = "/components/schemas/Thing";
        let post = "/paths/~1api~1things/post";
        assert_eq!(change("/paths/~1api~1things", Value::Null), "POST /api/things is gone");
        assert!(change(&format!("{post}/operationId"), json!("things.make")).contains("things.make"));
        assert!(change(&format!("{post}/parameters"), json!([])).contains("\"dry\" is gone"));
        assert!(change(&format!("{thing}/properties/kind"), Value::Null).contains("kind is gone"));
        assert!(change(&format!("{thing}/properties/name"), json!({ "type": "integer" })).contains("now \"integer\""));
        assert!(change(&format!("{thing}/required"), json!(["name", "kind"])).contains("body.kind is required now"));
        assert!(change(&format!("{thing}/required"), json!([])).contains("201.name may be absent now"));
        assert!(
            change(&format!("{thing}/properties/kind"), json!({ "enum": ["round"] })).contains("\"square\" is gone")
        );
        assert!(change("/components/schemas/ProblemCode", json!({ "enum": [] })).contains("\"not_found\" is gone"));
    }

    #[test]
    fn what_only_adds_breaks_nobody() {
        let mut new = document();
        new["paths"]["/api/others"] = json!({ "get": { "operationId": "others.list" } });
        new["components"]["schemas"]["Thing"]["properties"]["weight"] = json!({ "type": "integer" });
        new["components"]["schemas"]["ProblemCode"]["enum"] = json!(["not_found", "too_heavy"]);
        assert_eq!(breaking_changes(&document(), &new), Vec::<String>::new());
    }
}
