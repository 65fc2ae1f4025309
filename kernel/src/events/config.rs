//! `[events]` of `commerce.toml`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How this node takes part in delivering events and running jobs. The table in `config::keys` has the defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventsConfig {
    /// Events being delivered at the same time on this node, and as many jobs. 0: this node leaves them to others.
    pub workers: u16,
    /// How long work that another node has written, or that has become due, may go unnoticed.
    pub poll_ms: u64,
    /// How long after a node died others take over what it was doing. Living nodes renew their leases at a third of it.
    pub lease_ms: u64,
    /// After so many failures an event or a job is a dead letter.
    pub max_attempts: u32,
    /// The pause after the first failure; it doubles with each further one, up to `backoff_cap_ms`.
    pub backoff_ms: u64,
    pub backoff_cap_ms: u64,
    /// How long finished events and jobs stay listed. Dead letters stay until an operator decides.
    pub keep_hours: u64,
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self {
            workers: 8,
            poll_ms: 500,
            lease_ms: 15_000,
            max_attempts: 12,
            backoff_ms: 1_000,
            backoff_cap_ms: 3_600_000,
            keep_hours: 72,
        }
    }
}

impl EventsConfig {
    pub(super) fn keep(&self) -> Duration {
        Duration::from_secs(self.keep_hours.saturating_mul(3_600))
    }
}
