//! Functions of other plugins, and services.
//!
//! ```ignore
//! let stock: Stock = plugins::call("product", "reserve", &lines)?;
//!
//! for provider in plugins::providers("pricing@1")? {
//!     let change: Adjustments = plugins::provider("pricing@1", &provider, "adjust", &cart)?;
//! }
//! ```
//!
//! The callee joins the caller's unit of work. Whoever wants to survive its failure calls inside of
//! [`crate::sql::transaction`].

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::commerce::kernel::plugins as host;
use crate::problem::{Problem, Refusal};

/// Calls a function that `plugin.toml` asks for with `call = ["plugin.function"]`.
pub fn call<A: DeserializeOwned>(plugin: &str, function: &str, payload: &impl Serialize) -> Result<A, CallError> {
    exchange(payload, |payload| host::call(plugin, function, payload))
}

/// The plugins that provide a service such as `shipping@1` in this store, in the order the operator gave them.
pub fn providers(service: &str) -> Result<Vec<String>, Problem> {
    Ok(host::providers(service)?)
}

/// Calls one provider of a service that `plugin.toml` asks for with `services = ["shipping@1"]`.
pub fn provider<A: DeserializeOwned>(
    service: &str,
    provider: &str,
    function: &str,
    payload: &impl Serialize,
) -> Result<A, CallError> {
    exchange(payload, |payload| {
        host::call_provider(service, provider, function, payload)
    })
}

fn exchange<A: DeserializeOwned>(
    payload: &impl Serialize,
    call: impl FnOnce(&[u8]) -> Result<Vec<u8>, host::Error>,
) -> Result<A, CallError> {
    let payload = serde_json::to_vec(payload).map_err(|error| CallError::Payload(error.to_string()))?;
    let answer = call(&payload).map_err(|error| match error {
        host::Error::Refused(refusal) => CallError::Refused(refusal),
        host::Error::Unknown(what) => CallError::Unknown(what),
        host::Error::Problem(problem) => CallError::Problem(problem.into()),
    })?;
    serde_json::from_slice(&answer).map_err(|error| CallError::Answer(error.to_string()))
}

#[derive(Clone, Debug)]
pub enum CallError {
    Refused(Refusal),
    /// No such plugin, function or provider here, or it is not enabled in this store.
    Unknown(String),
    /// What the callee answered instead; 500 or 504 where it failed.
    Problem(Problem),
    /// The payload could not be written as JSON.
    Payload(String),
    /// The answer is not what the caller expects.
    Answer(String),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "the call was refused: {refusal:?}"),
            Self::Unknown(what) => write!(f, "nothing to call: {what}"),
            Self::Problem(problem) => write!(f, "the callee answered {problem}"),
            Self::Payload(why) => write!(f, "the payload can't be written: {why}"),
            Self::Answer(why) => write!(f, "the answer can't be read: {why}"),
        }
    }
}

impl std::error::Error for CallError {}

/// A callee's problem is passed on as it is, so that what the client can act on reaches it.
impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Problem(problem) => problem,
            CallError::Refused(refusal) => refusal.into(),
            other => Self::internal(other),
        }
    }
}
