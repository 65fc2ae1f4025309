//! One route as an operation.

use std::collections::{BTreeMap, BTreeSet};

use commerce_contract::{Access, JsonSchema, Route};
use serde_json::{Map, Value, json};

use super::Document;
use super::names::{Part, answer_name, body_name, pascal, problem_name, reference};
use crate::http::cors::capitalised;
use crate::http::kernel_routes;

impl Document {
    pub(super) fn operation(&mut self, part: &Part<'_>, route: &Route) -> Value {
        let mut operation = Map::new();
        operation.insert("operationId".into(), route.operation.clone().into());
        operation.insert("tags".into(), json!([part.name]));
        operation.insert("summary".into(), route.summary.clone().into());
        operation.insert("security".into(), self.security(route));
        if let Access::Staff(permission) = &route.access {
            operation.insert("x-permission".into(), permission.clone().into());
        }
        let parameters = self.parameters(part, route);
        if !parameters.is_empty() {
            operation.insert("parameters".into(), parameters.into());
        }
        if let Some(body) = &route.body {
            let schema = self.named(part, body, &body_name(route));
            operation.insert(
                "requestBody".into(),
                json!({ "required": true, "content": { "application/json": { "schema": schema } } }),
            );
        }
        operation.insert("responses".into(), self.responses(part, route));
        operation.into()
    }

    fn security(&mut self, route: &Route) -> Value {
        let mut ways = vec![json!({ "accessToken": [] }), json!({ "apiKey": [] })];
        if route.access == Access::Public {
            let proofs: Vec<&String> = route.headers.iter().filter(|name| is_proof(name)).collect();
            self.proofs.extend(proofs.iter().map(|name| (*name).clone()));
            ways.splice(0..0, std::iter::once(json!({})));
            ways.extend(proofs.into_iter().map(|name| json!({ pascal(name): [] })));
        }
        ways.into()
    }

    fn parameters(&self, part: &Part<'_>, route: &Route) -> Vec<Value> {
        let mut parameters: Vec<Value> = path_names(&route.path)
            .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
            .collect();
        let query = route.query.as_ref().map(|schema| part.rename(schema));
        let required: BTreeSet<&str> = query
            .iter()
            .filter_map(|query| query["required"].as_array())
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for (name, schema) in query
            .iter()
            .filter_map(|query| query["properties"].as_object())
            .flatten()
        {
            let mut parameter =
                json!({ "name": name, "in": "query", "required": required.contains(name.as_str()), "schema": schema });
            if let Some(description) = schema.get("description") {
                parameter["description"] = description.clone();
            }
            parameters.push(parameter);
        }
        for name in route.headers.iter().filter(|name| !is_proof(name)) {
            parameters.push(
                json!({ "name": capitalised(name), "in": "header", "required": false, "schema": { "type": "string" } }),
            );
        }
        if is_of_a_store(part, route) {
            parameters.push(json!({ "$ref": "#/components/parameters/Store" }));
        }
        if takes_idempotency_key(part, route) {
            parameters.push(json!({ "$ref": "#/components/parameters/IdempotencyKey" }));
        }
        parameters
    }

    fn responses(&mut self, part: &Part<'_>, route: &Route) -> Value {
        let mut responses = BTreeMap::new();
        for answer in &route.answers {
            let mut response = json!({ "description": answer.description });
            if let Some(schema) = &answer.schema {
                let schema = self.named(part, schema, &answer_name(route, answer));
                response["content"] = json!({ content_type(part, route): { "schema": schema } });
            }
            responses.insert(answer.status.to_string(), response);
        }
        if route.method == "GET" {
            responses.insert(
                "304".to_owned(),
                json!({ "description": "What the client has is current" }),
            );
        }
        for (status, codes) in self.problems(part, route) {
            let schemas: Vec<Value> = codes.iter().map(|code| reference(&problem_name(code))).collect();
            let schema = if schemas.len() == 1 {
                schemas[0].clone()
            } else {
                json!({ "oneOf": schemas })
            };
            let description = codes.iter().cloned().collect::<Vec<_>>().join(", ");
            let content = json!({ "application/problem+json": { "schema": schema } });
            responses.insert(
                status.to_string(),
                json!({ "description": description, "content": content }),
            );
        }
        json!(responses)
    }

    /// A reference: the schema's own, or to where it is put under `name`.
    fn named(&mut self, part: &Part<'_>, schema: &JsonSchema, name: &str) -> Value {
        let schema = part.rename(schema);
        if schema.get("$ref").is_some() {
            return schema;
        }
        self.schemas.insert(name.to_owned(), schema);
        reference(name)
    }
}

/// A header whose holder may do something, by its name.
pub(in crate::http) fn is_proof(header: &str) -> bool {
    header.ends_with("-token")
}

pub(super) fn is_of_a_store(part: &Part<'_>, route: &Route) -> bool {
    !part.is_kernel || kernel_routes::is_of_a_store(route)
}

pub(super) fn takes_idempotency_key(part: &Part<'_>, route: &Route) -> bool {
    !part.is_kernel && route.method != "GET"
}

fn content_type(part: &Part<'_>, route: &Route) -> &'static str {
    match route.path.as_str() {
        "/docs" if part.is_kernel => "text/html",
        "/docs/page.js" if part.is_kernel => "text/javascript",
        "/docs/page.css" if part.is_kernel => "text/css",
        _ => "application/json",
    }
}

pub(super) fn path_names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}
