//! The kernel's own routes, described as a plugin describes its own, so that table, checks and OpenAPI know one kind.

use commerce_contract::{Access, Answer, Descriptor, JsonSchema, ProblemKind, Route};
use serde_json::{Value, json};

use super::problem::Code;
use crate::auth;

/// A route that the kernel answers without any plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelRoute {
    Health,
    Ready,
    OpenApi,
    Docs,
    DocsScript,
    DocsStyle,
    ProblemType,
    /// One of `auth::routes`, which knows it by its operation.
    Auth,
}

/// Routes and schemas of the kernel, in the shape of a plugin's.
pub fn descriptor() -> Descriptor {
    let schemas = schemas()
        .into_iter()
        .chain(auth::schemas())
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect();
    Descriptor {
        routes: all().into_iter().map(|(_, declared)| declared).collect(),
        schemas,
        ..Descriptor::default()
    }
}

pub fn all() -> Vec<(KernelRoute, Route)> {
    let mut routes = vec![
        (
            KernelRoute::Health,
            page("kernel.health", "/healthz", "Whether the process runs", named("Health")),
        ),
        (
            KernelRoute::Ready,
            Route {
                problems: [Code::Stopping, Code::Unavailable].map(problem).into(),
                ..page(
                    "kernel.ready",
                    "/readyz",
                    "Whether this node takes requests",
                    named("Health"),
                )
            },
        ),
        (
            KernelRoute::OpenApi,
            page(
                "kernel.openapi",
                "/openapi.json",
                "This description",
                json!({ "type": "object" }),
            ),
        ),
        (
            KernelRoute::Docs,
            page(
                "kernel.docs",
                "/docs",
                "This description for people",
                json!({ "type": "string" }),
            ),
        ),
        (
            KernelRoute::DocsScript,
            page(
                "kernel.docs_script",
                "/docs/page.js",
                "Part of the page",
                json!({ "type": "string" }),
            ),
        ),
        (
            KernelRoute::DocsStyle,
            page(
                "kernel.docs_style",
                "/docs/page.css",
                "Part of the page",
                json!({ "type": "string" }),
            ),
        ),
        (
            KernelRoute::ProblemType,
            page(
                "kernel.problem",
                "/problems/{code}",
                "What a problem code means",
                named("ProblemType"),
            ),
        ),
    ];
    routes.extend(auth::routes().into_iter().map(|declared| (KernelRoute::Auth, declared)));
    routes
}

/// Whether it is about one store. The others answer whatever store a request names, or none.
pub(super) fn is_of_a_store(declared: &Route) -> bool {
    declared.path.starts_with("/api/")
}

/// Where a guess is worth something: strictly limited, and no `Idempotency-Key` is looked at.
pub(super) fn is_sign_in(declared: &Route) -> bool {
    matches!(
        declared.operation.as_str(),
        "auth.register" | "auth.login" | "auth.refresh"
    )
}

/// Where the access token that a client still sends must not matter: it may be just what has to be replaced.
pub(super) fn ignores_credentials(declared: &Route) -> bool {
    !is_of_a_store(declared) || is_sign_in(declared) || declared.operation == "auth.logout"
}

fn page(operation: &str, path: &str, summary: &str, schema: JsonSchema) -> Route {
    Route {
        operation: operation.to_owned(),
        method: "GET".to_owned(),
        path: path.to_owned(),
        summary: summary.to_owned(),
        access: Access::Public,
        cacheable: false,
        staged: false,
        headers: Vec::new(),
        query: None,
        body: None,
        body_kib: None,
        answers: vec![Answer {
            status: 200,
            description: summary.to_owned(),
            schema: Some(schema),
        }],
        problems: Vec::new(),
    }
}

fn problem(code: Code) -> ProblemKind {
    ProblemKind {
        status: code.status(),
        code: code.as_str().to_owned(),
    }
}

fn named(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn schemas() -> [(&'static str, JsonSchema); 2] {
    [
        (
            "Health",
            json!({ "type": "object", "required": ["status"], "properties": { "status": { "const": "ok" } } }),
        ),
        (
            "ProblemType",
            json!({ "type": "object", "required": ["code", "status", "title", "remedy"], "properties": {
                "code": { "type": "string" }, "status": { "type": "integer" },
                "title": { "type": "string" }, "remedy": { "type": "string" } } }),
        ),
    ]
}
