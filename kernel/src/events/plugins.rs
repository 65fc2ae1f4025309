//! The plugin engine and this module, each as the other meets it: units of work announce through [`Outbox`], and what
//! they announced is done through [`Consumers`].

use std::sync::Arc;

use async_trait::async_trait;

use super::{Consumers, Delivery, DueJob, Events, Failure, PurgeRule, Runner, ScheduleLine, jobs, outbox};
use crate::caller::Caller;
use crate::http::problem::{Code, Problem};
use crate::plugins::{Event, Installed, Job, JobChange, Outbox, Plugin, Plugins, Published, Tree};
use crate::storage::sql::{KernelStatement, Mode, SqlError};
use crate::stores::{StoreStatus, Stores};

impl Outbox for Events {
    fn rows(
        &self,
        installed: &Installed,
        store: i64,
        published: &[Published],
        changes: &[JobChange],
    ) -> Vec<KernelStatement> {
        outbox::settle(store, published, changes, |publisher, event| {
            installed.subscribers(store, publisher, event)
        })
    }

    fn waiting_job(&self) -> &'static str {
        jobs::WAITING_JOB
    }

    fn committed(&self) {
        self.wake();
    }
}

impl Events {
    /// As [`start`](Self::start), with the plugins of this kernel. Follows what is installed.
    pub fn start_with(&self, plugins: &Plugins, stores: &Arc<Stores>, rules: Vec<PurgeRule>) -> Runner {
        let consumers = PluginConsumers {
            plugins: plugins.clone(),
            stores: Arc::clone(stores),
        };
        let runner = self.start(&(Arc::new(consumers) as Arc<dyn Consumers>), rules);
        let (events, mut changes) = (self.clone(), plugins.subscribe_changes());
        tokio::spawn(async move {
            while changes.changed().await.is_ok() {
                events.schedules_changed();
            }
        });
        runner
    }
}

struct PluginConsumers {
    plugins: Plugins,
    stores: Arc<Stores>,
}

impl PluginConsumers {
    /// The call tree of one event or job, which is one transaction.
    fn begin(&self, store: i64, plugin: &str, id: &str) -> Result<(Tree, Arc<Plugin>), Failure> {
        let gone = || Failure::NotNow(format!("{plugin} does not take part in this store any more"));
        let store = self.stores.by_number(store).ok_or_else(gone)?;
        let tree = self
            .plugins
            .tree(Arc::clone(&store), Caller::system(), id.to_owned(), Mode::Changing);
        let plugin = tree
            .installed()
            .enabled_plugin(store.number, plugin)
            .cloned()
            .ok_or_else(gone)?;
        Ok((tree, plugin))
    }
}

#[async_trait]
impl Consumers for PluginConsumers {
    fn takes_part(&self, store: i64, plugin: &str) -> bool {
        let active = self
            .stores
            .by_number(store)
            .is_some_and(|store| store.status == StoreStatus::Active);
        active && self.plugins.installed().enabled(store, plugin)
    }

    fn schedules(&self) -> Vec<ScheduleLine> {
        let installed = self.plugins.installed();
        let mut lines = Vec::new();
        for store in self
            .stores
            .all()
            .iter()
            .filter(|store| store.status == StoreStatus::Active)
        {
            for plugin in installed
                .plugins()
                .filter(|plugin| installed.enabled(store.number, &plugin.name))
            {
                lines.extend(plugin.descriptor.schedules.iter().map(|schedule| ScheduleLine {
                    store: store.number,
                    plugin: plugin.name.to_string(),
                    name: schedule.name.clone(),
                    cron: schedule.cron.clone(),
                }));
            }
        }
        lines
    }

    async fn consume(&self, delivery: &Delivery, done: KernelStatement) -> Result<(), Failure> {
        let (tree, plugin) = self.begin(delivery.store, &delivery.subscriber, &delivery.event_id)?;
        let event = Event {
            id: delivery.event_id.clone(),
            publisher: delivery.publisher.clone(),
            name: delivery.name.clone(),
            key: delivery.key.clone(),
            payload: delivery.payload.clone(),
            occurred_at: delivery.occurred_at.0.max(0).cast_unsigned(),
            attempts: delivery.attempts,
        };
        let consumed = self.plugins.consume(&tree, &plugin, event).await;
        settle(tree, consumed, done).await
    }

    async fn run(&self, job: &DueJob, done: KernelStatement) -> Result<(), Failure> {
        let (tree, plugin) = self.begin(job.store, &job.plugin, &job.id)?;
        let run = Job {
            id: job.id.clone(),
            name: job.name.clone(),
            key: job.key.clone(),
            payload: job.payload.clone(),
            due_at: job.due_at.0.max(0).cast_unsigned(),
            attempts: job.attempts,
        };
        let ran = self.plugins.run(&tree, &plugin, run).await;
        settle(tree, ran, done).await
    }
}

async fn settle(tree: Tree, outcome: Result<(), Problem>, done: KernelStatement) -> Result<(), Failure> {
    match outcome {
        Ok(()) => tree.commit(vec![done]).await.map_err(|error| match error {
            SqlError::Conflict => Failure::LeaseLost,
            SqlError::Unavailable { .. } => Failure::NotNow(error.to_string()),
            error => Failure::Failed(error.to_string()),
        }),
        Err(problem) => {
            tree.abandon().await;
            Err(match problem.is(Code::Overloaded) {
                true => Failure::NotNow(problem.detail),
                false => Failure::Failed(format!("{} {}: {}", problem.status, problem.code, problem.detail)),
            })
        }
    }
}
