//! Connections and who holds them.
//!
//! sqlx's own pool pings a connection whenever it comes back, which doubles the round trips of a one-statement GET. This
//! one trusts a connection that was used a moment ago, hands them out in the order in which they were asked for, and
//! takes care that one with an open transaction or a statement in flight never comes back as if it were clean.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::SqlError;
use super::connection::{Connection, Rights};
use super::postgres::PostgresOptions;
use super::sqlite::SqliteOptions;

/// A connection idle for longer is asked whether it still lives before it is used again.
const TRUSTED_IDLE: Duration = Duration::from_secs(2);
/// Connections are renewed, so that what the server keeps for each does not grow for ever.
const MAX_AGE: Duration = Duration::from_secs(1800);

pub(super) struct Pool {
    open: Opener,
    /// Fair: first come, first served. For the one writer of SQLite this is the queue.
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    queue_wait: Duration,
    runtime: tokio::runtime::Handle,
}

pub(super) enum Opener {
    Sqlite(SqliteOptions),
    Postgres(Box<PostgresOptions>),
}

struct Idle {
    connection: Connection,
    since: Instant,
}

impl Pool {
    pub(super) fn new(open: Opener, size: u32, queue_wait: Duration) -> Arc<Self> {
        Arc::new(Self {
            open,
            permits: Arc::new(Semaphore::new(size.max(1) as usize)),
            idle: Mutex::new(Vec::new()),
            queue_wait,
            runtime: tokio::runtime::Handle::current(),
        })
    }

    /// A clean connection, and how long it was waited for.
    pub(super) async fn acquire(self: &Arc<Self>) -> Result<(Lease, Duration), SqlError> {
        let (permit, waited) = queue(&self.permits, self.queue_wait).await?;
        let connection = match self.take_idle().await {
            Some(connection) => connection,
            None => self.open().await?,
        };
        Ok((self.lease(connection, permit), waited))
    }

    /// As [`acquire`](Self::acquire), but surely a new connection: for the second try after an idle one was found dead.
    pub(super) async fn acquire_new(self: &Arc<Self>) -> Result<Lease, SqlError> {
        self.idle.lock().clear();
        let (permit, _) = queue(&self.permits, self.queue_wait).await?;
        let connection = self.open().await?;
        Ok(self.lease(connection, permit))
    }

    fn lease(self: &Arc<Self>, connection: Connection, permit: OwnedSemaphorePermit) -> Lease {
        Lease {
            connection: Some(connection),
            home: Arc::clone(self),
            permit: Some(permit),
            in_flight: false,
            in_transaction: false,
        }
    }

    async fn take_idle(&self) -> Option<Connection> {
        loop {
            let idle = self.idle.lock().pop()?;
            let mut connection = idle.connection;
            if connection.age() > MAX_AGE {
                continue;
            }
            if idle.since.elapsed() < TRUSTED_IDLE || connection.is_alive().await {
                return Some(connection);
            }
        }
    }

    async fn open(&self) -> Result<Connection, SqlError> {
        match &self.open {
            Opener::Sqlite(options) => options.connect().await.map(Connection::Sqlite),
            Opener::Postgres(options) => options.connect().await.map(Connection::Postgres),
        }
    }

    /// Waits until every connection is home, then closes them.
    pub(super) async fn close(&self) {
        let all = tokio::time::timeout(self.queue_wait, async {
            while self.permits.available_permits() < self.size() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        if all.await.is_err() {
            tracing::warn!("closing the database while connections are still in use");
        }
        self.permits.close();
        let idle = std::mem::take(&mut *self.idle.lock());
        for one in idle {
            one.connection.close().await;
        }
    }

    fn size(&self) -> usize {
        match &self.open {
            Opener::Sqlite(options) => options.connections,
            Opener::Postgres(options) => options.connections,
        }
    }
}

/// Waits in line for one of these permits, at most `longest`.
pub(super) async fn queue(
    permits: &Arc<Semaphore>,
    longest: Duration,
) -> Result<(OwnedSemaphorePermit, Duration), SqlError> {
    if let Ok(permit) = Arc::clone(permits).try_acquire_owned() {
        return Ok((permit, Duration::ZERO));
    }
    let start = Instant::now();
    match tokio::time::timeout(longest, Arc::clone(permits).acquire_owned()).await {
        Ok(Ok(permit)) => Ok((permit, start.elapsed())),
        Ok(Err(_closed)) => Err(SqlError::unavailable()),
        Err(_elapsed) => Err(SqlError::Unavailable {
            retry_after: longest.max(Duration::from_secs(1)),
        }),
    }
}

/// A connection in use. Dropped clean, it goes back; dropped in the middle of something, it is cleaned up first, in a task
/// of its own that nobody can cancel, and keeps its place in the pool until that is done.
pub(super) struct Lease {
    connection: Option<Connection>,
    home: Arc<Pool>,
    permit: Option<OwnedSemaphorePermit>,
    /// Set before a statement is sent, cleared once its answer is complete: true at drop means cancelled.
    in_flight: bool,
    /// Set by whoever sends BEGIN, COMMIT and ROLLBACK.
    pub(super) in_transaction: bool,
}

impl Lease {
    /// Runs one operation on the connection and marks it as in flight meanwhile.
    pub(super) async fn run<T>(
        &mut self,
        operation: impl AsyncFnOnce(&mut Connection) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        let Some(connection) = self.connection.as_mut().filter(|_| !self.in_flight) else {
            return Err(SqlError::Doomed);
        };
        self.in_flight = true;
        let outcome = operation(connection).await;
        self.in_flight = connection.is_abandoned();
        outcome
    }

    /// The connection is gone, or an earlier operation was cancelled half way: nothing more can run on it.
    pub(super) fn is_lost(&self) -> bool {
        self.in_flight || self.connection.as_ref().is_none_or(|connection| connection.is_broken())
    }

    pub(super) fn is_sqlite(&self) -> bool {
        matches!(self.connection, Some(Connection::Sqlite(_)))
    }

    pub(super) fn usual_rights(&self) -> Option<Rights> {
        self.connection.as_ref().and_then(Connection::usual_rights)
    }

    pub(super) fn switch(&self, rights: Rights) -> Option<String> {
        self.connection
            .as_ref()
            .and_then(|connection| connection.switch(rights))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        if connection.is_broken() {
            return;
        }
        let home = Arc::clone(&self.home);
        if !self.in_flight && !self.in_transaction {
            home.idle.lock().push(Idle {
                connection,
                since: Instant::now(),
            });
            return;
        }
        let (in_flight, permit) = (self.in_flight, self.permit.take());
        self.home.runtime.spawn(async move {
            if let Some(connection) = connection.clean_up(in_flight).await {
                home.idle.lock().push(Idle {
                    connection,
                    since: Instant::now(),
                });
            }
            drop(permit);
        });
    }
}
