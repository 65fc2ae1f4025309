//! HTTP: from the socket to a handler and back.
//!
//! A request comes in through [`edge`] (limits of a connection), goes down the list of checks in [`pipeline`] to a route of
//! [`routes`], and its answer leaves through the same function. warp accepts; it decides nothing.

pub mod answers;
mod client;
mod compression;
mod conditional;
mod cors;
mod dispatch;
mod docs;
pub mod edge;
pub mod idempotency;
pub mod kernel_routes;
pub mod openapi;
mod pipeline;
pub mod problem;
mod rate_limit;
mod request_id;
pub mod response_cache;
pub mod routes;
mod schema;
mod security_headers;
pub mod server;
mod store_choice;
mod upload;

pub(crate) use client::network_of;
pub use edge::serve;
pub use server::{Http, Parts};
