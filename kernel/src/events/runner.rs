//! The background of one node: it claims what is due, hands it to the plugins, and records how it went.
//!
//! Two loops of the same shape serve events and jobs; a third looks after cron lines, the backlog's gauges and the
//! purge. All stop together: nothing new is claimed, what runs may finish within a grace period, and what is left is
//! given back at once instead of when its lease ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::delivery::Deliveries;
use super::jobs::Jobs;
use super::metrics::Metrics;
use super::queue::{Queue, Work};
use super::schedule::Schedules;
use super::{Consumers, Events, EventsConfig, Failure, PurgeRule, backlog, delivery, lease, purge};
use crate::storage::sql::{KernelStatement, Sql, SqlError, Time};
use crate::typeid;

/// Work for a plugin that does not take part now is looked at again after so long.
const PUT_OFF: Duration = Duration::from_secs(30);
/// After a call that found no room.
const NOT_NOW: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_secs(1);
const RECONCILE_EVERY: Duration = Duration::from_secs(60);
const GAUGES_EVERY: Duration = Duration::from_secs(10);
const SET_ASIDE_EVERY: Duration = Duration::from_secs(20);
const PURGE_EVERY: Duration = Duration::from_secs(600);
/// Errors are kept for people to read: the first sentence matters.
const ERROR_CHARACTERS: usize = 500;

/// Each makes a loop look at its table at once.
#[derive(Clone, Default)]
pub(super) struct Signals {
    pub events: Arc<Notify>,
    pub jobs: Arc<Notify>,
    pub schedules: Arc<Notify>,
}

/// The running background; see [`Events::start`].
pub struct Runner {
    stop: watch::Sender<bool>,
    loops: Vec<JoinHandle<()>>,
    deliveries: Worker<Deliveries>,
    jobs: Worker<Jobs>,
}

impl Runner {
    pub(super) fn start(events: &Events, consumers: &Arc<dyn Consumers>, mut rules: Vec<PurgeRule>) -> Self {
        let Events {
            sql,
            config,
            signals,
            metrics,
        } = events;
        let (stop, stopped) = watch::channel(false);
        let node: Arc<str> = typeid::new("node").into();
        let deliveries = Deliveries {
            sql: sql.clone(),
            node: Arc::clone(&node),
        };
        let deliveries = Worker::new(events, consumers, &signals.events, deliveries);
        let jobs = Worker::new(events, consumers, &signals.jobs, Jobs { sql: sql.clone(), node });
        rules.extend(purge::kernel_rules(config));
        let upkeep = Upkeep {
            sql: sql.clone(),
            consumers: Arc::clone(consumers),
            schedules: Schedules { sql: sql.clone() },
            rules,
            signals: signals.clone(),
            metrics: metrics.clone(),
        };
        let mut loops = vec![tokio::spawn(upkeep.run(stopped.clone()))];
        if config.workers > 0 {
            loops.push(tokio::spawn(deliveries.clone().run(stopped.clone())));
            loops.push(tokio::spawn(jobs.clone().run(stopped)));
        }
        Self {
            stop,
            loops,
            deliveries,
            jobs,
        }
    }

    /// Claims nothing more, waits for what runs, and gives the rest back so that another node can take it at once.
    /// Whatever still runs then finds its lease gone and rolls back.
    pub async fn stop(self, grace: Duration) {
        self.stop.send_replace(true);
        let deadline = Instant::now() + grace;
        for background in self.loops {
            let _ = timeout_at(deadline, background).await;
        }
        let _ = timeout_at(deadline, async {
            tokio::join!(self.deliveries.idle(), self.jobs.idle())
        })
        .await;
        self.deliveries.give_back().await;
        self.jobs.give_back().await;
    }
}

/// Claims rows of one queue and sees each through.
struct Worker<Q> {
    shared: Arc<Shared<Q>>,
}

struct Shared<Q> {
    queue: Q,
    consumers: Arc<dyn Consumers>,
    config: EventsConfig,
    metrics: Metrics,
    /// Told when there may be something to claim.
    signal: Arc<Notify>,
    /// A permit for each row that may be under way at the same time.
    room: Arc<Semaphore>,
}

impl<Q> Clone for Worker<Q> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<Q: Queue> Worker<Q> {
    fn new(events: &Events, consumers: &Arc<dyn Consumers>, signal: &Arc<Notify>, queue: Q) -> Self {
        let shared = Shared {
            queue,
            consumers: Arc::clone(consumers),
            config: events.config.clone(),
            metrics: events.metrics.clone(),
            signal: Arc::clone(signal),
            room: Arc::new(Semaphore::new(usize::from(events.config.workers))),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    async fn run(self, mut stopped: watch::Receiver<bool>) {
        let poll = Duration::from_millis(self.shared.config.poll_ms);
        while !*stopped.borrow() {
            let permits = self.wait_for_room().await;
            if *stopped.borrow() {
                break;
            }
            let room = permits.len();
            let claimed = self.claim(room).await;
            let all_there_is = claimed.len() < room;
            for (row, permit) in claimed.into_iter().zip(permits) {
                tokio::spawn(self.clone().see_through(Arc::new(row), permit));
            }
            if all_there_is {
                tokio::select! {
                    _ = timeout(poll, self.shared.signal.notified()) => {}
                    _ = stopped.changed() => {}
                }
            }
        }
    }

    /// All the permits there are, at least one.
    async fn wait_for_room(&self) -> Vec<OwnedSemaphorePermit> {
        let room = &self.shared.room;
        let mut permits: Vec<_> = Arc::clone(room).acquire_owned().await.into_iter().collect();
        // Rows finish in flocks; a claim for each alone would be one more commit for each.
        tokio::time::sleep(Duration::from_millis(2)).await;
        while let Ok(permit) = Arc::clone(room).try_acquire_owned() {
            permits.push(permit);
        }
        permits
    }

    async fn claim(&self, room: usize) -> Vec<Q::Row> {
        let limit = u32::try_from(room).unwrap_or(u32::MAX);
        match self.shared.queue.claim(limit, self.lease()).await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(kind = Q::KIND, %error, "could not look for work; trying again");
                Vec::new()
            }
        }
    }

    fn lease(&self) -> Duration {
        Duration::from_millis(self.shared.config.lease_ms)
    }

    async fn see_through(self, row: Arc<Q::Row>, permit: OwnedSemaphorePermit) {
        // In a task of its own: a panic in it must not leave the row without its record.
        let mut attempt = tokio::spawn({
            let (worker, row) = (self.clone(), Arc::clone(&row));
            async move { worker.attempt(&row).await }
        });
        let outcome = loop {
            match timeout(self.lease() / 3, &mut attempt).await {
                Ok(Ok(outcome)) => break outcome,
                Ok(Err(_panic)) => {
                    break Outcome::Failed("the kernel panicked; its log says where".to_owned());
                }
                Err(_still_running) => self.renew(&row).await,
            }
        };
        self.record(&row, outcome).await;
        drop(permit);
        // The next event of the same key may have been waiting for this one.
        self.shared.signal.notify_one();
    }

    async fn renew(&self, row: &Q::Row) {
        let renewal = self.shared.queue.renew(row, self.lease());
        if let Err(error) = self.shared.queue.sql().kernel().transaction(vec![renewal]).await {
            tracing::warn!(kind = Q::KIND, %error, "could not renew a lease");
        }
    }

    async fn attempt(&self, row: &Q::Row) -> Outcome {
        let Shared {
            queue,
            consumers,
            config,
            ..
        } = &*self.shared;
        let work = Q::work(row);
        if !consumers.takes_part(work.store, work.plugin) {
            return Outcome::TakesNoPart;
        }
        if work.attempts > config.max_attempts {
            let error = format!("the kernel stopped during the last of {} attempts", config.max_attempts);
            return Outcome::Dead(error);
        }
        match queue.attempt(&**consumers, row).await {
            Ok(()) => Outcome::Done,
            Err(Failure::Failed(error)) if work.attempts >= config.max_attempts => Outcome::Dead(error),
            Err(Failure::Failed(error)) => Outcome::Failed(error),
            Err(Failure::NotNow(reason)) => {
                tracing::debug!(kind = Q::KIND, id = work.id, plugin = work.plugin, reason, "put off");
                Outcome::PutOff(NOT_NOW)
            }
            Err(Failure::LeaseLost) => Outcome::Lost,
        }
    }

    async fn record(&self, row: &Q::Row, outcome: Outcome) {
        let Shared {
            queue, config, metrics, ..
        } = &*self.shared;
        let work = Q::work(row);
        metrics
            .outcomes
            .with_label_values(&[Q::KIND, work.plugin, outcome.label()])
            .inc();
        let statement = match &outcome {
            Outcome::Done => {
                let delay = (Time::now().0 - work.since).max(0);
                metrics.delay.with_label_values(&[Q::KIND]).observe(delay as f64 / 1e6);
                // Should this fail, they are due some time later.
                warn_of("calling the next of a key", queue.call_next(row).await);
                return;
            }
            Outcome::Lost => {
                log(Q::KIND, &work, "another node took it over; rolled back");
                return;
            }
            Outcome::Failed(error) => {
                let pause = lease::backoff(config, work.attempts);
                log(Q::KIND, &work, error);
                queue.retry(row, pause, &bounded(error))
            }
            Outcome::Dead(error) => {
                tracing::error!(
                    kind = Q::KIND,
                    id = work.id,
                    store = work.store,
                    plugin = work.plugin,
                    name = work.name,
                    attempts = work.attempts,
                    error,
                    "a dead letter: replay or skip it"
                );
                queue.bury(row, &bounded(error))
            }
            Outcome::TakesNoPart => {
                let all = vec![queue.put_off(row, PUT_OFF), queue.put_off_others(row, PUT_OFF)];
                return self.write(&work, all).await;
            }
            Outcome::PutOff(pause) => queue.put_off(row, *pause),
        };
        self.write(&work, vec![statement]).await;
    }

    async fn write(&self, work: &Work<'_>, statements: Vec<KernelStatement>) {
        // Should this fail, the row comes back when its lease ends.
        if let Err(error) = self.shared.queue.sql().kernel().transaction(statements).await {
            log(Q::KIND, work, &error.to_string());
        }
    }

    /// Until nothing is under way.
    async fn idle(&self) {
        let all = u32::from(self.shared.config.workers);
        let _ = self.shared.room.acquire_many(all).await;
    }

    async fn give_back(&self) {
        match self.shared.queue.release().await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(kind = Q::KIND, rows, "gave back what had not finished"),
            Err(error) => {
                tracing::warn!(kind = Q::KIND, %error, "could not give back; others wait for the lease to end")
            }
        }
    }
}

/// How an attempt ended.
enum Outcome {
    Done,
    Failed(String),
    Dead(String),
    /// The plugin is disabled in this store, or the store suspended.
    TakesNoPart,
    PutOff(Duration),
    Lost,
}

impl Outcome {
    fn label(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed(_) => "failed",
            Self::Dead(_) => "dead",
            Self::TakesNoPart | Self::PutOff(_) => "put_off",
            Self::Lost => "lost",
        }
    }
}

fn log(kind: &str, work: &Work<'_>, error: &str) {
    tracing::warn!(
        kind,
        id = work.id,
        store = work.store,
        plugin = work.plugin,
        name = work.name,
        attempts = work.attempts,
        error,
        "not done"
    );
}

/// One line of bounded length: a plugin's words end up in an operator's terminal.
fn bounded(error: &str) -> String {
    error
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(ERROR_CHARACTERS)
        .collect()
}

/// Cron lines, gauges, purge.
struct Upkeep {
    sql: Sql,
    consumers: Arc<dyn Consumers>,
    schedules: Schedules,
    rules: Vec<PurgeRule>,
    signals: Signals,
    metrics: Metrics,
}

impl Upkeep {
    async fn run(self, mut stopped: watch::Receiver<bool>) {
        let (mut reconcile, mut gauges, mut set_aside, mut purge) = (
            Every::new(RECONCILE_EVERY),
            Every::new(GAUGES_EVERY),
            Every::new(SET_ASIDE_EVERY),
            Every::new(PURGE_EVERY),
        );
        while !*stopped.borrow() {
            if reconcile.due() {
                warn_of(
                    "reconciling schedules",
                    self.schedules.reconcile(&*self.consumers).await,
                );
            }
            match self.schedules.tick(&*self.consumers).await {
                Ok(0) => {}
                Ok(_) => self.signals.jobs.notify_one(),
                Err(error) => warn_of("looking for due schedules", Err(error)),
            }
            if gauges.due() {
                warn_of(
                    "counting the backlog",
                    backlog::gauge(&self.sql, &self.metrics.backlog).await,
                );
            }
            if set_aside.due() {
                warn_of(
                    "setting aside what stands far back",
                    delivery::set_aside(&self.sql).await,
                );
            }
            if purge.due() {
                self.purge().await;
            }
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                () = self.signals.schedules.notified() => reconcile.now(),
                _ = stopped.changed() => {}
            }
        }
    }

    async fn purge(&self) {
        for rule in &self.rules {
            match purge::apply(&self.sql, rule).await {
                Ok(rows) => self.metrics.purged.with_label_values(&[rule.table]).inc_by(rows),
                Err(error) => {
                    tracing::warn!(table = rule.table, %error, "could not purge; trying again later")
                }
            }
        }
    }
}

fn warn_of(what: &str, result: Result<(), SqlError>) {
    if let Err(error) = result {
        tracing::warn!(%error, "{what} failed; trying again");
    }
}

/// Due at once, and then whenever the period has passed.
struct Every {
    period: Duration,
    last: Option<Instant>,
}

impl Every {
    fn new(period: Duration) -> Self {
        Self { period, last: None }
    }

    fn now(&mut self) {
        self.last = None;
    }

    fn due(&mut self) -> bool {
        let due = self.last.is_none_or(|last| last.elapsed() >= self.period);
        if due {
            self.last = Some(Instant::now());
        }
        due
    }
}
