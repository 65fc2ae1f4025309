//! `/openapi.json`: what the kernel and the plugins of a store answer, as OpenAPI 3.1.
//!
//! Built from the same descriptors as the route table and the checks, so it cannot promise what they do not keep. Every
//! body, answer and problem has a name. A plugin's names are put behind its own unless they begin with it (`Page` of plugin
//! `item` is `ItemPage`), so that installing a plugin renames nothing of another; where two would meet under one name, the
//! plugin is refused at its installation. The order is always the same: a
//! committed copy can be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use commerce_contract::{Access, Answer, Descriptor, JsonSchema, Route};
use serde_json::{Map, Value, json};

use super::cors::capitalised;
use super::kernel_routes;
use super::problem::Code;
use crate::plugins::Plugin;

/// One plugin, or the kernel, as the document names it.
struct Part<'a> {
    name: &'a str,
    descriptor: &'a Descriptor,
    is_kernel: bool,
}

/// Of the kernel and these plugins: all that are installed, or those enabled in a store.
pub fn of_plugins<'a>(plugins: impl Iterator<Item = &'a Arc<Plugin>>) -> Value {
    let kernel = kernel_routes::descriptor();
    let mut parts = vec![Part {
        name: "kernel",
        descriptor: &kernel,
        is_kernel: true,
    }];
    parts.extend(plugins.map(|plugin| Part {
        name: &plugin.name,
        descriptor: &plugin.descriptor,
        is_kernel: false,
    }));
    document("Store API", &parts)
}

fn document(title: &str, parts: &[Part<'_>]) -> Value {
    let mut document = Document {
        paths: BTreeMap::new(),
        schemas: BTreeMap::new(),
        codes: BTreeSet::new(),
        proofs: BTreeSet::new(),
    };
    for part in parts {
        document.add(part);
    }
    document.finish(title)
}

struct Document {
    paths: BTreeMap<String, BTreeMap<String, Value>>,
    schemas: BTreeMap<String, Value>,
    codes: BTreeSet<String>,
    /// Declared headers that prove something, such as `x-note-token`.
    proofs: BTreeSet<String>,
}

impl Document {
    fn add(&mut self, part: &Part<'_>) {
        for (name, schema) in &part.descriptor.schemas {
            self.schemas.insert(part.schema_name(name), part.rename(schema));
        }
        for route in &part.descriptor.routes {
            let operation = self.operation(part, route);
            self.paths
                .entry(route.path.clone())
                .or_default()
                .insert(route.method.to_lowercase(), operation);
        }
    }

    fn operation(&mut self, part: &Part<'_>, route: &Route) -> Value {
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

    /// By status, the codes that this route may answer: the pipeline's and its own.
    fn problems(&mut self, part: &Part<'_>, route: &Route) -> BTreeMap<u16, BTreeSet<String>> {
        let mut kinds: Vec<(u16, String)> = pipeline_codes(part, route)
            .map(|code| (code.status(), code.as_str().to_owned()))
            .collect();
        kinds.extend(route.problems.iter().map(|kind| (kind.status, kind.code.clone())));
        let mut by_status: BTreeMap<u16, BTreeSet<String>> = BTreeMap::new();
        for (status, code) in kinds {
            if self.codes.insert(code.clone()) {
                self.schemas.insert(problem_name(&code), problem_schema(status, &code));
            }
            by_status.entry(status).or_default().insert(code);
        }
        by_status
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

    fn finish(mut self, title: &str) -> Value {
        self.codes.extend(Code::ALL.iter().map(|code| code.as_str().to_owned()));
        self.schemas.insert(
            "ProblemCode".to_owned(),
            json!({ "type": "string", "enum": self.codes }),
        );
        self.schemas.insert("Problem".to_owned(), base_problem());
        self.schemas.insert("FieldError".to_owned(), field_error());
        let mut security = json!({
            "accessToken": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
            "apiKey": { "type": "apiKey", "in": "header", "name": "X-Api-Key" },
        });
        for name in &self.proofs {
            security[pascal(name)] = json!({ "type": "apiKey", "in": "header", "name": capitalised(name) });
        }
        json!({
            "openapi": "3.1.0",
            "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
            "info": { "title": title, "version": env!("CARGO_PKG_VERSION") },
            "servers": [{ "url": "/" }],
            "paths": self.paths,
            "components": {
                "schemas": self.schemas,
                "securitySchemes": security,
                "parameters": {
                    "Store": { "name": "X-Store", "in": "header", "required": false, "schema": { "type": "string" },
                        "description": "The slug of the store, where the host does not name it." },
                    "IdempotencyKey": { "name": "Idempotency-Key", "in": "header", "required": false,
                        "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
                        "description": "The same key with the same body gets the first answer again." },
                },
            },
        })
    }
}

/// What the schemas of a plugin are called in the document; a name that is there twice would be two things.
pub fn schema_names(plugin: &str, descriptor: &Descriptor) -> Vec<String> {
    names_of(&Part {
        name: plugin,
        descriptor,
        is_kernel: false,
    })
}

/// The names that no plugin's schema can have.
pub fn kernel_schema_names() -> BTreeSet<String> {
    let kernel = kernel_routes::descriptor();
    let part = Part {
        name: "kernel",
        descriptor: &kernel,
        is_kernel: true,
    };
    let own = ["Problem", "ProblemCode", "FieldError"].map(str::to_owned);
    let problems = Code::ALL.iter().map(|code| problem_name(code.as_str()));
    names_of(&part).into_iter().chain(own).chain(problems).collect()
}

fn names_of(part: &Part<'_>) -> Vec<String> {
    let is_nameless = |schema: &JsonSchema| schema.get("$ref").is_none();
    let named = part.descriptor.schemas.keys().map(|name| part.schema_name(name));
    let of_routes = part.descriptor.routes.iter().flat_map(|route| {
        let body = route
            .body
            .iter()
            .filter(|schema| is_nameless(schema))
            .map(|_| body_name(route));
        let answers = route
            .answers
            .iter()
            .filter(|answer| answer.schema.as_ref().is_some_and(is_nameless))
            .map(|answer| answer_name(route, answer));
        body.chain(answers)
    });
    named.chain(of_routes).collect()
}

fn body_name(route: &Route) -> String {
    format!("{}Body", pascal(&route.operation))
}

fn answer_name(route: &Route, answer: &Answer) -> String {
    let several = route.answers.iter().filter(|answer| answer.schema.is_some()).count() > 1;
    let status = if several {
        answer.status.to_string()
    } else {
        String::new()
    };
    format!("{}Answer{status}", pascal(&route.operation))
}

impl Part<'_> {
    fn schema_name(&self, name: &str) -> String {
        let own = pascal(self.name);
        if self.is_kernel || name.starts_with(&own) {
            name.to_owned()
        } else {
            format!("{own}{name}")
        }
    }

    /// The schema with the plugin's references renamed, and without what only stands at the root of a document of its own.
    fn rename(&self, schema: &Value) -> Value {
        match schema {
            Value::Object(members) => members
                .iter()
                .filter(|(name, _)| *name != "$schema")
                .map(|(name, member)| {
                    let target = member
                        .as_str()
                        .filter(|_| name == "$ref")
                        .and_then(|text| text.strip_prefix(SCHEMAS));
                    let renamed = target.map_or_else(
                        || self.rename(member),
                        |target| format!("{SCHEMAS}{}", self.schema_name(target)).into(),
                    );
                    (name.clone(), renamed)
                })
                .collect::<Map<_, _>>()
                .into(),
            Value::Array(items) => items.iter().map(|item| self.rename(item)).collect(),
            other => other.clone(),
        }
    }
}

const SCHEMAS: &str = "#/components/schemas/";

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("{SCHEMAS}{name}") })
}

/// A header whose holder may do something, by its name.
pub(super) fn is_proof(header: &str) -> bool {
    header.ends_with("-token")
}

fn is_of_a_store(part: &Part<'_>, route: &Route) -> bool {
    !part.is_kernel || kernel_routes::is_of_a_store(route)
}

fn takes_idempotency_key(part: &Part<'_>, route: &Route) -> bool {
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

/// What the checks before this route may answer.
fn pipeline_codes(part: &Part<'_>, route: &Route) -> impl Iterator<Item = Code> {
    let mut codes = vec![
        Code::InvalidHeader,
        Code::RateLimited,
        Code::HeadersTooLarge,
        Code::Internal,
        Code::Timeout,
    ];
    if path_names(&route.path).next().is_some() {
        codes.extend([Code::InvalidPath, Code::NotFound]);
    }
    if route.query.is_some() {
        codes.push(Code::InvalidQuery);
    }
    if route.method != "GET" {
        codes.extend([Code::BadRequest, Code::RequestTimeout, Code::BodyTooLarge]);
    }
    if route.body.is_some() {
        codes.extend([Code::InvalidJson, Code::UnsupportedMediaType, Code::InvalidBody]);
    }
    if is_of_a_store(part, route) {
        codes.extend([
            Code::StoreMismatch,
            Code::UnknownStore,
            Code::StoreSuspended,
            Code::Unavailable,
            Code::Overloaded,
        ]);
        codes.extend([Code::InvalidToken, Code::TokenExpired, Code::InvalidKey]);
    }
    if !part.is_kernel {
        codes.extend([Code::NotFound, Code::PluginFailed]);
    }
    match route.access {
        Access::Public => {}
        Access::Customer => codes.push(Code::Unauthenticated),
        Access::Staff(_) => codes.extend([Code::Unauthenticated, Code::Forbidden]),
    }
    if takes_idempotency_key(part, route) {
        codes.extend([
            Code::RequestInFlight,
            Code::IdempotencyKeyReused,
            Code::PreconditionFailed,
            Code::Conflict,
            Code::Uncertain,
        ]);
    }
    codes.into_iter()
}

fn problem_name(code: &str) -> String {
    format!("Problem{}", pascal(code))
}

fn problem_schema(status: u16, code: &str) -> Value {
    json!({ "allOf": [reference("Problem"), { "type": "object", "properties": { "code": { "const": code }, "status": { "const": status } } }] })
}

fn base_problem() -> Value {
    json!({
        "type": "object",
        "description": "RFC 9457. Further members depend on the code.",
        "required": ["type", "title", "status", "detail", "code", "request_id"],
        "properties": {
            "type": { "type": "string", "format": "uri-reference" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "code": reference("ProblemCode"),
            "request_id": { "type": "string" },
            "errors": { "type": "array", "items": reference("FieldError") },
        },
    })
}

fn field_error() -> Value {
    json!({
        "type": "object",
        "required": ["pointer", "message"],
        "properties": {
            "pointer": { "type": "string", "description": "JSON pointer into the body, or ?name for a query parameter." },
            "message": { "type": "string" },
        },
    })
}

fn path_names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// `notes.list_items` and `x-note-token` as type names: `NotesListItems`, `XNoteToken`.
fn pascal(name: &str) -> String {
    name.split(['.', '_', '-', ' '])
        .map(|word| {
            let mut word = word.to_owned();
            if let Some(first) = word.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            word
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use commerce_contract::ProblemKind;

    use super::*;

    fn things() -> Descriptor {
        let route = Route {
            operation: "things.create".into(),
            method: "POST".into(),
            path: "/api/things/{id}".into(),
            summary: "Makes a thing".into(),
            access: Access::Public,
            cacheable: false,
            staged: false,
            headers: vec!["x-thing-token".into(), "if-match".into()],
            query: Some(json!({ "type": "object", "properties": { "dry": { "type": "boolean" } } })),
            body: Some(json!({ "type": "object", "properties": { "part": { "$ref": "#/components/schemas/Part" } } })),
            body_kib: None,
            answers: vec![Answer {
                status: 201,
                description: "Made".into(),
                schema: Some(json!({ "$ref": "#/components/schemas/ThingsOne" })),
            }],
            problems: vec![ProblemKind {
                status: 409,
                code: "too_many_things".into(),
            }],
        };
        let schemas = BTreeMap::from([
            ("Part".to_owned(), json!({ "type": "string" })),
            ("ThingsOne".to_owned(), json!({ "type": "object" })),
        ]);
        Descriptor {
            routes: vec![route],
            schemas,
            ..Descriptor::default()
        }
    }

    fn both() -> Value {
        let (kernel, things) = (kernel_routes::descriptor(), things());
        let kernel = Part {
            name: "kernel",
            descriptor: &kernel,
            is_kernel: true,
        };
        document(
            "Test",
            &[
                kernel,
                Part {
                    name: "things",
                    descriptor: &things,
                    is_kernel: false,
                },
            ],
        )
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn walk(document: &Value, value: &Value) {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(target)) = members.get("$ref") {
                        assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target}");
                    }
                    members.values().for_each(|member| walk(document, member));
                }
                Value::Array(items) => items.iter().for_each(|item| walk(document, item)),
                _ => {}
            }
        }
        let document = both();
        walk(&document, &document);
    }

    #[test]
    fn bodies_answers_and_problems_have_names_that_no_other_plugin_can_take() {
        let document = both();
        let operation = &document["paths"]["/api/things/{id}"]["post"];
        assert_eq!(
            operation["requestBody"]["content"]["application/json"]["schema"]["$ref"],
            "#/components/schemas/ThingsCreateBody"
        );
        assert_eq!(
            operation["responses"]["201"]["content"]["application/json"]["schema"]["$ref"],
            "#/components/schemas/ThingsOne"
        );
        assert_eq!(
            document["components"]["schemas"]["ThingsCreateBody"]["properties"]["part"]["$ref"],
            "#/components/schemas/ThingsPart"
        );
        let conflicts = &operation["responses"]["409"]["content"]["application/problem+json"]["schema"]["oneOf"];
        assert!(
            conflicts
                .as_array()
                .unwrap()
                .contains(&reference("ProblemTooManyThings"))
        );
        let codes = document["components"]["schemas"]["ProblemCode"]["enum"]
            .as_array()
            .unwrap();
        assert!(codes.contains(&json!("too_many_things")) && codes.contains(&json!("invalid_body")));
        assert_eq!(
            document["components"]["securitySchemes"]["XThingToken"]["name"],
            "X-Thing-Token"
        );
    }

    #[test]
    fn the_names_are_known_before_there_is_a_document() {
        let document = both();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let names = schema_names("things", &things());
        assert_eq!(names, ["ThingsPart", "ThingsOne", "ThingsCreateBody"]);
        assert!(names.iter().all(|name| schemas.contains_key(name)));
        let kernel = kernel_schema_names();
        assert!(
            kernel.contains("Problem") && kernel.contains("ProblemNotFound") && kernel.contains("KernelDocsAnswer")
        );
        assert!(kernel.iter().all(|name| !names.contains(name)));
    }

    #[test]
    fn operation_ids_are_unique_and_the_order_never_changes() {
        let document = both();
        let mut ids = BTreeSet::new();
        for operation in document["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|item| item.as_object().unwrap().values())
        {
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()));
        }
        assert_eq!(document.to_string(), both().to_string());
    }
}
