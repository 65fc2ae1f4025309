//! What a handler of an HTTP request takes and answers.
//!
//! ```ignore
//! #[get("/api/products/{id}", access = public, cacheable, problems(404 = "unknown_product"))]
//! fn show(id: Path<ProductId>) -> Result<Json<Product>, Problem> { … }
//! ```
//!
//! Parameters, in any order: `&Context`, one [`Path`] for each `{…}` in their order, [`Query`], [`Json`] or [`Body`].
//! Options of the attribute: `access = public | customer | staff("permission")` (required), `summary = "…"` (else the
//! first line of the doc comment), `cacheable`, `staged`, `headers("if-match", …)`, `problems(404 = "code", …)`,
//! `body_kib = 4096`, `operation = "…"` (else the function's name).

mod answers;
mod extract;
mod query;

pub use answers::{Answer, Created, Json, NoContent, Response, With};
pub use extract::{Body, FromRequest, Incoming, Path, Query};

use commerce_contract as contract;

use crate::context::Context;
use crate::describe::Schemas;
use crate::problem::Problem;

/// What the attributes `get`, `post`, … make of a handler.
#[doc(hidden)]
pub trait Route {
    /// Without the plugin's prefix.
    const OPERATION: &'static str;
    fn describe(schemas: &mut Schemas) -> contract::Route;
    fn handle(cx: &Context, incoming: &mut Incoming) -> Result<Response, Problem>;
}

/// What an attribute says about its route; the types say the rest.
#[doc(hidden)]
pub struct RouteFacts {
    pub operation: &'static str,
    pub method: &'static str,
    pub path: &'static str,
    pub summary: &'static str,
    pub access: contract::Access,
    pub cacheable: bool,
    pub staged: bool,
    pub headers: &'static [&'static str],
    pub body_kib: Option<u32>,
    pub problems: &'static [(u16, &'static str)],
}

impl RouteFacts {
    pub fn into_route(self) -> contract::Route {
        let problems = self.problems.iter();
        contract::Route {
            operation: self.operation.to_owned(),
            method: self.method.to_owned(),
            path: self.path.to_owned(),
            summary: self.summary.to_owned(),
            access: self.access,
            cacheable: self.cacheable,
            staged: self.staged,
            headers: self.headers.iter().map(|name| name.to_ascii_lowercase()).collect(),
            query: None,
            body: None,
            body_kib: self.body_kib,
            answers: Vec::new(),
            problems: problems
                .map(|&(status, code)| contract::ProblemKind {
                    status,
                    code: code.to_owned(),
                })
                .collect(),
        }
    }
}
