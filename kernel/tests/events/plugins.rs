//! Stand-ins for plugins: they write into one table and obey a script.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use commerce_kernel::args;
use commerce_kernel::events::{Consumers, Delivery, DueJob, Failure, ScheduleLine, settle};
use commerce_kernel::plugins::JobChange;
use commerce_kernel::storage::sql::{KernelStatement, Mode, Sql, SqlError, Time};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::node::STORE;

/// What a stand-in does when it is called; `Succeed` where its script says nothing.
#[derive(Clone)]
pub enum Step {
    Succeed,
    Fail,
    Take(Duration),
    /// Until `go_on` lets it.
    WaitBeforeWork,
    /// For ever, with its effects written in the open transaction.
    HangBeforeCommit,
    /// Changes a job in its unit of work.
    Change(JobChange),
}

#[derive(Clone, Debug)]
pub struct Call {
    name: String,
    id: String,
    attempts: u32,
}

/// What the plugins of a test do, and what they were asked to.
pub struct Script {
    steps: Mutex<HashMap<String, VecDeque<Step>>>,
    failing: Mutex<HashSet<(String, String)>>,
    fail_every: AtomicUsize,
    disabled: Mutex<HashSet<String>>,
    lines: Mutex<Vec<ScheduleLine>>,
    calls: Mutex<Vec<Call>>,
    about_to_commit: AtomicUsize,
    conflicts: AtomicUsize,
    pub go_on: Semaphore,
}

impl Script {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            steps: Mutex::default(),
            failing: Mutex::default(),
            fail_every: AtomicUsize::new(usize::MAX),
            disabled: Mutex::default(),
            lines: Mutex::default(),
            calls: Mutex::default(),
            about_to_commit: AtomicUsize::new(0),
            conflicts: AtomicUsize::new(0),
            go_on: Semaphore::new(0),
        })
    }

    pub fn on(&self, name: &str, steps: impl IntoIterator<Item = Step>) {
        self.steps.lock().insert(name.to_owned(), steps.into_iter().collect());
    }

    pub fn always_fails(&self, plugin: &str, name: &str) {
        self.failing.lock().insert((plugin.to_owned(), name.to_owned()));
    }

    pub fn fail_every(&self, calls: usize) {
        self.fail_every.store(calls, Ordering::SeqCst);
    }

    pub fn enable(&self, plugin: &str, enabled: bool) {
        let mut disabled = self.disabled.lock();
        if enabled {
            disabled.remove(plugin)
        } else {
            disabled.insert(plugin.to_owned())
        };
    }

    pub fn declare(&self, lines: &[(&str, &str, &str)]) {
        let line = |(plugin, name, cron): &(&str, &str, &str)| ScheduleLine {
            store: STORE,
            plugin: (*plugin).to_owned(),
            name: (*name).to_owned(),
            cron: (*cron).to_owned(),
        };
        *self.lines.lock() = lines.iter().map(line).collect();
    }

    pub fn calls(&self, name: &str) -> usize {
        self.calls.lock().iter().filter(|call| call.name == name).count()
    }

    pub fn attempts_seen(&self, name: &str) -> Vec<u32> {
        self.calls
            .lock()
            .iter()
            .filter(|call| call.name == name)
            .map(|call| call.attempts)
            .collect()
    }

    pub fn ids_seen(&self, name: &str) -> Vec<String> {
        self.calls
            .lock()
            .iter()
            .filter(|call| call.name == name)
            .map(|call| call.id.clone())
            .collect()
    }

    pub fn about_to_commit(&self) -> usize {
        self.about_to_commit.load(Ordering::SeqCst)
    }

    pub fn conflicts(&self) -> usize {
        self.conflicts.load(Ordering::SeqCst)
    }

    pub fn next_step(&self, plugin: &str, call: Call) -> Step {
        let name = call.name.clone();
        let mut calls = self.calls.lock();
        calls.push(call);
        if calls.len().is_multiple_of(self.fail_every.load(Ordering::SeqCst))
            || self.failing.lock().contains(&(plugin.to_owned(), name.clone()))
        {
            return Step::Fail;
        }
        self.steps
            .lock()
            .get_mut(&name)
            .and_then(VecDeque::pop_front)
            .unwrap_or(Step::Succeed)
    }
}

/// The plugins as one node runs them: with that node's connections.
pub struct NodePlugins {
    pub sql: Sql,
    pub script: Arc<Script>,
}

impl NodePlugins {
    pub async fn act(&self, plugin: &str, key: &str, call: Call, done: KernelStatement) -> Result<(), Failure> {
        let Call { name, id, .. } = call.clone();
        let step = self.script.next_step(plugin, call);
        let mut changes = Vec::new();
        match &step {
            Step::Fail => return Err(Failure::Failed("422 no: as the script says".to_owned())),
            Step::Take(time) => tokio::time::sleep(*time).await,
            Step::WaitBeforeWork => self.script.go_on.acquire().await.expect("open").forget(),
            Step::Change(change) => changes.push(change.clone()),
            Step::Succeed | Step::HangBeforeCommit => {}
        }
        let mut work = self.sql.work(STORE, Mode::Changing);
        let text = "insert into kernel.effects (plugin, name, key, id, at) values ($1, $2, $3, $4, $5)";
        work.kernel_execute(text, &args![plugin, name, key, id, Time::now()])
            .await
            .map_err(failure)?;
        if matches!(step, Step::HangBeforeCommit) {
            self.script.about_to_commit.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        let mut settlement = settle(STORE, &[], &changes, |_, _| Vec::new());
        settlement.push(done);
        let committed = work.finish(settlement).await;
        if committed == Err(SqlError::Conflict) {
            self.script.conflicts.fetch_add(1, Ordering::SeqCst);
        }
        committed.map_err(failure)
    }
}

pub fn failure(error: SqlError) -> Failure {
    match error {
        SqlError::Conflict => Failure::LeaseLost,
        SqlError::Unavailable { .. } => Failure::NotNow(error.to_string()),
        error => Failure::Failed(error.to_string()),
    }
}

#[async_trait]
impl Consumers for NodePlugins {
    fn takes_part(&self, _store: i64, plugin: &str) -> bool {
        !self.script.disabled.lock().contains(plugin)
    }

    fn schedules(&self) -> Vec<ScheduleLine> {
        self.script.lines.lock().clone()
    }

    async fn consume(&self, delivery: &Delivery, done: KernelStatement) -> Result<(), Failure> {
        let Delivery {
            name,
            event_id,
            attempts,
            ..
        } = delivery.clone();
        let call = Call {
            name,
            id: event_id,
            attempts,
        };
        self.act(&delivery.subscriber, &delivery.key, call, done).await
    }

    async fn run(&self, job: &DueJob, done: KernelStatement) -> Result<(), Failure> {
        let DueJob { name, id, attempts, .. } = job.clone();
        self.act(&job.plugin, &job.key, Call { name, id, attempts }, done).await
    }
}
