//! Plugins: what is installed, how that changes, and how their code is run.
//!
//! - [`package`] reads a file, [`descriptor`] asks it what it offers, [`upgrade`] installs it and all that follows.
//! - [`registry`] is the snapshot of what is installed; [`watch`] keeps it in step with the other nodes.
//! - [`engine`] and [`instance`] run code in the sandbox; [`calls`] are the ways in; [`capabilities`] the ways out.
//! - [`tree`] is one request, event or job with all the calls it causes and the one unit of work they share.
//!
//! Owns the tables `kernel.packages`, `plugins`, `plugin_migrations`, `plugin_stores` and `service_orders`.

mod announcements;
mod bindings;
mod calls;
mod capabilities;
mod config;
pub mod descriptor;
mod engine;
mod grants;
mod instance;
mod metrics;
mod migrations;
mod names;
mod package;
mod registry;
mod services;
mod settings;
mod statements;
mod stores;
mod tree;
mod upgrade;
mod watch;

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Semaphore, watch as changes};

pub use self::announcements::{JobChange, Outbox, Published, TagInvalidation};
pub use self::calls::{Event, HandleRequest, HandleResponse, Job};
pub use self::capabilities::{SecretSource, SecretsUnavailable};
pub use self::config::PluginsConfig;
pub use self::grants::{Decision, beyond};
pub use self::instance::CallLimits;
pub use self::package::{Package, PackageError};
pub use self::registry::{Installed, Plugin};
pub use self::tree::Tree;
pub use self::upgrade::{Change, InstallError, Preview};

use self::capabilities::{CacheStore, Egress};
use self::engine::Engine;
use self::metrics::Metrics;
use self::registry::Loader;
use crate::caller::Caller;
use crate::storage::sql::{Mode, Sql};
use crate::stores::Store;
use crate::versions::Versions;

/// The plugins of this kernel. Cheap to clone.
#[derive(Clone)]
pub struct Plugins(Arc<Inner>);

struct Inner {
    parts: Parts,
    engine: Engine,
    /// One per call from outside; calls on the way down need none.
    permits: Arc<Semaphore>,
    installed: ArcSwap<Installed>,
    /// The generation of `installed`, for those who build something from it.
    generation: changes::Sender<u64>,
    cache: CacheStore,
    egress: Egress,
    metrics: Metrics,
    /// Held by whoever changes what is installed, or reads it again: one at a time on this node.
    changing: Mutex<()>,
}

/// What plugins need of the rest of the kernel.
pub struct Parts {
    pub sql: Sql,
    pub config: PluginsConfig,
    pub stores: Arc<dyn StoreNumbers>,
    pub secrets: Arc<dyn SecretSource>,
    pub outbox: Arc<dyn Outbox>,
    pub tags: Arc<dyn TagInvalidation>,
}

/// All stores, suspended ones included: data migrations run once for each.
pub trait StoreNumbers: Send + Sync {
    fn numbers(&self) -> Vec<i64>;
}

impl Plugins {
    /// Starts the engine, loads what is installed and begins to follow what other nodes change.
    pub async fn open(
        parts: Parts,
        data_dir: &Path,
        versions: &Versions,
        registry: &prometheus::Registry,
    ) -> anyhow::Result<Self> {
        let engine = Engine::new(&parts.config, data_dir)?;
        let plugins = Self(Arc::new(Inner {
            permits: Arc::new(Semaphore::new(parts.config.concurrent_calls.max(1) as usize)),
            installed: ArcSwap::from_pointee(Installed::default()),
            generation: changes::Sender::new(0),
            cache: CacheStore::default(),
            egress: Egress::new(&parts.config)?,
            metrics: Metrics::new(registry)?,
            changing: Mutex::new(()),
            engine,
            parts,
        }));
        watch::follow(&plugins, versions);
        plugins.reload().await?;
        Ok(plugins)
    }

    /// What is installed now. It never changes under whoever holds it.
    pub fn installed(&self) -> Arc<Installed> {
        self.0.installed.load_full()
    }

    /// Changes whenever [`installed`](Self::installed) does.
    pub fn subscribe_changes(&self) -> changes::Receiver<u64> {
        self.0.generation.subscribe()
    }

    /// A call tree on behalf of this caller, on what is installed now.
    pub fn tree(&self, store: Arc<Store>, caller: Caller, request_id: String, mode: Mode) -> Tree {
        Tree::new(self.clone(), store, caller, request_id, mode)
    }

    /// The static SQL texts of an installed version, from its package.
    pub async fn recorded_sql(&self, plugin: &Plugin) -> anyhow::Result<Vec<String>> {
        Ok(self.loader().package(&plugin.digest).await?.sql)
    }

    /// Reads the tables and switches to what they say, all at once.
    async fn reload(&self) -> anyhow::Result<()> {
        let _one_at_a_time = self.0.changing.lock().await;
        self.reload_while_changing().await
    }

    /// As [`reload`](Self::reload), for whoever holds `changing`.
    async fn reload_while_changing(&self) -> anyhow::Result<()> {
        let installed = self.loader().read(&self.installed()).await?;
        self.0.installed.store(Arc::new(installed));
        self.0.generation.send_modify(|generation| *generation += 1);
        Ok(())
    }

    fn loader(&self) -> Loader<'_> {
        Loader {
            engine: &self.0.engine,
            sql: self.sql(),
            config: self.config(),
            metrics: &self.0.metrics,
        }
    }

    fn sql(&self) -> &Sql {
        &self.0.parts.sql
    }

    fn config(&self) -> &PluginsConfig {
        &self.0.parts.config
    }

    fn engine(&self) -> &Engine {
        &self.0.engine
    }

    fn permits(&self) -> &Arc<Semaphore> {
        &self.0.permits
    }

    fn cache(&self) -> &CacheStore {
        &self.0.cache
    }

    fn egress(&self) -> &Egress {
        &self.0.egress
    }

    fn secrets(&self) -> &dyn SecretSource {
        &*self.0.parts.secrets
    }

    fn outbox(&self) -> &dyn Outbox {
        &*self.0.parts.outbox
    }

    fn tags(&self) -> &dyn TagInvalidation {
        &*self.0.parts.tags
    }
}
