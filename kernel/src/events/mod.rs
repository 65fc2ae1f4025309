//! Events, jobs and schedules: what a unit of work leaves to be done after its commit.
//!
//! Owns the tables `kernel.deliveries`, `kernel.jobs` and `kernel.schedules`, and applies the rules by which the
//! kernel's tables shed old rows. What it promises:
//!
//! - An event or a job exists if, and only if, the unit of work that announced it has committed ([`outbox`]).
//! - It is tried until it has succeeded once, and its effects in the database commit together with the mark that it
//!   is done: once, whatever dies in between ([`lease`], [`Consumers`]).
//! - Events of one publisher and key reach a subscriber in order; a dead letter holds back its own key only ([`delivery`]).
//! - Scheduling a job again moves it, and is never lost to a run under way ([`jobs`]).
//! - A cron line runs once per store and time, on whichever node comes first ([`schedule`]).
//!
//! How plugins are run is their engine's matter: it is met through [`Consumers`], which [`plugins`] implements.

mod backlog;
mod config;
mod consumers;
mod cron_line;
mod delivery;
mod jobs;
mod lease;
mod metrics;
mod outbox;
mod plugins;
mod purge;
mod queue;
mod runner;
mod schedule;

use std::sync::Arc;

use prometheus::Registry;

pub use backlog::{EventEntry, Filter, JobEntry};
pub use config::EventsConfig;
pub use consumers::{Consumers, Failure, ScheduleLine};
pub use cron_line::{CronError, CronLine};
pub use delivery::{Delivery, forget_plugin, forget_store};
pub use jobs::DueJob;
pub use outbox::settle;
pub use purge::PurgeRule;
pub use runner::Runner;
pub use schedule::SCHEDULE_KEY;

use crate::storage::sql::Sql;

/// What the rest of the kernel holds of this module. Cheap to clone.
#[derive(Clone)]
pub struct Events {
    sql: Sql,
    config: EventsConfig,
    signals: runner::Signals,
    metrics: metrics::Metrics,
}

impl Events {
    pub fn new(sql: Sql, config: EventsConfig, registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = metrics::Metrics::register(registry)?;
        Ok(Self {
            sql,
            config,
            signals: runner::Signals::default(),
            metrics,
        })
    }

    /// Begins to deliver events, run jobs, follow schedules and purge. `rules`: what else is to be purged.
    pub fn start(&self, consumers: &Arc<dyn Consumers>, rules: Vec<PurgeRule>) -> Runner {
        Runner::start(self, consumers, rules)
    }

    /// To be called after a commit that announced events or changed jobs, so that they need not wait for the next poll.
    pub fn wake(&self) {
        self.signals.events.notify_one();
        self.signals.jobs.notify_one();
    }

    /// To be called when plugins or stores have changed, so that new cron lines count from now.
    pub fn schedules_changed(&self) {
        self.signals.schedules.notify_one();
    }
}
