//! PostgreSQL.

mod error;
mod roles;
mod values;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{Stream, TryStreamExt};
use sqlx::postgres::{PgArguments, PgConnectOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Either, Executor, SqlSafeStr, Statement};

use self::roles::{Roles, Within};
pub(super) use self::values::Kind;
use super::access::{Checked, PluginAccess};
use super::border::Prepared;
use super::connection::{PluginStatement, Rights};
use super::message::AnswerWriter;
use super::pool::Pool;
use super::statement::KernelText;
use super::{Answer, Row, SqlConfig, SqlError, Value};

/// Nine plugins and the kernel have more statements than sqlx's default keeps.
const CACHED_STATEMENTS: usize = 1_000;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After an answer grew too large, the rest is read and thrown away for at most this long.
const DRAIN: Duration = Duration::from_millis(500);

/// How to connect, and as whom.
#[derive(Clone)]
pub(super) struct PostgresOptions {
    connect: PgConnectOptions,
    roles: Roles,
    /// Whose rights a new connection has.
    rights: Rights,
    pub connections: usize,
    /// Where a backend is ended whose caller has gone; none for the kernel's own pool.
    ends_backends: Option<Arc<Pool>>,
}

impl PostgresOptions {
    pub(super) fn kernel(config: &SqlConfig, url: &str) -> Result<Self, SqlError> {
        let connect: PgConnectOptions = url.parse().map_err(|error| {
            // The error's text may repeat the URL with its password.
            tracing::debug!(%error, "parsing the database URL failed");
            SqlError::Refused("the database URL is not one that PostgreSQL understands".into())
        })?;
        let database = connect.get_database().unwrap_or(connect.get_username()).to_owned();
        let milliseconds = |value: u64| format!("{value}ms");
        let connect = connect
            .application_name("commerce")
            .statement_cache_capacity(CACHED_STATEMENTS)
            .disable_statement_logging()
            .options([
                ("search_path", String::new()),
                // Whatever the server's or the database's own settings say: what was printed must mean there what it means here.
                ("standard_conforming_strings", "on".into()),
                ("transform_null_equals", "off".into()),
                ("default_transaction_isolation", "read committed".into()),
                ("timezone", "UTC".into()),
                ("synchronous_commit", "on".into()),
                // Compiling a plan takes longer than running any statement that may finish within its deadline.
                ("jit", "off".into()),
                ("statement_timeout", milliseconds(config.statement_timeout_ms)),
                ("lock_timeout", milliseconds(config.lock_timeout_ms)),
                (
                    "idle_in_transaction_session_timeout",
                    milliseconds(config.transaction_max_age_ms),
                ),
            ]);
        Ok(Self {
            connect,
            roles: Roles::of_database(&database),
            rights: Rights::Kernel,
            connections: kernel_connections(config) as usize,
            ends_backends: None,
        })
    }

    pub(super) fn plugins(&self, config: &SqlConfig, kernel: &Arc<Pool>) -> Self {
        Self {
            connect: self.connect.clone().options([("role", self.roles.plugins())]),
            roles: self.roles.clone(),
            rights: Rights::Plugins,
            connections: config.max_connections.max(1) as usize,
            ends_backends: Some(Arc::clone(kernel)),
        }
    }

    pub(super) async fn connect(&self) -> Result<PostgresConnection, SqlError> {
        let opened = async {
            let mut inner = self.connect.connect().await?;
            let backend: i32 = sqlx::query_scalar("select pg_catalog.pg_backend_pid()")
                .fetch_one(&mut inner)
                .await?;
            Ok(PostgresConnection {
                inner,
                backend,
                roles: self.roles.clone(),
                rights: self.rights,
                opened_at: Instant::now(),
                broken: false,
                abandoned: false,
                ends_backends: self.ends_backends.clone(),
            })
        };
        match tokio::time::timeout(CONNECT_TIMEOUT, opened).await {
            Ok(opened) => opened.map_err(|error| error::translate(error, "kernel").0),
            Err(_elapsed) => Err(SqlError::unavailable()),
        }
    }
}

pub(super) fn kernel_connections(config: &SqlConfig) -> u32 {
    (config.max_connections / 4).max(4)
}

pub(super) struct PostgresConnection {
    inner: sqlx::PgConnection,
    /// The server process behind it.
    backend: i32,
    roles: Roles,
    /// Between transactions: what the pool it belongs to is for.
    rights: Rights,
    pub opened_at: Instant,
    broken: bool,
    /// Its statement ran out of time and may still be running over there.
    abandoned: bool,
    ends_backends: Option<Arc<Pool>>,
}

impl PostgresConnection {
    pub(super) async fn control(&mut self, commands: &str) -> Result<(), SqlError> {
        let outcome = sqlx::raw_sql(AssertSqlSafe(commands)).execute(&mut self.inner).await;
        outcome.map(drop).map_err(|error| self.failed(error, "kernel"))
    }

    /// The command that gives the rest of the open transaction these rights.
    pub(super) fn switch(&self, rights: Rights) -> String {
        match rights {
            Rights::Kernel => "set local role none".into(),
            Rights::Plugins => format!("set local role \"{}\"", self.roles.plugins()),
        }
    }

    pub(super) fn usual_rights(&self) -> Rights {
        self.rights
    }

    pub(super) async fn kernel(&mut self, text: &KernelText, args: &[Value<'_>]) -> Result<(Vec<Row>, u64), SqlError> {
        let kinds = match text.parameters.get() {
            Some(kinds) => kinds,
            None => {
                let kinds = self.infer(&text.postgres).await?;
                text.parameters.get_or_init(|| kinds)
            }
        };
        let arguments = values::bind(args.iter().cloned(), kinds)?;
        self.fetch(Arc::clone(&text.postgres), arguments, true).await
    }

    async fn infer(&mut self, text: &Arc<str>) -> Result<Box<[Kind]>, SqlError> {
        let prepared = self.inner.prepare(AssertSqlSafe(Arc::clone(text)).into_sql_str()).await;
        let statement = prepared.map_err(|error| self.failed(error, "kernel"))?;
        Ok(match statement.parameters() {
            Some(Either::Left(types)) => types.iter().map(Kind::of).collect(),
            _ => Box::default(),
        })
    }

    async fn fetch(
        &mut self,
        text: Arc<str>,
        arguments: PgArguments,
        persistent: bool,
    ) -> Result<(Vec<Row>, u64), SqlError> {
        let query = sqlx::query_with(AssertSqlSafe(text), arguments).persistent(persistent);
        let mut results = self.inner.fetch_many(query);
        let (mut rows, mut kinds, mut affected) = (Vec::new(), Vec::new(), 0);
        let outcome = loop {
            match results.try_next().await {
                Ok(Some(Either::Left(done))) => affected += done.rows_affected(),
                Ok(Some(Either::Right(row))) => {
                    if rows.is_empty() {
                        kinds = values::kinds(&row);
                    }
                    rows.push(values::kernel_row(&row, &kinds)?);
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        drop(results);
        outcome.map_err(|error| self.failed(error, "kernel"))?;
        Ok((rows, affected))
    }

    /// A question to the catalog; every argument is text.
    async fn simple(&mut self, text: &'static str, args: &[Value<'_>]) -> Result<Vec<Row>, SqlError> {
        let kinds = vec![Kind::Text; args.len()];
        let arguments = values::bind(args.iter().cloned(), &kinds)?;
        Ok(self.fetch(text.into(), arguments, false).await?.0)
    }

    /// One command without arguments, sent so that it cannot hide a second one.
    async fn run_once(&mut self, text: &str) -> Result<(), SqlError> {
        self.fetch(text.into(), PgArguments::default(), false).await.map(drop)
    }

    pub(super) async fn plugin(&mut self, statement: PluginStatement<'_>) -> Result<Answer, SqlError> {
        let Checked::Postgres { text, parameters } = statement.checked else {
            return Err(SqlError::Failed);
        };
        let prepared = statement.prepared;
        let mut arguments = statement.arguments;
        // A text without any table names no store.
        if parameters.len() > prepared.arguments {
            arguments.push(Value::Int(statement.store));
        }
        let arguments = values::bind(arguments.into_iter(), parameters)?;

        let limits = statement.limits;
        let mut answer = AnswerWriter::new(&prepared.columns, limits.max_rows, limits.max_bytes);
        let mut affected = 0;
        let mut unread = false;
        let streaming = async {
            let mut results = self
                .inner
                .fetch_many(sqlx::query_with(AssertSqlSafe(Arc::clone(text)), arguments));
            let mut kinds = Vec::new();
            while let Some(result) = results.try_next().await.map_err(Either::Right)? {
                give_way().await;
                match result {
                    Either::Left(done) => affected += done.rows_affected(),
                    Either::Right(row) => {
                        if kinds.is_empty() {
                            kinds = values::kinds(&row);
                        }
                        if let Err(stopped_here) = values::write_row(&mut answer, &row, &kinds) {
                            // So that the transaction around it can go on if its owner wants to.
                            unread = tokio::time::timeout(DRAIN, discard(results)).await.is_err();
                            return Err(Either::Left(stopped_here));
                        }
                    }
                }
            }
            Ok(())
        };
        match tokio::time::timeout_at(limits.deadline, streaming).await {
            Ok(Ok(())) if prepared.columns.is_empty() => Ok(Answer::Affected(affected)),
            Ok(Ok(())) => Ok(Answer::Rows(answer.finish())),
            Ok(Err(Either::Right(error))) => Err(self.failed(error, statement.plugin)),
            Ok(Err(Either::Left(stopped_here))) => {
                self.abandoned = unread;
                Err(stopped_here)
            }
            Err(_elapsed) => {
                self.abandoned = true;
                Err(SqlError::Timeout)
            }
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// What it was told to do may still be going on in the server.
    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned
    }

    pub(super) async fn is_alive(&mut self) -> bool {
        matches!(
            tokio::time::timeout(CONNECT_TIMEOUT, self.inner.ping()).await,
            Ok(Ok(()))
        )
    }

    pub(super) async fn clean_up(mut self, in_flight: bool) -> Option<Self> {
        if in_flight {
            self.end_backend().await;
            return None;
        }
        let rolled_back = tokio::time::timeout(CONNECT_TIMEOUT, self.control("rollback")).await;
        matches!(rolled_back, Ok(Ok(())))
            .then_some(self)
            .filter(|connection| !connection.broken)
    }

    /// Ends the server process while the socket is still open, so that its number can't have been given to another.
    async fn end_backend(&self) {
        let Some(pool) = &self.ends_backends else {
            return;
        };
        let backend = self.backend;
        let ended = async {
            let (mut lease, _) = pool.acquire().await?;
            lease
                .run(async |connection| {
                    connection
                        .control(&format!("select pg_catalog.pg_terminate_backend({backend})"))
                        .await
                })
                .await
        };
        if let Err(error) = ended.await {
            tracing::warn!(backend, %error, "a statement that outlived its call was left to the server's own timeout");
        }
    }

    pub(super) async fn close(self) {
        if let Err(error) = self.inner.close().await {
            tracing::debug!(%error, "closing a PostgreSQL connection failed");
        }
    }

    pub(super) async fn ensure_base(&mut self) -> Result<(), SqlError> {
        let roles = self.roles.clone();
        roles.ensure_base(self).await
    }

    pub(super) async fn ensure_plugin(&mut self, plugin: &str) -> Result<(), SqlError> {
        let roles = self.roles.clone();
        roles.ensure_plugin(self, plugin).await
    }

    /// Runs as the plugin's own role, so that the server itself checks what the text touches.
    pub(super) async fn data_step(&mut self, plugin: &str, prepared: &Prepared, store: i64) -> Result<u64, SqlError> {
        self.control(&self.roles.assume(plugin)).await?;
        let arguments = values::bind([Value::Int(store)].into_iter(), &[Kind::Int8])?;
        let (_, changed) = self.fetch(prepared.postgres.as_str().into(), arguments, false).await?;
        let back = self.switch(Rights::Kernel);
        self.control(&back).await?;
        Ok(changed)
    }

    /// Gives the roles their rights on what a migration has made, if it has not just dropped the plugin's schema.
    pub(super) async fn grant(&mut self, plugin: &str) -> Result<(), SqlError> {
        let text = "select 1 from pg_catalog.pg_namespace where nspname = $1";
        if self.simple(text, &[Value::from(plugin)]).await?.is_empty() {
            return Ok(());
        }
        let grants = self.roles.grants(plugin);
        self.control(&grants).await
    }

    pub(super) async fn check(&mut self, access: &PluginAccess, prepared: &Prepared) -> Result<Checked, SqlError> {
        let roles = self.roles.clone();
        let parameters = roles.check(self, Within::ItsOwn, access.plugin(), prepared).await?;
        Ok(Checked::Postgres {
            text: prepared.postgres.as_str().into(),
            parameters,
        })
    }

    /// As [`check`](Self::check), for what it answers alone and in the open transaction.
    pub(super) async fn try_text(&mut self, plugin: &str, prepared: &Prepared) -> Result<(), SqlError> {
        let roles = self.roles.clone();
        roles.check(self, Within::TheOpenOne, plugin, prepared).await.map(drop)
    }

    fn failed(&mut self, error: sqlx::Error, who: &str) -> SqlError {
        let (error, broken) = error::translate(error, who);
        self.broken |= broken;
        error
    }
}

/// Lets other calls, and this one's own deadline, have the thread now and then: the driver does not, as long as the server
/// sends faster than it reads.
async fn give_way() {
    tokio::task::coop::consume_budget().await;
}

/// Reads the rest of an answer and throws it away.
async fn discard<T>(mut results: impl Stream<Item = Result<T, sqlx::Error>> + Unpin) {
    while let Ok(Some(_)) = results.try_next().await {
        give_way().await;
    }
}
