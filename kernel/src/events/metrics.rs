//! What an operator watches: how much is done, how late it is, and how much waits or lies dead.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

#[derive(Clone)]
pub(super) struct Metrics {
    /// By kind (`event`, `job`), plugin and outcome (`done`, `failed`, `dead`, `lost`, `put_off`).
    pub outcomes: IntCounterVec,
    /// By kind: from the time it could have been done first to the time it was.
    pub delay: HistogramVec,
    /// By kind and state (`waiting`, `dead`), over all nodes; refreshed every few seconds.
    pub backlog: IntGaugeVec,
    /// By table.
    pub purged: IntCounterVec,
}

impl Metrics {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let outcomes = Opts::new("commerce_work_total", "Events delivered and jobs run, by outcome");
        let delay = HistogramOpts::new(
            "commerce_work_delay_seconds",
            "From when work was due to when it was done",
        )
        .buckets(vec![0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3_600.0]);
        let backlog = Opts::new(
            "commerce_work_backlog",
            "Events and jobs that wait for their turn or are dead letters",
        );
        let purged = Opts::new(
            "commerce_purged_rows_total",
            "Expired rows deleted from the kernel's tables",
        );
        let metrics = Self {
            outcomes: IntCounterVec::new(outcomes, &["kind", "plugin", "outcome"])?,
            delay: HistogramVec::new(delay, &["kind"])?,
            backlog: IntGaugeVec::new(backlog, &["kind", "state"])?,
            purged: IntCounterVec::new(purged, &["table"])?,
        };
        registry.register(Box::new(metrics.outcomes.clone()))?;
        registry.register(Box::new(metrics.delay.clone()))?;
        registry.register(Box::new(metrics.backlog.clone()))?;
        registry.register(Box::new(metrics.purged.clone()))?;
        Ok(metrics)
    }
}
