//! How calls into plugins ended, counted per plugin.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// The families; made once per process and handed to the registry that `/metrics` shows.
#[derive(Clone)]
pub struct Metrics {
    calls: IntCounterVec,
    lines_dropped: IntCounterVec,
}

/// The counters of one plugin, looked up once.
pub struct Counts {
    pub answered: IntCounter,
    pub problems: IntCounter,
    pub traps: IntCounter,
    pub timeouts: IntCounter,
    pub overloaded: IntCounter,
    pub lines_dropped: IntCounter,
}

impl Metrics {
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let calls = Opts::new(
            "commerce_plugin_calls_total",
            "Calls into plugins, at every depth, by how they ended",
        );
        let lines = Opts::new(
            "commerce_plugin_log_lines_dropped_total",
            "Log lines beyond a plugin's rate",
        );
        let metrics = Self {
            calls: IntCounterVec::new(calls, &["plugin", "outcome"])?,
            lines_dropped: IntCounterVec::new(lines, &["plugin"])?,
        };
        registry.register(Box::new(metrics.calls.clone()))?;
        registry.register(Box::new(metrics.lines_dropped.clone()))?;
        Ok(metrics)
    }

    pub(super) fn of(&self, plugin: &str) -> Counts {
        let calls = |outcome| self.calls.with_label_values(&[plugin, outcome]);
        Counts {
            answered: calls("answered"),
            problems: calls("problem"),
            traps: calls("trap"),
            timeouts: calls("timeout"),
            overloaded: calls("overloaded"),
            lines_dropped: self.lines_dropped.with_label_values(&[plugin]),
        }
    }
}
