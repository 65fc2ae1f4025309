//! The operator's way into a running kernel: a Unix socket in the data folder.
//!
//! While a kernel runs, it alone changes what it keeps in memory, so the command line asks it to ([`connect`]); where
//! none runs, the command line takes the data folder for itself ([`DataDirLock`]) and uses the same [`Operate`]
//! implementation directly. One request is one line of JSON, answered by any number of progress lines and one line
//! with the outcome ([`wire`]).
//!
//! Who can open the socket can do everything: it is mode 0600, and the peer's user is asked of the system besides.

mod client;
mod lock;
mod operator;
mod request;
mod server;
mod wire;

use async_trait::async_trait;
use serde_json::Value;

pub use client::{Client, ControlError, connect};
pub use lock::DataDirLock;
pub use operator::{
    AccountRequest, DataRequest, EventRequest, Grants, KeyKind, KeyRequest, Operator, PluginRequest, SecretRequest,
    StoreCreate, StoreRequest,
};
pub use request::{Progress, Request};
pub use server::Server;

use crate::http::problem::Problem;

/// The socket's name in the data folder.
pub const SOCKET: &str = "control.sock";

/// Carries out what an operator asks for.
#[async_trait]
pub trait Operate: Send + Sync + 'static {
    /// `progress` is called as often as there is something to tell, and must not block.
    async fn carry_out(&self, request: Request, progress: &mut (dyn FnMut(Progress) + Send)) -> Result<Value, Problem>;
}
