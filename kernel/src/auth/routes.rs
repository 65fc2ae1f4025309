//! What the kernel itself answers under `/api/auth` and `/api/store`, described as a plugin describes its routes.

use commerce_contract::{Access, Answer, ProblemKind, Route};
use serde_json::{Value, json};

use crate::http::problem::Code;

pub(super) const REGISTER: &str = "auth.register";
pub(super) const LOGIN: &str = "auth.login";
pub(super) const REFRESH: &str = "auth.refresh";
pub(super) const LOGOUT: &str = "auth.logout";
pub(super) const ME: &str = "auth.me";
pub(super) const UPDATE_ME: &str = "auth.update_me";
pub(super) const STORE: &str = "store.show";

/// To be answered by [`Auth::answer`](super::Auth::answer). Schemas refer to [`schemas`].
pub fn routes() -> Vec<Route> {
    vec![
        Route {
            body: Some(reference("Registration")),
            answers: vec![answer(201, "The account, signed in", Some("SignedIn"))],
            problems: problems(&[Code::EmailTaken, Code::Overloaded]),
            ..route(REGISTER, "POST", "/api/auth/register", "Create an account and sign in")
        },
        Route {
            body: Some(reference("Credentials")),
            answers: vec![answer(200, "The account, signed in", Some("SignedIn"))],
            problems: problems(&[
                Code::InvalidCredentials,
                Code::AccountSuspended,
                Code::RateLimited,
                Code::Overloaded,
            ]),
            ..route(LOGIN, "POST", "/api/auth/login", "Sign in")
        },
        Route {
            body: Some(reference("RefreshToken")),
            answers: vec![answer(
                200,
                "New tokens; the refresh token sent is used up",
                Some("SignedIn"),
            )],
            problems: problems(&[Code::InvalidToken, Code::TokenExpired]),
            ..route(
                REFRESH,
                "POST",
                "/api/auth/refresh",
                "Exchange a refresh token for new tokens",
            )
        },
        Route {
            body: Some(reference("RefreshToken")),
            answers: vec![answer(
                204,
                "Signed out; the access tokens of this sign-in are refused from now on",
                None,
            )],
            ..route(LOGOUT, "POST", "/api/auth/logout", "Sign out")
        },
        Route {
            access: Access::Customer,
            answers: vec![answer(200, "The account", Some("Me"))],
            ..route(ME, "GET", "/api/auth/me", "The account that is signed in")
        },
        Route {
            access: Access::Customer,
            body: Some(reference("MeChange")),
            answers: vec![answer(
                200,
                "The account; with new tokens where the password was changed",
                Some("Me"),
            )],
            problems: problems(&[Code::EmailTaken, Code::RateLimited, Code::Overloaded]),
            ..route(UPDATE_ME, "PATCH", "/api/auth/me", "Change name, address or password")
        },
        Route {
            answers: vec![answer(200, "The store", Some("Store"))],
            ..route(STORE, "GET", "/api/store", "The store and its currencies")
        },
    ]
}

/// The named schemas of [`routes`], for the OpenAPI document and for validation.
pub fn schemas() -> Vec<(&'static str, Value)> {
    let email = json!({ "type": "string", "minLength": 3, "maxLength": 320, "examples": ["ann@example.com"] });
    let password = json!({ "type": "string", "minLength": 1, "maxLength": 1024, "format": "password" });
    let new_password = json!({
        "type": "string", "minLength": 1, "maxLength": 128, "format": "password",
        "description": "8 to 128 bytes of UTF-8",
    });
    let name = json!({ "type": "string", "maxLength": 200 });
    let tokens = json!({
        "access_token": { "type": "string", "description": "For Authorization: Bearer; good in this store" },
        "refresh_token": { "type": "string", "description": "Good once, for /api/auth/refresh" },
        "token_type": { "type": "string", "const": "Bearer" },
        "expires_in": { "type": "integer", "description": "Seconds that the access token lives" },
    });
    let mut signed_in = tokens.clone();
    signed_in["user"] = json!({
        "type": "object",
        "required": ["id", "email"],
        "properties": { "id": { "type": "string" }, "email": { "type": "string" } },
    });
    let mut me = tokens;
    if let (Value::Object(me), Value::Object(own)) = (
        &mut me,
        json!({
            "id": { "type": "string" },
            "email": { "type": "string" },
            "email_verified": { "type": "boolean" },
            "name": { "type": ["string", "null"] },
            "status": { "type": "string", "enum": ["active", "suspended"] },
            "roles": { "type": "array", "items": { "type": "string" } },
            "permissions": { "type": "array", "items": { "type": "string" } },
            "created_at": { "type": "string", "format": "date-time" },
        }),
    ) {
        me.extend(own);
    }
    let currency = json!({
        "type": "object",
        "required": ["code", "exponent"],
        "properties": {
            "code": { "type": "string", "description": "ISO 4217", "examples": ["IDR"] },
            "exponent": { "type": "integer", "description": "Decimal digits of the minor unit that amounts count" },
        },
    });
    vec![
        (
            "Registration",
            closed(
                json!({ "email": email, "password": new_password, "name": name }),
                &["email", "password"],
            ),
        ),
        (
            "Credentials",
            closed(json!({ "email": email, "password": password }), &["email", "password"]),
        ),
        (
            "RefreshToken",
            closed(
                json!({ "refresh_token": { "type": "string", "maxLength": 1024 } }),
                &["refresh_token"],
            ),
        ),
        (
            "MeChange",
            closed(
                json!({ "name": name, "email": email, "password": new_password, "current_password": password }),
                &[],
            ),
        ),
        (
            "SignedIn",
            open(
                signed_in,
                &["user", "access_token", "refresh_token", "token_type", "expires_in"],
            ),
        ),
        (
            "Me",
            open(
                me,
                &[
                    "id",
                    "email",
                    "email_verified",
                    "name",
                    "status",
                    "roles",
                    "permissions",
                    "created_at",
                ],
            ),
        ),
        ("Currency", currency),
        (
            "Store",
            open(
                json!({
                    "id": { "type": "string" },
                    "slug": { "type": "string" },
                    "name": { "type": "string" },
                    "currency": { "type": "string", "description": "The default" },
                    "currencies": { "type": "array", "items": reference("Currency") },
                    "timezone": { "type": "string", "description": "IANA name" },
                }),
                &["id", "slug", "name", "currency", "currencies", "timezone"],
            ),
        ),
    ]
}

fn route(operation: &str, method: &str, path: &str, summary: &str) -> Route {
    Route {
        operation: operation.to_owned(),
        method: method.to_owned(),
        path: path.to_owned(),
        summary: summary.to_owned(),
        access: Access::Public,
        cacheable: false,
        staged: false,
        headers: Vec::new(),
        query: None,
        body: None,
        body_kib: Some(16),
        answers: Vec::new(),
        problems: Vec::new(),
    }
}

fn answer(status: u16, description: &str, schema: Option<&str>) -> Answer {
    Answer {
        status,
        description: description.to_owned(),
        schema: schema.map(reference),
    }
}

fn problems(codes: &[Code]) -> Vec<ProblemKind> {
    codes
        .iter()
        .map(|code| ProblemKind {
            status: code.status(),
            code: code.as_str().to_owned(),
        })
        .collect()
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// A body: an unknown member is a mistake of the client's that it should hear of.
fn closed(properties: Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// An answer: later versions may say more.
fn open(properties: Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required })
}
