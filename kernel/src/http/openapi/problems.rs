//! The problems that a route may answer, its own and those of the checks before it.

use std::collections::{BTreeMap, BTreeSet};

use commerce_contract::{Access, Route};
use serde_json::{Value, json};

use super::Document;
use super::names::{Part, problem_name, reference};
use super::operation::{is_of_a_store, path_names, takes_idempotency_key};
use crate::http::problem::Code;

impl Document {
    /// By status, the codes that this route may answer: the pipeline's and its own.
    pub(super) fn problems(&mut self, part: &Part<'_>, route: &Route) -> BTreeMap<u16, BTreeSet<String>> {
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

fn problem_schema(status: u16, code: &str) -> Value {
    json!({ "allOf": [reference("Problem"), { "type": "object", "properties": { "code": { "const": code }, "status": { "const": status } } }] })
}

pub(super) fn base_problem() -> Value {
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

pub(super) fn field_error() -> Value {
    json!({
        "type": "object",
        "required": ["pointer", "message"],
        "properties": {
            "pointer": { "type": "string", "description": "JSON pointer into the body, or ?name for a query parameter." },
            "message": { "type": "string" },
        },
    })
}
