//! Every error that leaves the kernel over HTTP: RFC 9457 problem+json, made here and nowhere else.
//!
//! [`Code`] is the one table of what the kernel itself may answer: code, status, title, and what the client can do
//! about it. Routes of plugins declare further codes in their descriptors; both end up in the OpenAPI document.

use std::borrow::Cow;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::storage::sql::SqlError;

/// An error answer. The cause is logged under the request id where it arose; none of it is in here.
///
/// Its serde form is for processes of one release (the control socket); clients get [`Problem::to_json`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    pub status: u16,
    /// Stable, snake_case.
    pub code: String,
    /// One sentence the client can act on.
    pub detail: String,
    pub errors: Vec<FieldError>,
    pub extra: Map<String, Value>,
    /// For `Retry-After`.
    pub retry_after_seconds: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// JSON pointer into the body, or `?name` for a query parameter.
    pub pointer: String,
    pub message: String,
}

macro_rules! codes {
    ($($name:ident = $status:literal $code:literal, $title:literal, $remedy:literal;)*) => {
        /// What the kernel itself answers when it does not do what was asked.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($name),* }

        impl Code {
            pub const ALL: &'static [Code] = &[$(Code::$name),*];

            pub const fn status(self) -> u16 {
                match self { $(Code::$name => $status),* }
            }

            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $code),* }
            }

            pub const fn title(self) -> &'static str {
                match self { $(Code::$name => $title),* }
            }

            /// The sentence that is the detail unless the place that knows more gives a better one.
            pub const fn remedy(self) -> &'static str {
                match self { $(Code::$name => $remedy),* }
            }
        }
    };
}

codes! {
    BadRequest = 400 "bad_request", "Bad request", "The request is not valid HTTP for this server.";
    InvalidPath = 400 "invalid_path", "Invalid path", "Percent-encode the path as UTF-8, without control characters.";
    InvalidHeader = 400 "invalid_header", "Invalid header", "Correct the header that the detail names.";
    InvalidJson = 400 "invalid_json", "Malformed JSON", "Send one well-formed JSON value, each member at most once.";
    StoreMismatch = 400 "store_mismatch", "Two stores named", "Host, X-Store and API key must name the same store.";
    Unauthenticated = 401 "unauthenticated", "Not signed in", "Send an access token: Authorization: Bearer ….";
    InvalidToken = 401 "invalid_token", "Token refused", "The token is malformed, revoked or of another store: sign in again.";
    TokenExpired = 401 "token_expired", "Token expired", "Get a new access token with the refresh token.";
    InvalidKey = 401 "invalid_key", "API key refused", "The key is unknown, revoked or of another store.";
    InvalidCredentials = 401 "invalid_credentials", "Sign-in refused", "E-mail address and password do not belong together.";
    Forbidden = 403 "forbidden", "Not allowed", "Ask the store's owner for the permission.";
    StoreSuspended = 403 "store_suspended", "Store suspended", "The store's operator has to resume it.";
    AccountSuspended = 403 "account_suspended", "Account suspended", "The store's staff has to resume the account.";
    NotFound = 404 "not_found", "Not found", "Nothing is here: check path and id.";
    UnknownStore = 404 "unknown_store", "Unknown store", "Name a store by its host or in the header X-Store.";
    MethodNotAllowed = 405 "method_not_allowed", "Method not allowed", "Use a method that the Allow header lists.";
    RequestTimeout = 408 "request_timeout", "Request too slow", "Send the whole request body in time.";
    Conflict = 409 "conflict", "Conflict", "Something changed at the same time: read again and retry.";
    RequestInFlight = 409 "request_in_flight", "Still in progress", "A request with this Idempotency-Key is running: retry later.";
    EmailTaken = 409 "email_taken", "Address in use", "An account with this e-mail address exists: sign in.";
    PreconditionFailed = 412 "precondition_failed", "Precondition failed", "Read the resource again and use its current ETag.";
    BodyTooLarge = 413 "body_too_large", "Body too large", "Send a smaller body.";
    UnsupportedMediaType = 415 "unsupported_media_type", "Unsupported media type", "Send JSON with Content-Type: application/json.";
    InvalidBody = 422 "invalid_body", "Invalid body", "Correct the members that errors points to.";
    InvalidQuery = 422 "invalid_query", "Invalid query", "Correct the query parameters that errors names.";
    IdempotencyKeyReused = 422 "idempotency_key_reused", "Idempotency-Key reused", "Use a new key for a request with another body.";
    RateLimited = 429 "rate_limited", "Too many requests", "Wait as long as Retry-After says.";
    HeadersTooLarge = 431 "headers_too_large", "Headers too large", "Send fewer and shorter headers.";
    Internal = 500 "internal", "Internal error", "This is our fault: report it with the request_id.";
    PluginFailed = 500 "plugin_failed", "The module failed", "This is our fault: report it with the request_id.";
    Unavailable = 503 "unavailable", "Unavailable", "Nothing was done: retry after Retry-After.";
    Overloaded = 503 "overloaded", "Overloaded", "Nothing was done: retry after Retry-After.";
    Stopping = 503 "stopping", "Stopping", "This node is going away: retry, and another one answers.";
    Uncertain = 503 "uncertain", "Outcome unknown", "It is unknown whether this was done: look, or retry with the same Idempotency-Key.";
    Timeout = 504 "timeout", "Took too long", "The request was given up: retry later.";
}

impl Problem {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            status: code.status(),
            code: code.as_str().to_owned(),
            detail: detail.into(),
            errors: Vec::new(),
            extra: Map::new(),
            retry_after_seconds: None,
        }
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(Code::NotFound, detail)
    }

    /// For what is our fault. The cause belongs into the log, where this is called.
    pub fn internal() -> Self {
        Code::Internal.into()
    }

    #[must_use]
    pub fn with_error(mut self, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        self.errors.push(FieldError {
            pointer: pointer.into(),
            message: message.into(),
        });
        self
    }

    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    #[must_use]
    pub fn with_extra(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }

    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// Whether this is the kernel's own problem of that kind.
    pub fn is(&self, code: Code) -> bool {
        self.code == code.as_str()
    }

    pub fn status_code(&self) -> StatusCode {
        match StatusCode::from_u16(self.status) {
            Ok(status) if status.is_client_error() || status.is_server_error() => status,
            // A plugin's problem with the status of a success would be an error that looks like none.
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The JSON text of the answer. Members that a plugin added stand beside ours and never replace one.
    pub fn to_json(&self, request_id: &str) -> Vec<u8> {
        let mut members = Map::with_capacity(7 + self.extra.len());
        members.insert("type".into(), Value::String(format!("/problems/{}", self.code)));
        members.insert("title".into(), Value::String(title_of(&self.code).into_owned()));
        members.insert("status".into(), Value::from(self.status_code().as_u16()));
        members.insert("detail".into(), Value::String(self.detail.clone()));
        members.insert("code".into(), Value::String(self.code.clone()));
        members.insert("request_id".into(), Value::String(request_id.to_owned()));
        if !self.errors.is_empty() {
            members.insert("errors".into(), self.errors.iter().map(error_to_json).collect());
        }
        for (name, value) in &self.extra {
            members.entry(name.as_str()).or_insert_with(|| value.clone());
        }
        serde_json::to_vec(&members).unwrap_or_default()
    }
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self::new(code, code.remedy())
    }
}

/// For the kernel's own statements. Whatever else can go wrong with one is our fault, and is in the log where it arose.
impl From<SqlError> for Problem {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Unavailable { retry_after } => {
                let seconds = retry_after.as_secs().clamp(1, 3600);
                Self::from(Code::Unavailable).retry_after(u32::try_from(seconds).unwrap_or(1))
            }
            SqlError::Timeout => Self::from(Code::Unavailable).retry_after(1),
            SqlError::Uncertain => Code::Uncertain.into(),
            SqlError::Conflict => Code::Conflict.into(),
            other => {
                tracing::error!(error = %other, "a statement of the kernel failed");
                Self::internal()
            }
        }
    }
}

fn error_to_json(error: &FieldError) -> Value {
    serde_json::json!({ "pointer": error.pointer, "message": error.message })
}

/// A plugin's code has no title of its own: its words are one, `not_now` becomes "Not now".
fn title_of(code: &str) -> Cow<'static, str> {
    if let Some(known) = Code::ALL.iter().find(|known| known.as_str() == code) {
        return Cow::Borrowed(known.title());
    }
    let mut title = code.replace('_', " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Cow::Owned(title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_snake_case() {
        let mut seen = std::collections::BTreeSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{} twice", code.as_str());
            assert!(
                code.as_str()
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            );
            assert!((400..600).contains(&code.status()));
        }
    }

    #[test]
    fn a_plugins_extra_members_do_not_replace_ours() {
        let problem = Problem::new(Code::Conflict, "Not now.")
            .with_extra("status", 200)
            .with_extra("left", 3);
        let json: Value = serde_json::from_slice(&problem.to_json("req_1")).unwrap();
        assert_eq!(json["status"], 409);
        assert_eq!(json["left"], 3);
        assert_eq!(json["type"], "/problems/conflict");
    }

    #[test]
    fn a_problem_with_the_status_of_a_success_is_an_error_nevertheless() {
        let mut problem = Problem::from(Code::Conflict);
        problem.status = 200;
        assert_eq!(problem.status_code(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
