//! What an operator can set about the relational store.

use std::fmt;
use std::time::Duration;

#[derive(Clone, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqlConfig {
    /// `postgres://…` or `sqlite:PATH`. None: SQLite in a file of the data folder.
    pub url: Option<String>,
    /// PostgreSQL: connections for the work of plugins; a quarter of it more serves the kernel itself.
    /// SQLite: connections that read; exactly one writes.
    pub max_connections: u32,
    pub statement_timeout_ms: u64,
    pub lock_timeout_ms: u64,
    /// The longest wait for a connection, or for the one that writes on SQLite. Not the call's own time.
    pub queue_wait_ms: u64,
    /// Rows and bytes that one statement may answer with.
    pub max_rows: usize,
    pub max_bytes: usize,
    pub transaction_max_age_ms: u64,
}

impl Default for SqlConfig {
    fn default() -> Self {
        Self {
            url: None,
            max_connections: 16,
            statement_timeout_ms: 5_000,
            lock_timeout_ms: 3_000,
            queue_wait_ms: 10_000,
            max_rows: 10_000,
            max_bytes: 8 << 20,
            transaction_max_age_ms: 15_000,
        }
    }
}

/// What follows the URL's scheme is left out: it may hold a password.
impl fmt::Debug for SqlConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = |url: &String| match url.split_once(':') {
            Some((scheme, _)) => format!("{scheme}:[redacted]"),
            None => "[redacted]".to_owned(),
        };
        let Self {
            url,
            max_connections,
            statement_timeout_ms,
            lock_timeout_ms,
            queue_wait_ms,
            max_rows,
            max_bytes,
            transaction_max_age_ms,
        } = self;
        formatter
            .debug_struct("SqlConfig")
            .field("url", &url.as_ref().map(scheme))
            .field("max_connections", max_connections)
            .field("statement_timeout_ms", statement_timeout_ms)
            .field("lock_timeout_ms", lock_timeout_ms)
            .field("queue_wait_ms", queue_wait_ms)
            .field("max_rows", max_rows)
            .field("max_bytes", max_bytes)
            .field("transaction_max_age_ms", transaction_max_age_ms)
            .finish()
    }
}

impl SqlConfig {
    pub(super) fn queue_wait(&self) -> Duration {
        Duration::from_millis(self.queue_wait_ms)
    }

    pub(super) fn statement_timeout(&self) -> Duration {
        Duration::from_millis(self.statement_timeout_ms)
    }

    pub(super) fn transaction_max_age(&self) -> Duration {
        Duration::from_millis(self.transaction_max_age_ms)
    }
}
