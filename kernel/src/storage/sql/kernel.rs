//! The kernel's own statements outside of any unit of work.

use super::statement::KernelStatement;
use super::transaction;
use super::{Row, Sql, SqlError, Value};

/// Each call is a small transaction of its own. Never use it while the same task holds a
/// [`Work`](super::Work) with an open transaction: on SQLite it would wait for itself until the queue's patience ends.
pub struct Kernel<'a>(pub(super) &'a Sql);

impl Kernel<'_> {
    /// A SELECT, on a connection that reads.
    pub async fn fetch_all(&self, text: &'static str, args: &[Value<'_>]) -> Result<Vec<Row>, SqlError> {
        let statement = self.0.texts().single(text)?;
        let pool = self.0.kernel_reads();
        let (mut lease, _) = pool.acquire().await?;
        let outcome = lease
            .run(async |connection| connection.kernel(&statement, args).await)
            .await;
        let outcome = match outcome {
            // An idle connection had died; a SELECT may be asked twice.
            Err(SqlError::Unavailable { .. }) if lease.is_lost() => {
                drop(lease);
                let mut fresh = pool.acquire_new().await?;
                fresh
                    .run(async |connection| connection.kernel(&statement, args).await)
                    .await
            }
            other => other,
        };
        outcome.map(|(rows, _)| rows)
    }

    pub async fn fetch_optional(&self, text: &'static str, args: &[Value<'_>]) -> Result<Option<Row>, SqlError> {
        Ok(self.fetch_all(text, args).await?.into_iter().next())
    }

    /// As [`fetch_optional`](Self::fetch_optional), where no row is a mistake of ours.
    pub async fn fetch_one(&self, text: &'static str, args: &[Value<'_>]) -> Result<Row, SqlError> {
        self.fetch_optional(text, args).await?.ok_or_else(|| {
            tracing::error!(text, "a kernel statement that always answers a row answered none");
            SqlError::Failed
        })
    }

    /// How many rows changed.
    pub async fn execute(&self, text: &'static str, args: &[Value<'_>]) -> Result<u64, SqlError> {
        Ok(self.run(text, args).await?.1)
    }

    /// An INSERT, UPDATE or DELETE with RETURNING.
    pub async fn write(&self, text: &'static str, args: &[Value<'_>]) -> Result<Vec<Row>, SqlError> {
        Ok(self.run(text, args).await?.0)
    }

    async fn run(&self, text: &'static str, args: &[Value<'_>]) -> Result<(Vec<Row>, u64), SqlError> {
        let statement = self.0.texts().single(text)?;
        let (mut lease, _) = self.0.kernel_writes().acquire().await?;
        let outcome = lease
            .run(async |connection| connection.kernel(&statement, args).await)
            .await;
        outcome.map_err(|error| if lease.is_lost() { SqlError::Uncertain } else { error })
    }

    /// All or nothing, in this order; how many rows each changed. Once begun it is not cancelled.
    pub async fn transaction(&self, statements: Vec<KernelStatement>) -> Result<Vec<u64>, SqlError> {
        if statements.is_empty() {
            return Ok(Vec::new());
        }
        let (mut lease, _) = transaction::begin(self.0.kernel_writes()).await?;
        let texts = self.0.texts_shared();
        transaction::uncancelled(async move {
            let mut affected = Vec::with_capacity(statements.len());
            let outcome = transaction::run_all(&mut lease, &texts, &statements, &mut affected).await;
            match outcome {
                Ok(()) => transaction::commit(&mut lease).await.map(|()| affected),
                Err(error) => {
                    transaction::rollback(&mut lease).await;
                    Err(error)
                }
            }
        })
        .await
    }
}
