//! Every answer that is not a success. The kernel renders a [`Problem`] as RFC 9457 problem+json, adds the request id,
//! and rolls the unit of work back.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::bindings::commerce::kernel::types;
pub use crate::bindings::commerce::kernel::types::Refusal;
use crate::log;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Problem {
    /// HTTP status, 400 to 599.
    pub status: u16,
    /// Stable and snake_case, declared with the route: `out_of_stock`.
    pub code: Cow<'static, str>,
    /// One sentence the client can act on.
    pub detail: String,
    pub errors: Vec<Field>,
    /// Further members of the problem object.
    pub extra: Map<String, Value>,
}

/// What is wrong with one field of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// JSON pointer into the body, or `?name` for a query parameter.
    pub pointer: String,
    pub message: String,
}

impl Problem {
    pub fn new(status: u16, code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self {
            status,
            code: code.into(),
            detail: detail.into(),
            ..Self::default()
        }
    }

    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(400, code, detail)
    }

    pub fn forbidden(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(403, code, detail)
    }

    pub fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(404, code, detail)
    }

    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(409, code, detail)
    }

    /// The input is well-formed but can't be used; say where with [`Problem::field`].
    pub fn unprocessable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(422, code, detail)
    }

    /// A service that this plugin needs is out of reach or overloaded; trying again later may help.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(503, "unavailable", detail)
    }

    /// A defect of the plugin or its configuration. The cause goes to the operator's log, never to the client.
    pub fn internal(cause: impl fmt::Display) -> Self {
        log::error!("{cause}");
        Self::new(500, "internal", "The request could not be carried out.")
    }

    /// Adds a field error; `pointer` is a JSON pointer into the body (`/items/0/quantity`) or `?name`.
    pub fn field(mut self, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        self.errors.push(Field {
            pointer: pointer.into(),
            message: message.into(),
        });
        self
    }

    /// Adds a member to the problem object, for example how many are still in stock.
    pub fn with(mut self, member: &str, value: impl Serialize) -> Self {
        match serde_json::to_value(value) {
            Ok(value) => {
                self.extra.insert(member.to_owned(), value);
            }
            Err(cause) => log::error!("member {member} of problem {} is left out: {cause}", self.code),
        }
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status, self.code, self.detail)
    }
}

impl std::error::Error for Problem {}

/// Most capabilities refuse in the same few ways.
impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotGranted(remedy) => Self::internal(format_args!("a capability is not granted: {remedy}")),
            Refusal::Invalid(reason) => Self::internal(format_args!("a capability refused its arguments: {reason}")),
            Refusal::InTransaction => Self::internal("a capability was used inside of a SQL transaction"),
            Refusal::Unavailable => {
                Self::unavailable("A service behind this request is out of reach. Try again later.")
            }
        }
    }
}

impl From<Problem> for types::Problem {
    fn from(problem: Problem) -> Self {
        let fields = problem.errors.into_iter();
        Self {
            status: problem.status,
            code: problem.code.into_owned(),
            detail: problem.detail,
            errors: fields
                .map(|field| types::FieldError {
                    pointer: field.pointer,
                    message: field.message,
                })
                .collect(),
            extra: if problem.extra.is_empty() {
                String::new()
            } else {
                Value::Object(problem.extra).to_string()
            },
        }
    }
}

impl From<types::Problem> for Problem {
    fn from(problem: types::Problem) -> Self {
        let fields = problem.errors.into_iter();
        Self {
            status: problem.status,
            code: problem.code.into(),
            detail: problem.detail,
            errors: fields
                .map(|field| Field {
                    pointer: field.pointer,
                    message: field.message,
                })
                .collect(),
            extra: serde_json::from_str(&problem.extra).unwrap_or_default(),
        }
    }
}
