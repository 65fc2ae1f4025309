//! Databases, and the kernels' background on them. A node is a runtime of its own with its own connections, so that
//! killing one is as sudden as it is in life.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use commerce_kernel::args;
use commerce_kernel::events::{Consumers, Events, EventsConfig, Filter, PurgeRule, Runner, settle};
use commerce_kernel::plugins::{JobChange, Published};
use commerce_kernel::storage::sql::{Engine, KernelStatement, Mode, Sql, SqlConfig, SqlError, Time};
use commerce_kernel::typeid;
use prometheus::Registry;
use tokio::runtime::Runtime;

use crate::plugins::{NodePlugins, Script};

pub const STORE: i64 = 1;

/// A kernel's background in a runtime of its own.
pub struct Node {
    runtime: Option<Runtime>,
    runner: Option<Runner>,
    pub events: Events,
    pub registry: Registry,
}

impl Node {
    pub async fn stop(self) {
        self.stop_within(Duration::from_secs(5)).await;
    }

    pub async fn stop_within(mut self, grace: Duration) {
        let (Some(runtime), Some(runner)) = (self.runtime.take(), self.runner.take()) else {
            return;
        };
        runtime.spawn(runner.stop(grace)).await.expect("stopped");
        runtime.shutdown_background();
    }

    /// As `kill -9`: nothing gets to run any more.
    pub fn kill(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Of a test that failed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub struct Database {
    config: SqlConfig,
    folder: tempfile::TempDir,
    /// The test's own connections.
    pub sql: Sql,
    pub events: Events,
}

#[derive(Debug)]
pub struct Effect {
    pub plugin: String,
    pub name: String,
    pub key: String,
}

impl Database {
    pub async fn sqlite() -> Self {
        Self::open(SqlConfig::default()).await
    }

    pub async fn postgres() -> Self {
        let url = Some(commerce_harness::postgres::database().await);
        Self::open(SqlConfig {
            url,
            max_connections: 8,
            ..SqlConfig::default()
        })
        .await
    }

    pub async fn open(config: SqlConfig) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let sql = Sql::open(&config, folder.path()).await.expect("a database");
        sql.migrate().await.expect("migrated");
        let effects = match sql.engine() {
            Engine::Sqlite => {
                "create table kernel.effects (number integer primary key, plugin text, name text, key text, id text, at text)"
            }
            Engine::Postgres => {
                "create table kernel.effects (number bigint generated always as identity primary key,
                 plugin text, name text, key text, id text, at timestamptz)"
            }
        };
        sql.kernel().execute(effects, &[]).await.expect("a table");
        let events = Events::new(sql.clone(), self::config(), &Registry::new()).expect("metrics");
        Self {
            config,
            folder,
            sql,
            events,
        }
    }

    pub fn node(&self, script: &Arc<Script>) -> Node {
        self.node_with(script, config())
    }

    pub fn node_with(&self, script: &Arc<Script>, config: EventsConfig) -> Node {
        self.node_with_rules(script, config, Vec::new())
    }

    pub fn node_with_rules(&self, script: &Arc<Script>, config: EventsConfig, rules: Vec<PurgeRule>) -> Node {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let (sql_config, folder, script) = (self.config.clone(), self.folder.path().to_owned(), Arc::clone(script));
        let start = async move {
            let sql = Sql::open(&sql_config, &folder).await.expect("a database");
            let registry = Registry::new();
            let events = Events::new(sql.clone(), config, &registry).expect("metrics");
            let plugins: Arc<dyn Consumers> = Arc::new(NodePlugins { sql, script });
            (events.start(&plugins, rules), events, registry)
        };
        let (runner, events, registry) = tokio::task::block_in_place(|| runtime.block_on(start));
        Node {
            runtime: Some(runtime),
            runner: Some(runner),
            events,
            registry,
        }
    }

    pub async fn publish(&self, publisher: &str, subscribers: &[&str], events: &[(&str, &str)]) {
        let work = self.sql.work(STORE, Mode::Changing);
        work.finish(announce(publisher, subscribers, events))
            .await
            .expect("committed");
    }

    pub async fn change_jobs(&self, changes: &[JobChange]) {
        let work = self.sql.work(STORE, Mode::Changing);
        work.finish(settle(STORE, &[], changes, |_, _| Vec::new()))
            .await
            .expect("committed");
    }

    pub async fn effects(&self) -> Vec<Effect> {
        let text = "select plugin, name, key from kernel.effects order by number";
        let rows = self.sql.kernel().fetch_all(text, &[]).await.expect("rows");
        let read = |row: &commerce_kernel::storage::sql::Row| {
            Ok::<_, SqlError>(Effect {
                plugin: row.get(0)?,
                name: row.get(1)?,
                key: row.get(2)?,
            })
        };
        rows.iter().map(|row| read(row).expect("a row")).collect()
    }

    pub async fn count(&self, text: &'static str) -> i64 {
        self.sql
            .kernel()
            .fetch_one(text, &[])
            .await
            .expect("a row")
            .get(0)
            .expect("a number")
    }

    pub async fn execute(&self, text: &'static str, time: Time) {
        self.sql.kernel().execute(text, &args![time]).await.expect("done");
    }
}

pub fn announce(publisher: &str, subscribers: &[&str], events: &[(&str, &str)]) -> Vec<KernelStatement> {
    let event = |(name, key): &(&str, &str)| Published {
        id: typeid::new("evt"),
        publisher: publisher.to_owned(),
        name: (*name).to_owned(),
        key: (*key).to_owned(),
        payload: "{}".to_owned(),
        occurred_at: Time::now().0,
    };
    let events: Vec<_> = events.iter().map(event).collect();
    settle(STORE, &events, &[], |_, _| subscribers.iter().copied())
}

pub fn config() -> EventsConfig {
    EventsConfig {
        poll_ms: 50,
        ..EventsConfig::default()
    }
}

pub fn all() -> Filter {
    Filter {
        limit: 1_000,
        ..Filter::default()
    }
}

pub fn set<T: Into<String> + Clone, const N: usize>(items: [T; N]) -> HashSet<String> {
    items.into_iter().map(Into::into).collect()
}

pub fn ago(seconds: i64) -> Time {
    Time(Time::now().0 - seconds * 1_000_000)
}

pub fn from_now(milliseconds: i64) -> Time {
    Time(Time::now().0 + milliseconds * 1_000)
}

pub async fn eventually(what: &str, happened: impl AsyncFn() -> bool) {
    for _ in 0..600 {
        if happened().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("waited in vain: {what}");
}
