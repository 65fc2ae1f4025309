//! What time it is.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::bindings::commerce::kernel::clock as host;
use crate::timestamp::Timestamp;

/// The kernel's time; outside of the sandbox, in a plugin's own tests, the system's.
pub fn now() -> Timestamp {
    if cfg!(target_arch = "wasm32") {
        return Timestamp::from_host(host::now());
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
