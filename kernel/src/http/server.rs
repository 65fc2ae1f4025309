//! [`Http`]: what all requests share, and how it changes while the kernel runs.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::client::TrustedProxies;
use super::cors::Cors;
use super::idempotency::KeysInFlight;
use super::openapi;
use super::rate_limit::RateLimits;
use super::response_cache::ResponseCache;
use super::routes::{PluginRoutes, RouteError, RouteTable};
use crate::auth::Auth;
use crate::config::{HttpConfig, RateLimitsConfig};
use crate::plugins::{Installed, Plugin, Plugins};
use crate::storage::sql::Sql;
use crate::stores::{Store, Stores};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::RouteMetrics;

/// What the HTTP side needs of the rest of the kernel.
pub struct Parts {
    pub config: HttpConfig,
    pub limits: RateLimitsConfig,
    /// Of a request that names no store: `stores.default`.
    pub default_store: Option<String>,
    pub sql: Sql,
    pub stores: Arc<Stores>,
    pub auth: Auth,
    pub plugins: Plugins,
    /// The same that the plugins invalidate.
    pub cache: Arc<ResponseCache>,
    pub metrics: Metrics,
}

pub struct Http {
    pub(super) config: HttpConfig,
    pub(super) default_store: Option<String>,
    pub(super) sql: Sql,
    pub(super) stores: Arc<Stores>,
    pub(super) auth: Auth,
    pub(super) plugins: Plugins,
    pub(super) cache: Arc<ResponseCache>,
    pub(super) metrics: Metrics,
    pub(super) proxies: TrustedProxies,
    pub(super) cors: Cors,
    pub(super) limits: RateLimits,
    pub(super) keys_in_flight: Arc<KeysInFlight>,
    /// For requests that match no route.
    pub(super) unmatched: RouteMetrics,
    table: ArcSwap<Table>,
    /// One builds a table; who waits meanwhile finds it built.
    building: tokio::sync::Mutex<()>,
    stopping: AtomicBool,
    /// Cloned by work that outlives its connection, so that a stopping kernel waits for it.
    held: Mutex<Option<mpsc::Sender<Infallible>>>,
}

/// The routes of what was installed at one moment, and that.
pub(super) struct Table {
    pub routes: Arc<RouteTable>,
    /// In the order that the routes name them by.
    pub plugins: Vec<Arc<Plugin>>,
    installed: Arc<Installed>,
    /// The text of `/openapi.json`, by store.
    descriptions: Mutex<HashMap<Option<i64>, Bytes>>,
}

impl Http {
    /// Serves nothing yet: see [`serve`](super::serve). Follows the plugins from now on.
    pub fn new(parts: Parts) -> Result<Arc<Self>, RouteError> {
        let Parts {
            config,
            limits,
            default_store,
            sql,
            stores,
            auth,
            plugins,
            cache,
            metrics,
        } = parts;
        let mut changes = plugins.subscribe_changes();
        changes.mark_unchanged();
        let http = Arc::new(Self {
            proxies: TrustedProxies::new(config.trusted_proxies.clone()),
            cors: Cors::new(&config.cors_origins),
            limits: RateLimits::new(&limits),
            keys_in_flight: Arc::default(),
            unmatched: metrics.route("", "unmatched"),
            table: ArcSwap::from_pointee(Table::build(plugins.installed(), &metrics, None)?),
            building: tokio::sync::Mutex::default(),
            stopping: AtomicBool::new(false),
            held: Mutex::default(),
            config,
            default_store,
            sql,
            stores,
            auth,
            plugins,
            cache,
            metrics,
        });
        let weak = Arc::downgrade(&http);
        tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                let Some(http) = weak.upgrade() else { return };
                http.table_of_now().await;
            }
        });
        http.forget_quiet_clients();
        Ok(http)
    }

    pub(super) fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// Returns when requests reach what is installed now.
    pub async fn catch_up(&self) {
        self.table_of_now().await;
    }

    /// The table of what is installed now. A request that finds no route asks for it: the plugin may have come a moment ago.
    pub(super) async fn table_of_now(&self) -> Arc<Table> {
        let _one_at_a_time = self.building.lock().await;
        let (table, installed) = (self.table(), self.plugins.installed());
        if Arc::ptr_eq(&table.installed, &installed) {
            return table;
        }
        // Compiling schemas takes a while; requests go on with the old table.
        let metrics = self.metrics.clone();
        match tokio::task::spawn_blocking(move || Table::build(installed, &metrics, Some(&table))).await {
            Ok(Ok(table)) => {
                self.table.store(Arc::new(table));
                tracing::info!("the routes of the installed plugins are in force");
            }
            Ok(Err(error)) => tracing::error!(%error, "the routes stay as they were"),
            Err(error) => tracing::error!(%error, "building the route table failed; the routes stay as they were"),
        }
        self.table()
    }

    /// The text of `/openapi.json`: of one store's plugins, or of all.
    pub(super) fn description(&self, store: Option<&Store>) -> Bytes {
        let table = self.table();
        let number = store.map(|store| store.number);
        if let Some(text) = table.descriptions.lock().get(&number) {
            return text.clone();
        }
        let enabled = |plugin: &&Arc<Plugin>| number.is_none_or(|number| table.installed.enabled(number, &plugin.name));
        let document = openapi::of_plugins(table.plugins.iter().filter(enabled));
        let text = Bytes::from(serde_json::to_vec_pretty(&document).unwrap_or_default());
        table.descriptions.lock().insert(number, text.clone());
        text
    }

    fn forget_quiet_clients(self: &Arc<Self>) {
        let weak = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut clock = tokio::time::interval(Duration::from_secs(60));
            loop {
                clock.tick().await;
                let Some(http) = weak.upgrade() else { return };
                http.limits.forget_quiet();
            }
        });
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(super) fn stop_taking_requests(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(super) fn hold(&self, held: mpsc::Sender<Infallible>) {
        *self.held.lock() = Some(held);
    }

    pub(super) fn held(&self) -> Option<mpsc::Sender<Infallible>> {
        self.held.lock().clone()
    }

    pub(super) fn release(&self) {
        self.held.lock().take();
    }
}

impl Table {
    /// `before`: the table in force, whose routes stay where the plugins are the same ones and only a store's settings or
    /// the like have changed.
    fn build(installed: Arc<Installed>, metrics: &Metrics, before: Option<&Self>) -> Result<Self, RouteError> {
        let plugins: Vec<Arc<Plugin>> = installed.plugins().cloned().collect();
        let routes = match before.filter(|before| same(&before.plugins, &plugins)) {
            Some(before) => before.routes.clone(),
            None => Arc::new(routes_of(&plugins, metrics)?),
        };
        Ok(Self {
            routes,
            plugins,
            installed,
            descriptions: Mutex::default(),
        })
    }

    /// Another number for everything an operator changes about plugins: what is installed, enabled or set where.
    pub fn generation(&self) -> i64 {
        self.installed.generation
    }
}

fn same(before: &[Arc<Plugin>], now: &[Arc<Plugin>]) -> bool {
    before.len() == now.len() && before.iter().zip(now).all(|(before, now)| Arc::ptr_eq(before, now))
}

fn routes_of(plugins: &[Arc<Plugin>], metrics: &Metrics) -> Result<RouteTable, RouteError> {
    let parts: Vec<PluginRoutes<'_>> = plugins
        .iter()
        .map(|plugin| PluginRoutes {
            name: &plugin.name,
            digest: &plugin.digest,
            descriptor: &plugin.descriptor,
        })
        .collect();
    RouteTable::build(&parts, metrics)
}
