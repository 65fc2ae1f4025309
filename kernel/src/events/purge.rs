//! Kernel tables that would grow for ever, and when their rows may go.
//!
//! Any node may purge: deleting what is already gone is nothing. Rows go in small batches, each its own transaction, so
//! that no one waits for a purge. Who starts the background can add rules for further tables.

use std::time::Duration;

use super::EventsConfig;
use super::lease::before;
use crate::storage::sql::{Sql, SqlError, args};

/// How the rows of one table expire.
#[derive(Clone, Copy, Debug)]
pub struct PurgeRule {
    /// For the log and the metric: `idempotency`.
    pub table: &'static str,
    /// Deletes at most `$2` rows that have been of no use since before `$1`.
    pub text: &'static str,
    pub keep: Duration,
}

const BATCH: u64 = 1_000;

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The rules of the kernel's tables.
pub(super) fn kernel_rules(config: &EventsConfig) -> [PurgeRule; 3] {
    [
        PurgeRule {
            table: "deliveries",
            text: "delete from kernel.deliveries where sequence in (
                     select sequence from kernel.deliveries where finished_at < $1 order by finished_at limit $2)",
            keep: config.keep(),
        },
        PurgeRule {
            table: "jobs",
            text: "delete from kernel.jobs where sequence in (
                     select sequence from kernel.jobs where finished_at < $1 order by finished_at limit $2)",
            keep: config.keep(),
        },
        // An expired link is refused whether it is known or not. Sessions and throttles are `auth`'s own to purge, kept
        // answers are `http`'s.
        PurgeRule {
            table: "account_tokens",
            text: "delete from kernel.account_tokens where token_hash in (
                     select token_hash from kernel.account_tokens where expires_at < $1 order by expires_at limit $2)",
            keep: DAY,
        },
    ]
}

/// Deletes all that has expired by this rule; answers how many rows.
pub(super) async fn apply(sql: &Sql, rule: &PurgeRule) -> Result<u64, SqlError> {
    let mut total = 0;
    loop {
        let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
        let deleted = sql
            .kernel()
            .execute(rule.text, &args![before(rule.keep), limit])
            .await?;
        total += deleted;
        if deleted < BATCH {
            return Ok(total);
        }
    }
}
