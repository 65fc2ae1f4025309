//! The kernel's own routes, described as a plugin describes its own, so that table, checks and OpenAPI know one kind.

use std::collections::BTreeMap;

use commerce_contract::{Access, Answer, Descriptor, JsonSchema, ProblemKind, Route};
use serde_json::{Value, json};

use super::problem::Code;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelRoute {
    Health,
    Ready,
    OpenApi,
    Docs,
    DocsScript,
    DocsStyle,
    ProblemType,
    Register,
    Login,
    Refresh,
    Logout,
    Me,
    UpdateMe,
    Store,
}

impl KernelRoute {
    pub const ALL: [Self; 14] = [
        Self::Health,
        Self::Ready,
        Self::OpenApi,
        Self::Docs,
        Self::DocsScript,
        Self::DocsStyle,
        Self::ProblemType,
        Self::Register,
        Self::Login,
        Self::Refresh,
        Self::Logout,
        Self::Me,
        Self::UpdateMe,
        Self::Store,
    ];

    /// Whether it is about one store. The others answer whatever store a request names, or none.
    pub fn is_of_a_store(self) -> bool {
        !matches!(
            self,
            Self::Health | Self::Ready | Self::Docs | Self::DocsScript | Self::DocsStyle | Self::ProblemType | Self::OpenApi
        )
    }

    /// Where guesses are worth something: strictly limited, and never answered from a kept answer.
    pub fn is_sign_in(self) -> bool {
        matches!(self, Self::Register | Self::Login | Self::Refresh)
    }

    /// Where the access token that a client still sends must not matter: it may be just what has to be replaced.
    pub fn ignores_credentials(self) -> bool {
        self.is_sign_in() || self == Self::Logout || !self.is_of_a_store()
    }

    pub fn declared(self) -> Route {
        match self {
            Self::Health => page("kernel.health", "/healthz", "Whether the process runs").answers(200, "It does", named("Health")),
            Self::Ready => page("kernel.ready", "/readyz", "Whether the node takes requests")
                .answers(200, "It does", named("Health"))
                .problem(Code::Stopping)
                .problem(Code::Unavailable),
            Self::OpenApi => page("kernel.openapi", "/openapi.json", "This description").answers(200, "OpenAPI 3.1", json!({ "type": "object" })),
            Self::Docs => page("kernel.docs", "/docs", "This description for people").answers_text(200, "A page"),
            Self::DocsScript => page("kernel.docs_script", "/docs/page.js", "Part of the page").answers_text(200, "A script"),
            Self::DocsStyle => page("kernel.docs_style", "/docs/page.css", "Part of the page").answers_text(200, "A style sheet"),
            Self::ProblemType => page("kernel.problem", "/problems/{code}", "What a problem code means").answers(200, "The code", named("ProblemType")),
            Self::Register => sign_in("auth.register", "/api/auth/register", "Opens an account", "Registration")
                .answers(201, "Signed in", named("Session"))
                .problem(Code::EmailTaken),
            Self::Login => sign_in("auth.login", "/api/auth/login", "Signs in", "Credentials")
                .answers(200, "Signed in", named("Session"))
                .problem(Code::InvalidCredentials)
                .problem(Code::AccountSuspended),
            Self::Refresh => sign_in("auth.refresh", "/api/auth/refresh", "Exchanges a refresh token for new tokens", "RefreshToken")
                .answers(200, "New tokens", named("Session"))
                .problem(Code::InvalidToken),
            Self::Logout => sign_in("auth.logout", "/api/auth/logout", "Ends the session of a refresh token", "RefreshToken")
                .answers_nothing(204, "Signed out"),
            Self::Me => of_account("auth.me", "GET", "Who is signed in"),
            Self::UpdateMe => Declared(Route { body: Some(named("AccountChanges")), ..of_account("auth.update_me", "PATCH", "Changes the own account").0 })
                .problem(Code::InvalidCredentials)
                .problem(Code::EmailTaken),
            Self::Store => page("store.show", "/api/store", "The store that the request names").answers(200, "The store", named("Store")),
        }
        .0
    }
}

/// Routes and schemas of the kernel, in the shape of a plugin's.
pub fn descriptor() -> Descriptor {
    Descriptor { routes: KernelRoute::ALL.map(KernelRoute::declared).into(), schemas: schemas(), ..Descriptor::default() }
}

struct Declared(Route);

impl Declared {
    fn answers(mut self, status: u16, description: &str, schema: JsonSchema) -> Self {
        self.0.answers.push(Answer { status, description: description.to_owned(), schema: Some(schema) });
        self
    }

    fn answers_text(self, status: u16, description: &str) -> Self {
        self.answers(status, description, json!({ "type": "string" }))
    }

    fn answers_nothing(mut self, status: u16, description: &str) -> Self {
        self.0.answers.push(Answer { status, description: description.to_owned(), schema: None });
        self
    }

    fn problem(mut self, code: Code) -> Self {
        self.0.problems.push(ProblemKind { status: code.status(), code: code.as_str().to_owned() });
        self
    }
}

fn route(operation: &str, method: &str, path: &str, summary: &str, access: Access) -> Declared {
    Declared(Route {
        operation: operation.to_owned(),
        method: method.to_owned(),
        path: path.to_owned(),
        summary: summary.to_owned(),
        access,
        cacheable: false,
        staged: false,
        headers: Vec::new(),
        query: None,
        body: None,
        body_kib: None,
        answers: Vec::new(),
        problems: Vec::new(),
    })
}

fn page(operation: &str, path: &str, summary: &str) -> Declared {
    route(operation, "GET", path, summary, Access::Public)
}

fn sign_in(operation: &str, path: &str, summary: &str, body: &str) -> Declared {
    let declared = route(operation, "POST", path, summary, Access::Public);
    // Nothing of such a request is long; a password of a megabyte would only keep the hash busy.
    Declared(Route { body: Some(named(body)), body_kib: Some(16), ..declared.0 })
}

fn of_account(operation: &str, method: &str, summary: &str) -> Declared {
    route(operation, method, "/api/auth/me", summary, Access::Customer).answers(200, "The account", named("Account"))
}

fn named(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn schemas() -> BTreeMap<String, JsonSchema> {
    let email = json!({ "type": "string", "format": "email", "maxLength": 254 });
    let schemas = [
        ("Health", json!({ "type": "object", "required": ["status"], "properties": { "status": { "const": "ok" } } })),
        (
            "ProblemType",
            json!({ "type": "object", "required": ["code", "title", "remedy"], "properties": {
                "code": { "type": "string" }, "title": { "type": "string" }, "remedy": { "type": "string" } } }),
        ),
        (
            "Registration",
            json!({ "type": "object", "required": ["email", "password"], "properties": {
                "email": email, "password": { "type": "string", "minLength": 8, "maxLength": 1024 },
                "name": { "type": "string", "maxLength": 200 } } }),
        ),
        (
            "Credentials",
            json!({ "type": "object", "required": ["email", "password"], "properties": {
                "email": { "type": "string", "maxLength": 254 }, "password": { "type": "string", "maxLength": 1024 } } }),
        ),
        (
            "RefreshToken",
            json!({ "type": "object", "required": ["refresh_token"], "properties": {
                "refresh_token": { "type": "string", "maxLength": 1024 } } }),
        ),
        (
            "AccountChanges",
            json!({ "type": "object", "additionalProperties": false, "properties": {
                "name": { "type": ["string", "null"], "maxLength": 200 },
                "email": email,
                "password": { "type": "string", "minLength": 8, "maxLength": 1024 },
                "current_password": { "type": "string", "maxLength": 1024 } } }),
        ),
        (
            "Account",
            json!({ "type": "object", "required": ["id", "email"], "properties": {
                "id": { "type": "string" }, "email": { "type": "string" }, "email_verified": { "type": "boolean" },
                "name": { "type": ["string", "null"] }, "permissions": { "type": "array", "items": { "type": "string" } } } }),
        ),
        (
            "Session",
            json!({ "type": "object", "required": ["user", "access_token", "refresh_token", "expires_in"], "properties": {
                "user": named("Account"), "access_token": { "type": "string" }, "refresh_token": { "type": "string" },
                "expires_in": { "type": "integer", "description": "Seconds until the access token expires." } } }),
        ),
        (
            "Store",
            json!({ "type": "object", "required": ["slug", "name", "currency", "currencies"], "properties": {
                "id": { "type": "string" }, "slug": { "type": "string" }, "name": { "type": "string" },
                "currency": { "type": "string" }, "timezone": { "type": "string" },
                "currencies": { "type": "array", "items": named("Currency") } } }),
        ),
        (
            "Currency",
            json!({ "type": "object", "required": ["code", "exponent"], "properties": {
                "code": { "type": "string", "description": "ISO 4217" },
                "exponent": { "type": "integer", "description": "Decimal digits of the minor unit that amounts are written in." } } }),
        ),
    ];
    schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}
