//! `[events]` of `commerce.toml`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How this node takes part in delivering events and running jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventsConfig {
    /// Events being delivered at the same time on this node, and as many jobs. 0: this node leaves them to others.
    pub concurrency: u16,
    /// How long work that another node has written, or that has become due, may go unnoticed.
    pub poll_ms: u64,
    /// How long after a node died others take over what it was doing. Living nodes renew their leases at a third of it.
    pub lease_ms: u64,
    /// After so many failures an event or a job is a dead letter.
    pub attempts: u32,
    /// The pause after the first failure; it doubles with each further one, up to `backoff_cap_ms`.
    pub backoff_ms: u64,
    pub backoff_cap_ms: u64,
    pub retention: RetentionConfig,
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self {
            concurrency: 16,
            poll_ms: 500,
            lease_ms: 15_000,
            attempts: 10,
            backoff_ms: 1_000,
            backoff_cap_ms: 3_600_000,
            retention: RetentionConfig::default(),
        }
    }
}

/// How long the kernel keeps rows that nothing needs any more. Dead letters are kept until an operator decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    pub events_hours: u64,
    pub jobs_hours: u64,
    /// For so long the same `Idempotency-Key` gets the same answer.
    pub idempotency_hours: u64,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            events_hours: 72,
            jobs_hours: 24,
            idempotency_hours: 24,
        }
    }
}

impl RetentionConfig {
    pub fn hours(hours: u64) -> Duration {
        Duration::from_secs(hours.saturating_mul(3_600))
    }
}
