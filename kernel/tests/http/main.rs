//! The edge and the pipeline, through real sockets: one binary, a file per concern.

mod callers;
mod edge;
mod idempotency;
mod kept_answers;
mod kernel_routes;
mod plugin_answers;
mod served;
mod stores;
