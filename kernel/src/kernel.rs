//! [`Kernel`]: every running part in one struct, in the order in which they start and, backwards, stop.

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::auth::{self, Auth};
use crate::config::Config;
use crate::control::{DataDirLock, Operator, Server};
use crate::events::{Events, PurgeRule, Runner};
use crate::http::response_cache::ResponseCache;
use crate::http::{self, Http};
use crate::plugins::{self, Plugins};
use crate::secrets::{MasterKey, Secrets};
use crate::storage::sql::{Engine, Sql, SqlError};
use crate::stores::Stores;
use crate::telemetry::{self, Metrics};
use crate::versions::Versions;

/// How long a change in the background may take to end before it is given up to another node, or to the next start.
const GRACE: Duration = Duration::from_secs(10);

/// The parts of one kernel. Opening it serves nothing and starts nothing in the background that changes data.
pub struct Kernel {
    pub config: Config,
    pub sql: Sql,
    pub stores: Arc<Stores>,
    pub auth: Auth,
    pub secrets: Arc<Secrets>,
    pub plugins: Plugins,
    pub events: Events,
    pub cache: Arc<ResponseCache>,
    pub metrics: Metrics,
    /// What other nodes change is followed as long as this lives.
    _versions: Versions,
    /// One process at a time changes what a data folder holds.
    _lock: DataDirLock,
}

impl Kernel {
    /// Opens everything on a database that is at this version; see [`migrate`].
    pub async fn open(config: Config) -> anyhow::Result<Arc<Self>> {
        let lock = own(&config)?;
        let sql = open_sql(&config).await?;
        let migrations = sql.migrations().await?;
        let waiting = migrations.iter().filter(|known| known.applied_at.is_none()).count();
        let embedded = sql.engine() == Engine::Sqlite;
        if embedded && waiting == migrations.len() {
            // A new data folder: there is nothing that a migration could do harm to.
            sql.migrate().await?;
        } else {
            ensure!(
                waiting == 0,
                "the database lacks {waiting} migrations of this version; run `commerce migrate up`"
            );
        }
        // Made only where nothing was sealed yet: a second node that made its own could read nothing of the first's.
        let nothing_sealed = auth::a_sealed_key(&sql).await?.is_none();
        let master = MasterKey::obtain(config.master_key.as_ref(), &config.data_dir, nothing_sealed)?;
        let metrics = Metrics::new()?;
        let versions = Versions::start(sql.clone()).await?;
        let stores = Stores::open(sql.clone(), &versions).await?;
        let auth = Auth::open(sql.clone(), config.auth.clone(), master.clone(), &versions).await?;
        let secrets = Secrets::open(sql.clone(), master, &versions).await?;
        let events = Events::new(sql.clone(), config.events.clone(), metrics.registry())?;
        // What no invalidation from another node reaches is not kept longer than that node's change may go unseen.
        let longest = (!embedded).then_some(Duration::from_secs(2));
        let cache = Arc::new(ResponseCache::new(config.http.cache_mib, longest));
        let parts = plugins::Parts {
            sql: sql.clone(),
            config: config.plugins.clone(),
            stores: stores.clone(),
            secrets: secrets.clone(),
            outbox: Arc::new(events.clone()),
            tags: cache.clone(),
        };
        let plugins = Plugins::open(parts, &config.data_dir, &versions, metrics.registry()).await?;
        // A database that was restored or copied under another name has none of its roles and grants yet.
        for plugin in plugins.installed().plugins() {
            sql.ensure_plugin(&plugin.name).await?;
        }
        Ok(Arc::new(Self {
            config,
            sql,
            stores,
            auth,
            secrets,
            plugins,
            events,
            cache,
            metrics,
            _versions: versions,
            _lock: lock,
        }))
    }

    /// Begins to deliver events, run jobs and clear away what has expired.
    fn start_background(&self) -> Runner {
        let hours = u64::from(self.config.http.idempotency_hours);
        let mut rules = auth::purge_rules(&self.config.auth);
        rules.push(PurgeRule {
            table: "idempotency",
            text: "delete from kernel.idempotency where (store, caller, method, path, key) in (
                       select store, caller, method, path, key from kernel.idempotency where created_at < $1 limit $2)",
            keep: Duration::from_secs(hours * 3600),
        });
        self.events.start_with(&self.plugins, &self.stores, rules)
    }

    fn http(&self) -> anyhow::Result<Arc<Http>> {
        let parts = http::Parts {
            config: self.config.http.clone(),
            limits: self.config.rate_limits.clone(),
            default_store: self.config.stores.default.clone(),
            sql: self.sql.clone(),
            stores: self.stores.clone(),
            auth: self.auth.clone(),
            plugins: self.plugins.clone(),
            cache: self.cache.clone(),
            metrics: self.metrics.clone(),
        };
        Ok(Http::new(parts)?)
    }
}

/// Opens the kernel, serves until SIGTERM or SIGINT, drains and stops. The log must have been started.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    let kernel = Kernel::open(config).await?;
    serve_kernel(kernel, |_| {}).await
}

/// As [`serve`], with a kernel that is open already; `ready` is told the address once it listens.
pub async fn serve_kernel(kernel: Arc<Kernel>, ready: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
    let config = &kernel.config;
    let listener = bind(&config.http.host, config.http.port, "http").await?;
    let address = listener.local_addr()?;
    let metrics = match config.metrics.enabled {
        true => Some(bind(&config.metrics.host, config.metrics.port, "metrics").await?),
        false => None,
    };
    let http = kernel.http()?;
    let operator = Arc::new(Operator::serving(
        kernel.clone(),
        http.clone(),
        format!("http://{address}"),
    ));
    let control = Server::start(&config.data_dir, operator).context("the control socket can't be made")?;
    let runner = kernel.start_background();
    let metrics = metrics.map(|listener| tokio::spawn(telemetry::serve_metrics(kernel.metrics.clone(), listener)));
    tracing::info!(%address, engine = ?kernel.sql.engine(), plugins = kernel.plugins.installed().plugins().count(), "serving");
    ready(address);

    http::serve(http, listener, stop_signal()?).await;

    runner.stop(GRACE).await;
    control.stop();
    if let Some(metrics) = metrics {
        metrics.abort();
    }
    kernel.sql.close().await;
    tracing::info!("stopped");
    Ok(())
}

async fn bind(host: &str, port: u16, section: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind((host, port)).await.with_context(|| {
        format!("can't listen on {host}:{port}; is another kernel running? (keys {section}.host and {section}.port)")
    })
}

/// Ends at the first SIGTERM or SIGINT. A second one ends the process at once.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            std::process::exit(130);
        });
    })
}

/// Makes the folder for its owner alone: the embedded database in it holds accounts, and is written with whatever rights
/// the user's files usually have. One that exists keeps the rights that its operator gave it.
pub fn make_data_dir(config: &Config) -> anyhow::Result<()> {
    let folder = &config.data_dir;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("can't make the data folder {}", folder.display()))
}

fn own(config: &Config) -> anyhow::Result<DataDirLock> {
    make_data_dir(config)?;
    let folder = &config.data_dir;
    DataDirLock::acquire(folder)
        .with_context(|| format!("can't use the data folder {}", folder.display()))?
        .with_context(|| {
            format!(
                "another process uses the data folder {}; stop it, or ask it",
                folder.display()
            )
        })
}

async fn open_sql(config: &Config) -> anyhow::Result<Sql> {
    Sql::open(&config.sql, &config.data_dir)
        .await
        .map_err(|error| match (&error, MissingRights::of(config)) {
            (SqlError::Refused(_), Some(missing)) => missing.into(),
            _ => anyhow::Error::new(error).context("the database can't be opened; check sql.url"),
        })
}

/// The kernel makes a role and a schema for each plugin: without them the server could not keep plugins apart.
#[derive(Debug, thiserror::Error)]
#[error(
    "the database's user may not make roles and schemas, which the kernel needs. As a superuser, run: \
     alter role \"{user}\" createrole; grant create on database \"{database}\" to \"{user}\""
)]
pub struct MissingRights {
    user: String,
    database: String,
}

impl MissingRights {
    /// None where the URL names no server.
    fn of(config: &Config) -> Option<Self> {
        let url = url::Url::parse(config.sql.url.as_deref()?).ok()?;
        let (user, database) = (url.username(), url.path().trim_start_matches('/'));
        (!user.is_empty() && !database.is_empty()).then(|| Self {
            user: user.to_owned(),
            database: database.to_owned(),
        })
    }
}

/// What `commerce doctor` asks besides.
pub mod check {
    use super::{Config, Engine, MasterKey, MissingRights, auth, open_sql};
    use crate::secrets::SecretsError;

    /// Whether this master key opens what the database has sealed; answers what there is to say about it.
    pub async fn master_key(config: &Config) -> anyhow::Result<String> {
        let sql = open_sql(config).await?;
        let sealed = match sql.migrations().await?.iter().any(|known| known.applied_at.is_none()) {
            true => None,
            false => auth::a_sealed_key(&sql).await?,
        };
        sql.close().await;
        let given = MasterKey::obtain(config.master_key.as_ref(), &config.data_dir, false);
        Ok(match (given, sealed) {
            (Ok(master), Some(key)) => key.opens_with(&master).map(|()| "opens what is sealed")?.to_owned(),
            (Ok(_), None) => "is there; nothing is sealed yet".to_owned(),
            (Err(SecretsError::NoMasterKey(_)), None) => "will be made at the first start".to_owned(),
            (Err(error), _) => return Err(error.into()),
        })
    }

    /// Whether the database's user may do what installing a plugin takes.
    pub async fn rights(config: &Config) -> anyhow::Result<String> {
        let sql = open_sql(config).await?;
        if sql.engine() == Engine::Sqlite {
            sql.close().await;
            return Ok("the file is the kernel's own".to_owned());
        }
        let text = "select known.rolsuper or known.rolcreaterole,
                      pg_catalog.has_database_privilege(current_user, pg_catalog.current_database(), 'create')
                    from pg_catalog.pg_roles known where known.rolname = current_user";
        let row = sql.kernel().fetch_one(text, &[]).await?;
        sql.close().await;
        let (roles, schemas): (bool, bool) = (row.get(0)?, row.get(1)?);
        match MissingRights::of(config) {
            Some(missing) if !(roles && schemas) => Err(missing.into()),
            _ => Ok("roles and schemas can be made".to_owned()),
        }
    }
}

/// Brings a database to this version, or says what that would take.
pub mod migrate {
    use super::{Config, make_data_dir, open_sql, own};
    use crate::storage::sql::Migration;

    /// Every migration this version knows, and when it ran.
    pub async fn status(config: &Config) -> anyhow::Result<Vec<Migration>> {
        make_data_dir(config)?;
        let sql = open_sql(config).await?;
        let migrations = sql.migrations().await?;
        sql.close().await;
        Ok(migrations)
    }

    /// Runs what has not run yet; answers the names.
    pub async fn up(config: &Config) -> anyhow::Result<Vec<&'static str>> {
        let _lock = own(config)?;
        let sql = open_sql(config).await?;
        let applied = sql.migrate().await?;
        sql.close().await;
        Ok(applied)
    }
}
