//! Prometheus metrics. Labels are route templates, plugin and reason names: never anything that a client chooses, or one
//! client could make as many series as it likes.

use std::time::Duration;

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};
use tokio::net::TcpListener;
use warp::Filter as _;

/// The metrics of one kernel. Parts of the kernel that count things of their own register them here at start.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    pub connections: IntGauge,
    pub requests_in_flight: IntGauge,
    pub response_cache_hits: IntCounter,
    pub response_cache_misses: IntCounter,
}

/// The counters of one route, looked up once when the route table is built.
#[derive(Clone, Debug)]
pub struct RouteMetrics {
    /// `1xx` to `5xx`.
    by_class: [IntCounter; 5],
    duration: Histogram,
}

impl Metrics {
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new("commerce_http_requests_total", "Answers by route and status class."),
                &["method", "route", "status"],
            )?,
            durations: HistogramVec::new(
                HistogramOpts::new(
                    "commerce_http_request_seconds",
                    "From the request's head to its answer.",
                )
                .buckets(vec![
                    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
                    10.0,
                ]),
                &["method", "route"],
            )?,
            connections: IntGauge::new("commerce_http_connections", "Open connections.")?,
            requests_in_flight: IntGauge::new("commerce_http_requests_in_flight", "Requests being answered.")?,
            response_cache_hits: IntCounter::new("commerce_response_cache_hits_total", "Answers that were kept.")?,
            response_cache_misses: IntCounter::new(
                "commerce_response_cache_misses_total",
                "Answers of cacheable routes that were made.",
            )?,
            registry,
        };
        metrics.register(metrics.requests.clone())?;
        metrics.register(metrics.durations.clone())?;
        metrics.register(metrics.connections.clone())?;
        metrics.register(metrics.requests_in_flight.clone())?;
        metrics.register(metrics.response_cache_hits.clone())?;
        metrics.register(metrics.response_cache_misses.clone())?;
        Ok(metrics)
    }

    pub fn register(&self, collector: impl prometheus::core::Collector + 'static) -> prometheus::Result<()> {
        self.registry.register(Box::new(collector))
    }

    /// Where other parts of the kernel register what they count.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// `route`: the template, or a fixed word where no route matched.
    pub fn route(&self, method: &str, route: &str) -> RouteMetrics {
        let class = |class| self.requests.with_label_values(&[method, route, class]);
        RouteMetrics {
            by_class: [class("1xx"), class("2xx"), class("3xx"), class("4xx"), class("5xx")],
            duration: self.durations.with_label_values(&[method, route]),
        }
    }

    /// What `/metrics` answers.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics can't be written");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

impl RouteMetrics {
    pub fn observe(&self, status: u16, took: Duration) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.by_class[class].inc();
        self.duration.observe(took.as_secs_f64());
    }
}

/// Answers `GET /metrics` on a listener of its own, so that it can be kept from the public by its address alone.
pub async fn serve(metrics: Metrics, listener: TcpListener) {
    let answer = warp::path!("metrics")
        .and(warp::get())
        .map(move || warp::reply::with_header(metrics.text(), "content-type", "text/plain; version=0.0.4"));
    warp::serve(answer).incoming(listener).run().await;
}
