//! The kernel's own tables, and the application of plugins' migrations.
//!
//! Both run in one transaction with the row that records them, one migrator at a time: what is recorded has happened,
//! what has happened is recorded.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::border::{Prepared, Step};
use super::connection::Connection;
use super::pool::Lease;
use super::statement::KernelStatement;
use super::{Engine, Sql, SqlError, Time, Value, transaction, translate};

/// In order. A file that has been released never changes again: what comes after it is a new file.
const MIGRATIONS: [(&str, &str); 3] = [
    ("0001_stores", include_str!("../../../../migrations/0001_stores.sql")),
    ("0002_plugins", include_str!("../../../../migrations/0002_plugins.sql")),
    ("0003_work", include_str!("../../../../migrations/0003_work.sql")),
];

const RECORD: &str = "create table if not exists kernel.migrations (\
    name text not null primary key, checksum text not null, applied_at timestamptz not null)";

/// A table's lock may be held by a long read: wait briefly, let others pass, try again.
const TRIES: u32 = 5;

#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error("the database has migration {0}, which this version does not know: it was made by a newer one")]
    TooNew(String),
    #[error("migration {0} is recorded with another text: it was changed after it was released")]
    Changed(String),
    #[error("migration {name} failed")]
    Failed { name: String, source: SqlError },
    /// One of the plugin's texts, counted from 0.
    #[error("the database refuses a statement that the kernel had accepted: {source}; its log says why")]
    Statement { position: usize, source: SqlError },
    #[error(transparent)]
    Database(#[from] SqlError),
}

/// One migration of the kernel and whether it has run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    pub name: &'static str,
    pub applied_at: Option<Time>,
    /// The text as this engine runs it.
    pub text: String,
}

/// One file of a plugin, as the border planned it.
#[derive(Clone, Debug)]
pub struct PluginMigration {
    pub file: String,
    pub checksum: String,
    pub steps: Vec<Step>,
}

impl Sql {
    /// Every migration this version knows, and when it ran.
    pub async fn migrations(&self) -> Result<Vec<Migration>, MigrateError> {
        let mut lease = self.migrator().await?;
        let recorded = recorded(self, &mut lease).await;
        transaction::rollback(&mut lease).await;
        let recorded = recorded?;
        Ok(MIGRATIONS
            .into_iter()
            .enumerate()
            .map(|(position, (name, text))| Migration {
                name,
                applied_at: recorded.get(position).copied(),
                text: self.in_own_words(text),
            })
            .collect())
    }

    /// Runs what has not run yet and answers its names.
    pub async fn migrate(&self) -> Result<Vec<&'static str>, MigrateError> {
        let mut lease = self.migrator().await?;
        let outcome = self.migrate_in(&mut lease).await;
        match outcome {
            Ok(applied) => {
                transaction::commit(&mut lease).await?;
                Ok(applied)
            }
            Err(error) => {
                transaction::rollback(&mut lease).await;
                Err(error)
            }
        }
    }

    async fn migrate_in(&self, lease: &mut Lease) -> Result<Vec<&'static str>, MigrateError> {
        let recorded = recorded(self, lease).await?;
        let mut applied = Vec::new();
        for (name, text) in MIGRATIONS.into_iter().skip(recorded.len()) {
            let commands = self.in_own_words(text);
            lease
                .run(async |connection| connection.control(&commands).await)
                .await
                .map_err(|source| MigrateError::Failed {
                    name: name.into(),
                    source,
                })?;
            let record = KernelStatement::new(
                "insert into kernel.migrations (name, checksum, applied_at) values ($1, $2, $3)",
                [name.into(), checksum(text).into(), Time::now().into()],
            );
            transaction::run_all(lease, self.texts(), &[record], &mut Vec::new()).await?;
            applied.push(name);
        }
        Ok(applied)
    }

    /// Runs the files of a plugin that have not run yet, then `record` (the new version's rows), all in one transaction.
    /// Data steps run for each of `stores`.
    pub async fn apply_plugin_migrations(
        &self,
        plugin: &str,
        migrations: &[PluginMigration],
        stores: &[i64],
        record: &[KernelStatement],
    ) -> Result<(), MigrateError> {
        self.switch_plugin(plugin, migrations, stores, &[], record).await
    }

    /// As [`apply_plugin_migrations`](Self::apply_plugin_migrations), where the database's own wall accepts each of the
    /// texts on the tables that the migrations leave: what it would not run is found here, and not by a customer.
    pub async fn switch_plugin(
        &self,
        plugin: &str,
        migrations: &[PluginMigration],
        stores: &[i64],
        texts: &[Prepared],
        record: &[KernelStatement],
    ) -> Result<(), MigrateError> {
        self.ensure_plugin(plugin).await?;
        let mut tried = 0;
        loop {
            tried += 1;
            match self
                .try_plugin_migrations(plugin, migrations, stores, texts, record)
                .await
            {
                Err(MigrateError::Failed {
                    source: SqlError::Unavailable { .. },
                    name,
                }) if tried < TRIES => {
                    tracing::info!(plugin, file = name, tried, "a migration waits for a lock");
                    tokio::time::sleep(Duration::from_millis(100 << tried)).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn try_plugin_migrations(
        &self,
        plugin: &str,
        migrations: &[PluginMigration],
        stores: &[i64],
        texts: &[Prepared],
        record: &[KernelStatement],
    ) -> Result<(), MigrateError> {
        let mut lease = self.migrator().await?;
        let outcome = async {
            let stores = with_recorded(self, &mut lease, stores).await?;
            for migration in migrations {
                if is_applied(self, &mut lease, plugin, migration).await? {
                    continue;
                }
                run_steps(&mut lease, plugin, &migration.steps, &stores)
                    .await
                    .map_err(|source| MigrateError::Failed {
                        name: migration.file.clone(),
                        source,
                    })?;
                let applied = KernelStatement::new(
                    "insert into kernel.plugin_migrations (plugin, file, checksum, applied_at) values ($1, $2, $3, $4)",
                    [
                        Value::from(plugin.to_owned()),
                        migration.file.clone().into(),
                        migration.checksum.clone().into(),
                        Time::now().into(),
                    ],
                );
                transaction::run_all(&mut lease, self.texts(), &[applied], &mut Vec::new()).await?;
            }
            for (position, prepared) in texts.iter().enumerate() {
                lease
                    .run(async |connection| connection.try_text(plugin, prepared).await)
                    .await
                    .map_err(|source| MigrateError::Statement { position, source })?;
            }
            transaction::run_all(&mut lease, self.texts(), record, &mut Vec::new()).await?;
            Ok(())
        };
        match outcome.await {
            Ok(()) => Ok(transaction::commit(&mut lease).await?),
            Err(error) => {
                transaction::rollback(&mut lease).await;
                Err(error)
            }
        }
    }

    /// For a new store: `record` (its own row …), then these data steps of each plugin, those marked `-- each store`.
    pub async fn apply_store_data(
        &self,
        store: i64,
        steps: &[(String, Vec<Step>)],
        record: &[KernelStatement],
    ) -> Result<(), MigrateError> {
        let mut lease = self.migrator().await?;
        let outcome = async {
            // First the store's own row, which the data may refer to.
            transaction::run_all(&mut lease, self.texts(), record, &mut Vec::new()).await?;
            for (plugin, steps) in steps {
                run_steps(&mut lease, plugin, steps, &[store])
                    .await
                    .map_err(|source| MigrateError::Failed {
                        name: plugin.clone(),
                        source,
                    })?;
            }
            Ok(())
        };
        match outcome.await {
            Ok(()) => Ok(transaction::commit(&mut lease).await?),
            Err(error) => {
                transaction::rollback(&mut lease).await;
                Err(error)
            }
        }
    }

    /// Removes a store's rows from one table: in a transaction of its own, and for as long as it takes, which may be longer
    /// than any plugin's statement is given.
    pub async fn clear_table(&self, plugin: &str, delete: &Prepared, store: i64) -> Result<u64, SqlError> {
        let mut lease = self.migrator().await?;
        let outcome = lease
            .run(async |connection| connection.data_step(plugin, delete, store).await)
            .await;
        match outcome {
            Ok(removed) => transaction::commit(&mut lease).await.map(|()| removed),
            Err(error) => {
                transaction::rollback(&mut lease).await;
                Err(error)
            }
        }
    }

    /// A transaction that excludes every other migrator, of this kernel or another.
    async fn migrator(&self) -> Result<Lease, SqlError> {
        let (mut lease, _) = transaction::begin(self.kernel_writes()).await?;
        let prepared = lease
            .run(async |connection| match connection {
                // BEGIN IMMEDIATE already excludes everybody. Rows may refer to what a later step brings back.
                Connection::Sqlite(_) => connection.control("pragma defer_foreign_keys = on").await,
                // "migrates" in hexadecimal. DDL that waits for a lock makes everybody behind it wait as well.
                Connection::Postgres(_) => {
                    connection
                        .control(
                            "set local statement_timeout = 0; set local lock_timeout = 0; \
                             select pg_catalog.pg_advisory_xact_lock(7883955415951533427); \
                             set local lock_timeout = '2s'",
                        )
                        .await
                }
            })
            .await;
        match prepared {
            Ok(()) => Ok(lease),
            Err(error) => {
                transaction::rollback(&mut lease).await;
                Err(error)
            }
        }
    }

    fn in_own_words(&self, text: &str) -> String {
        match self.engine() {
            Engine::Sqlite => translate::schema(text),
            Engine::Postgres => text.to_owned(),
        }
    }
}

/// When each migration of this database ran, in the order of [`MIGRATIONS`].
async fn recorded(sql: &Sql, lease: &mut Lease) -> Result<Vec<Time>, MigrateError> {
    let create = sql.in_own_words(RECORD);
    let text = sql
        .texts()
        .single("select name, checksum, applied_at from kernel.migrations order by name")?;
    let (rows, _) = lease
        .run(async |connection| {
            connection.control(&create).await?;
            connection.kernel(&text, &[]).await
        })
        .await?;
    let mut times = Vec::with_capacity(rows.len());
    for (position, row) in rows.iter().enumerate() {
        let name: String = row.get(0)?;
        match MIGRATIONS.get(position) {
            Some((known, text)) if *known == name => {
                if row.get::<String>(1)? != checksum(text) {
                    return Err(MigrateError::Changed(name));
                }
                times.push(row.get(2)?);
            }
            _ => return Err(MigrateError::TooNew(name)),
        }
    }
    Ok(times)
}

/// These stores and those that another node has made meanwhile, which nobody else would give the data to.
async fn with_recorded(sql: &Sql, lease: &mut Lease, known: &[i64]) -> Result<Vec<i64>, SqlError> {
    let text = sql.texts().single("select number from kernel.stores order by number")?;
    let (rows, _) = lease
        .run(async |connection| connection.kernel(&text, &[]).await)
        .await?;
    let mut stores = known.to_vec();
    for row in &rows {
        let number = row.get(0)?;
        if !stores.contains(&number) {
            stores.push(number);
        }
    }
    Ok(stores)
}

async fn is_applied(
    sql: &Sql,
    lease: &mut Lease,
    plugin: &str,
    migration: &PluginMigration,
) -> Result<bool, MigrateError> {
    let text = sql
        .texts()
        .single("select checksum from kernel.plugin_migrations where plugin = $1 and file = $2")?;
    let args = [Value::from(plugin), Value::from(&migration.file)];
    let (rows, _) = lease
        .run(async |connection| connection.kernel(&text, &args).await)
        .await?;
    match rows.first().map(|row| row.get::<String>(0)).transpose()? {
        None => Ok(false),
        Some(checksum) if checksum == migration.checksum => Ok(true),
        Some(_) => Err(MigrateError::Changed(migration.file.clone())),
    }
}

async fn run_steps(lease: &mut Lease, plugin: &str, steps: &[Step], stores: &[i64]) -> Result<(), SqlError> {
    for step in steps {
        lease
            .run(async |connection| match step {
                Step::Ddl { postgres, sqlite, .. } => connection.schema_step(plugin, postgres, sqlite).await,
                Step::Data { prepared, .. } => {
                    for store in stores {
                        connection.data_step(plugin, prepared, *store).await?;
                    }
                    Ok(())
                }
            })
            .await?;
    }
    Ok(())
}

fn checksum(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
