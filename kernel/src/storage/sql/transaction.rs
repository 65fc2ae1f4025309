//! BEGIN, COMMIT and ROLLBACK, with what can go wrong around them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::SqlError;
use super::pool::{Lease, Pool};
use super::statement::{KernelStatement, Texts, joined};

/// On SQLite a transaction takes the writer's lock at once: one that begins by reading would fail on its first write
/// whenever another process wrote in between. PostgreSQL takes the same word without `immediate`.
fn begin_command(lease: &Lease) -> &'static str {
    if lease.is_sqlite() { "begin immediate" } else { "begin" }
}

/// A connection with an open transaction. Safe to try twice: nothing has been done yet.
pub(super) async fn begin(pool: &Arc<Pool>) -> Result<(Lease, Duration), SqlError> {
    let (mut lease, waited) = pool.acquire().await?;
    let first = send_begin(&mut lease).await;
    match first {
        Err(SqlError::Unavailable { .. }) if lease.is_lost() => {
            drop(lease);
            let mut fresh = pool.acquire_new().await?;
            send_begin(&mut fresh).await?;
            Ok((fresh, waited))
        }
        other => other.map(|()| (lease, waited)),
    }
}

async fn send_begin(lease: &mut Lease) -> Result<(), SqlError> {
    let command = begin_command(lease);
    lease.in_transaction = true;
    let begun = lease.run(async |connection| connection.control(command).await).await;
    lease.in_transaction = begun.is_ok();
    begun
}

pub(super) async fn run_all(
    lease: &mut Lease,
    texts: &Texts,
    statements: &[KernelStatement],
    affected: &mut Vec<u64>,
) -> Result<(), SqlError> {
    if !lease.is_sqlite()
        && let Some((text, args)) = joined(statements, texts)?
    {
        let (rows, _) = lease
            .run(async |connection| connection.kernel(&text, &args).await)
            .await?;
        let counts = rows.first().ok_or(SqlError::Failed)?;
        for (place, statement) in statements.iter().enumerate() {
            let changed = u64::try_from(counts.get::<i64>(place)?).unwrap_or_default();
            statement.check(changed)?;
            affected.push(changed);
        }
        return Ok(());
    }
    for statement in statements {
        let mut changed = 0;
        for (text, args) in statement.batches(texts)? {
            changed += lease
                .run(async |connection| connection.kernel(&text, &args).await)
                .await?
                .1;
        }
        statement.check(changed)?;
        affected.push(changed);
    }
    Ok(())
}

pub(super) async fn commit(lease: &mut Lease) -> Result<(), SqlError> {
    let outcome = lease.run(async |connection| connection.control("commit").await).await;
    match outcome {
        Ok(()) => {
            lease.in_transaction = false;
            Ok(())
        }
        Err(_) if lease.is_lost() => Err(SqlError::Uncertain),
        Err(error) => {
            rollback(lease).await;
            Err(error)
        }
    }
}

/// Never fails: what can't be rolled back here is rolled back by closing the connection.
pub(super) async fn rollback(lease: &mut Lease) {
    let survives = lease
        .run(async |connection| Ok(connection.transaction_survives().await))
        .await;
    let done = match survives {
        Ok(true) => lease.run(async |connection| connection.control("rollback").await).await,
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    };
    lease.in_transaction = done.is_err();
}

/// Runs to its end even if nobody waits for it any more: a COMMIT is never cut in half.
pub(super) async fn uncancelled<T: Send + 'static>(
    work: impl Future<Output = Result<T, SqlError>> + Send + 'static,
) -> Result<T, SqlError> {
    match tokio::spawn(work).await {
        Ok(outcome) => outcome,
        Err(failure) => {
            tracing::error!(%failure, "a transaction's end did not finish");
            Err(SqlError::Uncertain)
        }
    }
}
