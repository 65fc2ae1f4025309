//! [`Http`]: what all requests share, and how it changes while the kernel runs.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::client::TrustedProxies;
use super::cors::Cors;
use super::rate_limit::RateLimits;
use super::response_cache::ResponseCache;
use super::routes::{RouteError, RouteTable};
use crate::config::{HttpConfig, RateLimitsConfig};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::RouteMetrics;

pub struct Http {
    pub(super) config: HttpConfig,
    pub(super) proxies: TrustedProxies,
    pub(super) metrics: Metrics,
    pub(super) cache: Arc<ResponseCache>,
    pub(super) cors: Cors,
    pub(super) limits: RateLimits,
    /// For requests that match no route.
    pub(super) unmatched: RouteMetrics,
    table: ArcSwap<RouteTable>,
    stopping: AtomicBool,
    /// Cloned by work that outlives its connection, so that a stopping kernel waits for it.
    held: Mutex<Option<mpsc::Sender<Infallible>>>,
}

impl Http {
    pub fn new(config: HttpConfig, limits: &RateLimitsConfig, metrics: Metrics, cache: Arc<ResponseCache>) -> Result<Arc<Self>, RouteError> {
        Ok(Arc::new(Self {
            proxies: TrustedProxies::new(config.trusted_proxies.clone()),
            cors: Cors::new(&config.cors_origins),
            limits: RateLimits::new(limits),
            unmatched: metrics.route("", "unmatched"),
            table: ArcSwap::from_pointee(RouteTable::build(&[], &metrics)?),
            stopping: AtomicBool::new(false),
            held: Mutex::default(),
            config,
            metrics,
            cache,
        }))
    }

    pub(super) fn table(&self) -> Arc<RouteTable> {
        self.table.load_full()
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
