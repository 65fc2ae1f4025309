//! One connection of either engine. Everything that differs between the engines is behind these few operations.

use std::time::{Duration, Instant};

use super::access::{Checked, PluginAccess};
use super::border::Prepared;
use super::postgres::PostgresConnection;
use super::sqlite::SqliteConnection;
use super::statement::KernelText;
use super::{Answer, Limits, Row, SqlError, Value};

pub(super) enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PostgresConnection),
}

/// Whose rights a PostgreSQL connection has at the moment. On SQLite every statement carries its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rights {
    Plugins,
    Kernel,
}

/// A plugin's statement with everything it needs to run.
pub(super) struct PluginStatement<'a> {
    pub plugin: &'a str,
    pub prepared: &'a Prepared,
    pub checked: &'a Checked,
    /// The plugin's arguments; the store's number is not among them.
    pub arguments: Vec<Value<'a>>,
    pub store: i64,
    pub limits: Limits,
}

impl Connection {
    /// BEGIN, COMMIT, SAVEPOINT …: several commands may be joined by `;` and cost one round trip.
    pub(super) async fn control(&mut self, commands: &str) -> Result<(), SqlError> {
        match self {
            Self::Sqlite(connection) => connection.control(commands).await,
            Self::Postgres(connection) => connection.control(commands).await,
        }
    }

    pub(super) async fn kernel(&mut self, text: &KernelText, args: &[Value<'_>]) -> Result<(Vec<Row>, u64), SqlError> {
        match self {
            Self::Sqlite(connection) => connection.kernel(text, args).await,
            Self::Postgres(connection) => connection.kernel(text, args).await,
        }
    }

    pub(super) async fn plugin(&mut self, statement: PluginStatement<'_>) -> Result<Answer, SqlError> {
        match self {
            Self::Sqlite(connection) => connection.plugin(statement).await,
            Self::Postgres(connection) => connection.plugin(statement).await,
        }
    }

    /// The second wall's verdict on a text that SQLite would only give while compiling it.
    pub(super) async fn check(&mut self, access: &PluginAccess, prepared: &Prepared) -> Result<Checked, SqlError> {
        match self {
            Self::Sqlite(_) => Ok(access.check_sqlite(prepared)),
            Self::Postgres(connection) => connection.check(access, prepared).await,
        }
    }

    /// The second wall's verdict on a text, on the tables as the open transaction has made them.
    pub(super) async fn try_text(&mut self, plugin: &str, prepared: &Prepared) -> Result<(), SqlError> {
        match self {
            Self::Sqlite(connection) => connection.try_text(plugin, prepared).await,
            Self::Postgres(connection) => connection.try_text(plugin, prepared).await,
        }
    }

    pub(super) async fn ensure_plugin(&mut self, plugin: &str) -> Result<(), SqlError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(connection) => connection.ensure_plugin(plugin).await,
        }
    }

    /// DDL of a plugin's migration, in the open transaction.
    pub(super) async fn schema_step(
        &mut self,
        plugin: &str,
        postgres: &[String],
        sqlite: &[String],
    ) -> Result<(), SqlError> {
        match self {
            Self::Sqlite(connection) => connection.control(&sqlite.join("; ")).await,
            Self::Postgres(connection) => {
                connection.control(&postgres.join("; ")).await?;
                connection.grant(plugin).await
            }
        }
    }

    /// A statement of a plugin's without arguments, for one store, in the open transaction and behind the second wall.
    /// Answers how many rows it changed.
    pub(super) async fn data_step(&mut self, plugin: &str, prepared: &Prepared, store: i64) -> Result<u64, SqlError> {
        match self {
            Self::Sqlite(connection) => connection.data_step(plugin, prepared, store).await,
            Self::Postgres(connection) => connection.data_step(plugin, prepared, store).await,
        }
    }

    /// The kernel's schema, and the role of all plugins.
    pub(super) async fn ensure_base(&mut self) -> Result<(), SqlError> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(connection) => connection.ensure_base().await,
        }
    }

    /// Whether the engine still has the transaction open that was begun here. SQLite ends one by itself when a write in
    /// it is interrupted or the disk is full.
    pub(super) async fn transaction_survives(&mut self) -> bool {
        match self {
            Self::Sqlite(connection) => connection.in_transaction().await,
            Self::Postgres(connection) => !connection.is_broken(),
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        match self {
            Self::Sqlite(connection) => connection.is_broken(),
            Self::Postgres(connection) => connection.is_broken(),
        }
    }

    /// A statement was given up here that the server may still be running.
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(connection) => connection.is_abandoned(),
        }
    }

    /// Whose rights hold outside of a transaction.
    pub(super) fn usual_rights(&self) -> Option<Rights> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(connection) => Some(connection.usual_rights()),
        }
    }

    /// The command that gives the rest of the transaction these rights, where the engine needs one.
    pub(super) fn switch(&self, rights: Rights) -> Option<String> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(connection) => Some(connection.switch(rights)),
        }
    }

    pub(super) fn age(&self) -> Duration {
        match self {
            Self::Sqlite(_) => Duration::ZERO,
            Self::Postgres(connection) => Instant::now() - connection.opened_at,
        }
    }

    pub(super) async fn is_alive(&mut self) -> bool {
        match self {
            Self::Sqlite(_) => true,
            Self::Postgres(connection) => connection.is_alive().await,
        }
    }

    /// Ends what was going on when its caller vanished. None: the connection had to be closed.
    pub(super) async fn clean_up(self, in_flight: bool) -> Option<Self> {
        match self {
            Self::Sqlite(connection) => connection.clean_up(in_flight).await.map(Self::Sqlite),
            Self::Postgres(connection) => connection.clean_up(in_flight).await.map(Self::Postgres),
        }
    }

    pub(super) async fn close(self) {
        match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::Postgres(connection) => connection.close().await,
        }
    }
}
