//! Functions that other plugins and the kernel may call.
//!
//! ```ignore
//! #[function(reads)]
//! fn quote(cx: &Context, ask: QuoteRequest) -> Result<Quote, Problem> { … }
//! ```
//!
//! `reads`: it changes nothing, so it may be called from a GET. `name = "…"` where the function's name will not do.

use commerce_contract as contract;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::describe::Schemas;
use crate::problem::Problem;

/// What the attribute makes of a function.
#[doc(hidden)]
pub trait Function {
    const NAME: &'static str;
    fn describe(schemas: &mut Schemas) -> contract::Function;
    fn call(cx: &Context, payload: &[u8]) -> Result<Vec<u8>, Problem>;
}

/// The parameter of a function.
#[doc(hidden)]
pub trait FunctionPayload: Sized {
    fn decode(payload: &[u8]) -> Result<Self, Problem>;
    fn schema(schemas: &mut Schemas) -> contract::JsonSchema;
}

impl<T: DeserializeOwned + JsonSchema> FunctionPayload for T {
    fn decode(payload: &[u8]) -> Result<Self, Problem> {
        serde_json::from_slice(payload)
            .map_err(|error| Problem::unprocessable("invalid_payload", format!("The payload can't be used: {error}.")))
    }

    fn schema(schemas: &mut Schemas) -> contract::JsonSchema {
        schemas.taken::<T>()
    }
}

/// What a function returns.
#[doc(hidden)]
pub trait FunctionAnswer {
    fn encode(self) -> Result<Vec<u8>, Problem>;
    fn schema(schemas: &mut Schemas) -> contract::JsonSchema;
}

impl<T: Serialize + JsonSchema> FunctionAnswer for Result<T, Problem> {
    fn encode(self) -> Result<Vec<u8>, Problem> {
        serde_json::to_vec(&self?).map_err(Problem::internal)
    }

    fn schema(schemas: &mut Schemas) -> contract::JsonSchema {
        schemas.answered::<T>()
    }
}
