//! The relational store: SQLite in a file by default, PostgreSQL by a URL; the same behaviour on both.
//!
//! - [`border`] turns a plugin's text into what may run; nothing of a plugin reaches a database without it.
//! - [`Work`] runs it, within the one unit of work of a call tree.
//! - [`Kernel`] runs the kernel's own statements outside of one.
//! - Inside: a [`pool`] of [`connection`]s, which are [`sqlite`]'s or [`postgres`]'s; everything that differs between the
//!   engines is in those two folders and in [`translate`].

mod access;
pub mod border;
mod config;
mod connection;
mod error;
mod kernel;
mod message;
mod migrate;
mod pool;
mod postgres;
mod sqlite;
mod statement;
mod statistics;
mod transaction;
mod translate;
mod value;
mod work;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::time::Instant;

pub use self::access::PluginAccess;
pub use self::config::SqlConfig;
pub use self::error::{Constraint, ConstraintKind, SqlError};
pub use self::kernel::Kernel;
pub use self::migrate::{MigrateError, Migration, PluginMigration};
pub use self::statement::KernelStatement;
pub use self::value::{FromColumn, Row, Time, Value};
pub use self::work::{Frame, Mode, Work};
pub use crate::args;

use self::pool::{Opener, Pool};
use self::postgres::PostgresOptions;
use self::sqlite::SqliteOptions;
use self::statement::Texts;

/// The file in the data folder.
const FILE: &str = "commerce.db";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// What a plugin's statement answers: rows where it has columns, else how many rows it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// MessagePack: `[[column names], row, row …]`.
    Rows(Vec<u8>),
    Affected(u64),
}

/// How long one statement may run and how much it may answer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub deadline: Instant,
    pub max_rows: usize,
    pub max_bytes: usize,
}

impl Limits {
    fn later_by(self, waited: std::time::Duration) -> Self {
        Self {
            deadline: self.deadline + waited,
            ..self
        }
    }
}

/// The relational store. Clones share it.
#[derive(Clone)]
pub struct Sql(Arc<Inner>);

struct Inner {
    config: SqlConfig,
    engine: Engine,
    pools: Pools,
    texts: Arc<Texts>,
}

/// Who uses which connections. On SQLite everybody reads from the same ones and there is one writer.
struct Pools {
    plugin_reads: Arc<Pool>,
    plugin_writes: Arc<Pool>,
    kernel_reads: Arc<Pool>,
    kernel_writes: Arc<Pool>,
}

impl Sql {
    /// Connects. Creates the SQLite file, or the kernel's schema and role on PostgreSQL; does not migrate.
    pub async fn open(config: &SqlConfig, data_dir: &Path) -> Result<Self, SqlError> {
        let (engine, pools) = match config.url.as_deref() {
            None => (Engine::Sqlite, open_sqlite(config, data_dir.join(FILE)).await?),
            Some(url) => match url.strip_prefix("sqlite:") {
                Some(path) => {
                    let path = path.strip_prefix("//").unwrap_or(path);
                    (Engine::Sqlite, open_sqlite(config, PathBuf::from(path)).await?)
                }
                None => (Engine::Postgres, open_postgres(config, url).await?),
            },
        };
        Ok(Self(Arc::new(Inner {
            config: config.clone(),
            engine,
            pools,
            texts: Arc::default(),
        })))
    }

    pub fn engine(&self) -> Engine {
        self.0.engine
    }

    /// The kernel's own statements, outside of any unit of work.
    pub fn kernel(&self) -> Kernel<'_> {
        Kernel(self)
    }

    /// A unit of work for one call tree in this store. Connects at its first statement.
    pub fn work(&self, store: i64, mode: Mode) -> Work {
        Work::new(self.clone(), store, mode)
    }

    /// What a plugin's statements need; to be made once per installed version and cloned. `connections`: how many its
    /// calls may hold or wait for at the same time.
    pub fn access(&self, plugin: &str, connections: u32) -> PluginAccess {
        PluginAccess::new(plugin, connections, self.0.engine)
    }

    /// The configured caps under this deadline.
    pub fn limits(&self, deadline: Instant) -> Limits {
        self.capped(Limits {
            deadline,
            max_rows: self.0.config.max_rows,
            max_bytes: self.0.config.max_bytes,
        })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), SqlError> {
        self.kernel().fetch_all("select 1", &[]).await.map(drop)
    }

    /// Makes sure that the plugin's tables have a place of their own: on PostgreSQL a schema and a role.
    pub async fn ensure_plugin(&self, plugin: &str) -> Result<(), SqlError> {
        let (mut lease, _) = self.kernel_writes().acquire().await?;
        lease.in_transaction = true;
        let outcome = lease
            .run(async |connection| connection.ensure_plugin(plugin).await)
            .await;
        match outcome {
            Ok(()) => lease.in_transaction = false,
            Err(_) => transaction::rollback(&mut lease).await,
        }
        outcome
    }

    /// Waits for what is running, then disconnects.
    pub async fn close(&self) {
        let pools = &self.0.pools;
        for pool in [
            &pools.plugin_reads,
            &pools.plugin_writes,
            &pools.kernel_reads,
            &pools.kernel_writes,
        ] {
            pool.close().await;
        }
    }

    fn capped(&self, limits: Limits) -> Limits {
        let config = &self.0.config;
        Limits {
            deadline: limits.deadline.min(Instant::now() + config.statement_timeout()),
            max_rows: limits.max_rows.min(config.max_rows),
            max_bytes: limits.max_bytes.min(config.max_bytes),
        }
    }

    fn config(&self) -> &SqlConfig {
        &self.0.config
    }

    fn texts(&self) -> &Texts {
        &self.0.texts
    }

    fn texts_shared(&self) -> Arc<Texts> {
        Arc::clone(&self.0.texts)
    }

    fn plugin_reads(&self) -> &Arc<Pool> {
        &self.0.pools.plugin_reads
    }

    fn plugin_writes(&self) -> &Arc<Pool> {
        &self.0.pools.plugin_writes
    }

    fn kernel_reads(&self) -> &Arc<Pool> {
        &self.0.pools.kernel_reads
    }

    fn kernel_writes(&self) -> &Arc<Pool> {
        &self.0.pools.kernel_writes
    }
}

async fn open_sqlite(config: &SqlConfig, path: PathBuf) -> Result<Pools, SqlError> {
    let wait = config.queue_wait();
    let writer = SqliteOptions {
        path: path.clone(),
        reads_only: false,
        connections: 1,
    };
    let writes = Pool::new(Opener::Sqlite(writer), 1, wait);
    // The writer makes the file that the readers open.
    drop(writes.acquire().await?);
    let connections = config.max_connections.max(1);
    let readers = SqliteOptions {
        path,
        reads_only: true,
        connections: connections as usize,
    };
    let reads = Pool::new(Opener::Sqlite(readers), connections, wait);
    Ok(Pools {
        plugin_reads: Arc::clone(&reads),
        plugin_writes: Arc::clone(&writes),
        kernel_reads: reads,
        kernel_writes: writes,
    })
}

async fn open_postgres(config: &SqlConfig, url: &str) -> Result<Pools, SqlError> {
    let wait = config.queue_wait();
    let options = PostgresOptions::kernel(config, url)?;
    let kernel = Pool::new(
        Opener::Postgres(Box::new(options.clone())),
        postgres::kernel_connections(config),
        wait,
    );
    let (mut lease, _) = kernel.acquire().await?;
    lease.in_transaction = true;
    lease.run(async |connection| connection.ensure_base().await).await?;
    lease.in_transaction = false;
    drop(lease);
    let plugins = options.plugins(config, &kernel);
    let plugins = Pool::new(Opener::Postgres(Box::new(plugins)), config.max_connections.max(1), wait);
    Ok(Pools {
        plugin_reads: Arc::clone(&plugins),
        plugin_writes: plugins,
        kernel_reads: Arc::clone(&kernel),
        kernel_writes: kernel,
    })
}
