//! SQLite: one file, many connections that read, exactly one that writes.

mod error;
mod wall;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous, SqliteValueRef,
};
use sqlx::{
    Arguments, AssertSqlSafe, ConnectOptions, Connection, Decode, Either, Executor, Row as _, SqlSafeStr, TypeInfo,
    ValueRef,
};

pub(super) use self::wall::Allowed;
use self::wall::Guard;
use super::access::Checked;
use super::border::{ColumnType, OutputColumn, Prepared};
use super::connection::PluginStatement;
use super::message::AnswerWriter;
use super::statement::KernelText;
use super::value::Time;
use super::{Answer, Row, SqlError, Value};

/// Another process (a second kernel on the same file, a backup) may hold the lock this long.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const CACHED_STATEMENTS: usize = 1_000;

#[derive(Clone)]
pub(super) struct SqliteOptions {
    pub path: PathBuf,
    pub reads_only: bool,
    pub connections: usize,
}

impl SqliteOptions {
    pub(super) async fn connect(&self) -> Result<SqliteConnection, SqlError> {
        let options = SqliteConnectOptions::new()
            .filename(&self.path)
            .read_only(self.reads_only)
            .create_if_missing(!self.reads_only)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Full)
            .pragma("case_sensitive_like", "on")
            .statement_cache_capacity(CACHED_STATEMENTS)
            .disable_statement_logging();
        let options = if self.reads_only {
            options
        } else {
            options.journal_mode(SqliteJournalMode::Wal)
        };
        let opened = async {
            let mut inner = options.connect().await?;
            let guard = Guard::install(&mut inner.lock_handle().await?);
            Ok(SqliteConnection {
                inner,
                guard,
                broken: false,
            })
        };
        opened.await.map_err(|error| error::translate(error, "kernel").0)
    }
}

pub(super) struct SqliteConnection {
    inner: sqlx::SqliteConnection,
    guard: Arc<Guard>,
    broken: bool,
}

impl SqliteConnection {
    pub(super) async fn control(&mut self, commands: &str) -> Result<(), SqlError> {
        self.guard.kernel();
        let outcome = sqlx::raw_sql(AssertSqlSafe(commands)).execute(&mut self.inner).await;
        outcome.map(drop).map_err(|error| self.failed(error, "kernel"))
    }

    pub(super) async fn kernel(&mut self, text: &KernelText, args: &[Value<'_>]) -> Result<(Vec<Row>, u64), SqlError> {
        self.guard.kernel();
        let query = sqlx::query_with(AssertSqlSafe(Arc::clone(&text.sqlite)), bind(args)?);
        let mut results = self.inner.fetch_many(query);
        let mut rows = Vec::new();
        let mut affected = 0;
        let outcome = loop {
            match results.try_next().await {
                Ok(Some(Either::Left(done))) => affected += done.rows_affected(),
                Ok(Some(Either::Right(row))) => rows.push(kernel_row(&row)?),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        drop(results);
        outcome.map_err(|error| self.failed(error, "kernel"))?;
        Ok((rows, affected))
    }

    pub(super) async fn plugin(&mut self, statement: PluginStatement<'_>) -> Result<Answer, SqlError> {
        let Checked::Sqlite { text, allowed } = statement.checked else {
            return Err(SqlError::Failed);
        };
        let prepared = statement.prepared;
        let mut arguments = SqliteArguments::default();
        for (position, (argument, kind)) in statement
            .arguments
            .into_iter()
            .zip(&prepared.argument_types)
            .enumerate()
        {
            let argument = argument
                .fit(*kind)
                .map_err(|problem| SqlError::Arguments(format!("argument ${} {problem}", position + 1)))?;
            add(&mut arguments, &argument)?;
        }
        add(&mut arguments, &Value::Int(statement.store))?;

        let limits = statement.limits;
        self.guard.plugin(allowed, limits.deadline.into_std());
        let mut results = self
            .inner
            .fetch_many(sqlx::query_with(AssertSqlSafe(Arc::clone(text)), arguments));
        let mut answer = AnswerWriter::new(&prepared.columns, limits.max_rows, limits.max_bytes);
        let mut affected = 0;
        let outcome = loop {
            match results.try_next().await {
                Ok(Some(Either::Left(done))) => affected += done.rows_affected(),
                Ok(Some(Either::Right(row))) => {
                    if let Err(error) = write_row(&mut answer, &row, &prepared.columns) {
                        break Err(Either::Left(error));
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(Either::Right(error)),
            }
        };
        drop(results);
        let outcome = match outcome {
            Ok(()) if prepared.columns.is_empty() => Ok(Answer::Affected(affected)),
            Ok(()) => Ok(Answer::Rows(answer.finish())),
            Err(Either::Left(stopped_here)) => {
                self.guard.interrupt();
                self.settle().await;
                Err(stopped_here)
            }
            Err(Either::Right(error)) => Err(self.failed(error, statement.plugin)),
        };
        self.guard.kernel();
        outcome
    }

    pub(super) async fn data_step(&mut self, plugin: &str, prepared: &Prepared, store: i64) -> Result<u64, SqlError> {
        self.guard
            .plugin_without_deadline(&Arc::new(Allowed::new(&prepared.tables)));
        let query = sqlx::query_with(AssertSqlSafe(prepared.sqlite.as_str()), bind(&[Value::Int(store)])?);
        let outcome = self.inner.execute(query.persistent(false)).await;
        self.guard.kernel();
        outcome
            .map(|done| done.rows_affected())
            .map_err(|error| self.failed(error, plugin))
    }

    /// Compiles a plugin's text behind the second wall and runs nothing.
    pub(super) async fn try_text(&mut self, plugin: &str, prepared: &Prepared) -> Result<(), SqlError> {
        self.guard
            .plugin_without_deadline(&Arc::new(Allowed::new(&prepared.tables)));
        let text = AssertSqlSafe(marked(plugin, prepared)).into_sql_str();
        let outcome = self.inner.prepare(text).await;
        self.guard.kernel();
        outcome.map(drop).map_err(|error| self.failed(error, plugin))
    }

    /// Waits until the worker has finished with everything it was given.
    async fn settle(&mut self) {
        if self.inner.lock_handle().await.is_err() {
            self.broken = true;
        }
    }

    pub(super) async fn in_transaction(&mut self) -> bool {
        match self.inner.lock_handle().await {
            // SAFETY: the handle is locked and open; the function only reads a flag.
            Ok(mut handle) => unsafe { libsqlite3_sys::sqlite3_get_autocommit(handle.as_raw_handle().as_ptr()) == 0 },
            Err(_) => {
                self.broken = true;
                false
            }
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    pub(super) async fn clean_up(mut self, in_flight: bool) -> Option<Self> {
        if in_flight {
            self.guard.interrupt();
        }
        if self.in_transaction().await && self.control("ROLLBACK").await.is_err() {
            return None;
        }
        self.guard.kernel();
        (!self.broken).then_some(self)
    }

    pub(super) async fn close(self) {
        if let Err(error) = self.inner.close().await {
            tracing::warn!(%error, "closing a SQLite connection failed");
        }
    }

    fn failed(&mut self, error: sqlx::Error, who: &str) -> SqlError {
        let (error, broken) = error::translate(error, who);
        self.broken |= broken;
        error
    }
}

/// The text behind a comment that names the plugin, so that no two plugins, nor a plugin and the kernel, ever share a
/// cached statement: SQLite asks the authorizer when it compiles, not when it runs.
pub(super) fn marked(plugin: &str, prepared: &Prepared) -> String {
    format!("/*{plugin}*/ {}", prepared.sqlite)
}

fn bind(args: &[Value<'_>]) -> Result<SqliteArguments, SqlError> {
    let mut arguments = SqliteArguments::default();
    for value in args {
        add(&mut arguments, value)?;
    }
    Ok(arguments)
}

fn add(arguments: &mut SqliteArguments, value: &Value<'_>) -> Result<(), SqlError> {
    let added = match value {
        Value::Null => arguments.add(None::<i64>),
        Value::Int(number) => arguments.add(*number),
        Value::Bool(flag) => arguments.add(i64::from(*flag)),
        Value::Double(number) => arguments.add(*number),
        Value::Text(text) => arguments.add(&**text),
        Value::Bytes(bytes) => arguments.add(&**bytes),
        Value::Time(micros) => match Time(*micros).text() {
            Some(text) => arguments.add(&*text),
            None => return Err(SqlError::Arguments("a time is outside of the years 1 to 9999".into())),
        },
    };
    added.map_err(|error| {
        tracing::error!(%error, "binding a value failed");
        SqlError::Failed
    })
}

/// What SQLite stores a value as; its own types are all there are.
#[derive(Clone, Copy, PartialEq)]
enum Storage {
    Null,
    Integer,
    Real,
    Text,
    Blob,
}

fn storage(value: &SqliteValueRef<'_>) -> Storage {
    if value.is_null() {
        return Storage::Null;
    }
    match value.type_info().name() {
        "INTEGER" => Storage::Integer,
        "REAL" => Storage::Real,
        "TEXT" => Storage::Text,
        _ => Storage::Blob,
    }
}

fn raw(row: &SqliteRow, column: usize) -> Result<SqliteValueRef<'_>, SqlError> {
    row.try_get_raw(column).map_err(|_| SqlError::Failed)
}

fn decode<'r, T: Decode<'r, sqlx::Sqlite>>(value: SqliteValueRef<'r>) -> Result<T, SqlError> {
    T::decode(value).map_err(|error| {
        tracing::warn!(%error, "a stored value cannot be read");
        SqlError::Failed
    })
}

fn write_row(answer: &mut AnswerWriter, row: &SqliteRow, columns: &[OutputColumn]) -> Result<(), SqlError> {
    answer.row(columns.len())?;
    for (position, column) in columns.iter().enumerate() {
        let value = raw(row, position)?;
        match storage(&value) {
            Storage::Null => answer.null(),
            Storage::Integer => {
                let number: i64 = decode(value)?;
                match column.kind {
                    Some(ColumnType::Boolean) => answer.bool(number != 0),
                    Some(ColumnType::Double) => answer.double(number as f64),
                    _ => answer.int(number),
                }
            }
            // Beyond eight bytes SQLite goes on with an approximation, where PostgreSQL fails.
            Storage::Real => match (column.kind, decode::<f64>(value)?) {
                (Some(ColumnType::Double) | None, number) if number.is_finite() => answer.double(number),
                (kind, number) => {
                    tracing::warn!(?kind, number, "a value is out of the range of its type");
                    return Err(SqlError::Failed);
                }
            },
            Storage::Text => {
                let text: &str = decode(value)?;
                answer.reserve(text.len())?;
                answer.text(text);
            }
            Storage::Blob => {
                let bytes: &[u8] = decode(value)?;
                answer.reserve(bytes.len())?;
                answer.bytes(bytes);
            }
        }
    }
    answer.reserve(0)
}

fn kernel_row(row: &SqliteRow) -> Result<Row, SqlError> {
    let mut values = Vec::with_capacity(row.len());
    for position in 0..row.len() {
        let value = raw(row, position)?;
        values.push(match storage(&value) {
            Storage::Null => Value::Null,
            Storage::Integer => Value::Int(decode(value)?),
            Storage::Real => Value::Double(decode(value)?),
            Storage::Text => Value::Text(decode::<String>(value)?.into()),
            Storage::Blob => Value::Bytes(decode::<Vec<u8>>(value)?.into()),
        });
    }
    Ok(Row(values.into_boxed_slice()))
}
