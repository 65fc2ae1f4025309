//! Every error that leaves the kernel over HTTP: RFC 9457 problem+json, made here and nowhere else.

use serde_json::{Map, Value};

/// An error answer. The cause is logged under the request id where it arose; none of it is in here.
#[derive(Clone, Debug, PartialEq)]
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

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FieldError {
    /// JSON pointer into the body, or `?name` for a query parameter.
    pub pointer: String,
    pub message: String,
}
