//! What the delivery of events and the running of jobs have in common: rows that are claimed, tried, and finished,
//! tried again or given up. The [`runner`](super::runner) drives both through this trait.

use std::time::Duration;

use async_trait::async_trait;

use super::{Consumers, Failure};
use crate::storage::sql::{KernelStatement, Sql, SqlError};

/// One of the two tables of work, as one node sees it.
#[async_trait]
pub(super) trait Queue: Send + Sync + 'static {
    type Row: Send + Sync + 'static;

    /// For metrics and logs.
    const KIND: &'static str;

    fn sql(&self) -> &Sql;

    /// Claims rows that are due and free, for the length of a lease from now.
    async fn claim(&self, limit: u32, lease: Duration) -> Result<Vec<Self::Row>, SqlError>;

    /// Still under way: the lease ends that much later.
    fn renew(&self, row: &Self::Row, lease: Duration) -> KernelStatement;

    /// Gives back what this node still holds, as if it had not been claimed.
    async fn release(&self) -> Result<u64, SqlError>;

    /// The row is done: those that waited for it may be due now.
    async fn call_next(&self, _row: &Self::Row) -> Result<(), SqlError> {
        Ok(())
    }

    fn work(row: &Self::Row) -> Work<'_>;

    /// Has the plugin do it and commit that together with the mark that it is done.
    async fn attempt(&self, consumers: &dyn Consumers, row: &Self::Row) -> Result<(), Failure>;

    /// Failed: again after the pause.
    fn retry(&self, row: &Self::Row, pause: Duration, error: &str) -> KernelStatement;

    /// Failed for the last time: a dead letter.
    fn bury(&self, row: &Self::Row, error: &str) -> KernelStatement;

    /// Not tried at all: again after the pause, and the claim does not count as an attempt.
    fn put_off(&self, row: &Self::Row, pause: Duration) -> KernelStatement;

    /// Puts off much of what else is due for the same plugin in the same store. Row by row, the backlog of a plugin that
    /// was disabled, or of a store that was suspended, would come round faster than it is put off and keep everybody waiting.
    fn put_off_others(&self, row: &Self::Row, pause: Duration) -> KernelStatement;
}

/// What the runner needs to know of a claimed row.
pub(super) struct Work<'a> {
    pub id: &'a str,
    pub store: i64,
    /// Who has to do it.
    pub plugin: &'a str,
    /// The event's or the job's name.
    pub name: &'a str,
    /// Claims so far, this one included.
    pub attempts: u32,
    /// When it could have been done first, microseconds since 1970 UTC.
    pub since: i64,
}
