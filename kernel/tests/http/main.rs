//! The edge and the pipeline, through real sockets: one binary, a file per concern.

mod edge;
mod kernel_routes;
mod served;
