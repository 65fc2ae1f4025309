//! What this module needs of the plugins, so that it need not know how they are run.

use async_trait::async_trait;

use super::{Delivery, DueJob};
use crate::storage::sql::KernelStatement;

/// The plugins as a place where events go. The plugin engine implements it.
#[async_trait]
pub trait Consumers: Send + Sync + 'static {
    /// Whether the plugin is installed and enabled in this store, and the store active. Work of the others waits.
    fn takes_part(&self, store: i64, plugin: &str) -> bool;

    /// The cron lines of all plugins in all stores where they take part.
    fn schedules(&self) -> Vec<ScheduleLine>;

    /// Runs the subscriber's `consume` and commits what it did together with `done`, in one transaction.
    async fn consume(&self, delivery: &Delivery, done: KernelStatement) -> Result<(), Failure>;

    /// Runs the plugin's `run` and commits what it did together with `done`, in one transaction.
    async fn run(&self, job: &DueJob, done: KernelStatement) -> Result<(), Failure>;
}

/// A line of a descriptor's `schedules` in one store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScheduleLine {
    pub store: i64,
    pub plugin: String,
    pub name: String,
    pub cron: String,
}

/// Why a delivery or a run did not commit. In each case nothing of it has had an effect, except that after an
/// uncertain commit (report it as `Failed`) it may all have; the fence tells then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The plugin answered with a problem, trapped, or ran out of time. Shown to the operator: no payloads, no secrets.
    #[error("{0}")]
    Failed(String),
    /// Nothing was tried: no sandbox free, the database out of reach, the plugin just removed. Does not count.
    #[error("not now: {0}")]
    NotNow(String),
    /// Another node holds the row now; `done` was refused (`SqlError::Conflict`) and all of it rolled back.
    #[error("the lease was lost")]
    LeaseLost,
}
