//! What operators see of a running kernel: the log (one access line per request among it) and metrics.

pub mod access_log;
pub mod log;
pub mod metrics;

pub use log::start as start_log;
pub use metrics::{Metrics, serve as serve_metrics};
