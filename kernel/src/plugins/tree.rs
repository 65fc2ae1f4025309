//! A call tree: one request, event or job with everything it calls, and the unit of work they share.
//!
//! What a tree announces is kept here until it is certain, in step with the transactions, and the outermost commit writes it
//! in the same transaction. Plugins of one tree run one at a time, so the locks here are never waited for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use super::Plugins;
use super::announcements::{JobChange, Pending, Published, TooMany};
use super::registry::Installed;
use crate::caller::Caller;
use crate::storage::sql::{Frame, KernelStatement, Mode, PluginAccess, SqlError, Work};
use crate::stores::Store;

/// Cheap to clone; every call of the tree holds it.
#[derive(Clone)]
pub struct Tree(Arc<Inner>);

struct Inner {
    plugins: Plugins,
    /// Pinned for the whole tree: it finishes on the versions it began with.
    installed: Arc<Installed>,
    store: Arc<Store>,
    caller: Caller,
    request_id: String,
    mode: Mode,
    /// None once the tree was committed or abandoned.
    work: Mutex<Option<Work>>,
    pending: parking_lot::Mutex<Pending>,
}

impl Tree {
    pub(super) fn new(plugins: Plugins, store: Arc<Store>, caller: Caller, request_id: String, mode: Mode) -> Self {
        let work = plugins.sql().work(store.number, mode);
        Self(Arc::new(Inner {
            installed: plugins.installed(),
            plugins,
            store,
            caller,
            request_id,
            mode,
            work: Mutex::new(Some(work)),
            pending: parking_lot::Mutex::default(),
        }))
    }

    pub fn plugins(&self) -> &Plugins {
        &self.0.plugins
    }

    pub fn installed(&self) -> &Arc<Installed> {
        &self.0.installed
    }

    pub fn store(&self) -> &Arc<Store> {
        &self.0.store
    }

    pub fn caller(&self) -> &Caller {
        &self.0.caller
    }

    pub fn request_id(&self) -> &str {
        &self.0.request_id
    }

    pub fn mode(&self) -> Mode {
        self.0.mode
    }

    /// Writes what was announced, then `settlement`, and commits; then drops the answers kept under invalidated tags.
    pub async fn commit(self, settlement: Vec<KernelStatement>) -> Result<(), SqlError> {
        let Some(work) = self.0.work.lock().await.take() else {
            return Err(SqlError::Doomed);
        };
        let mut statements = self.take_announcements();
        let announced = !statements.is_empty();
        statements.extend(settlement);
        work.finish(statements).await?;
        self.committed(announced);
        Ok(())
    }

    /// Rolls back. What a staged tree committed before stays, with its announcements.
    pub async fn abandon(self) {
        let work = self.0.work.lock().await.take();
        if let Some(work) = work {
            work.abandon().await;
        }
    }

    /// The unit of work, for one operation. `Err(Doomed)` once the tree has ended.
    pub(super) async fn work(&self) -> Result<MappedMutexGuard<'_, Work>, SqlError> {
        MutexGuard::try_map(self.0.work.lock().await, Option::as_mut).map_err(|_| SqlError::Doomed)
    }

    pub(super) fn in_transaction(&self) -> bool {
        match self.0.work.try_lock() {
            Ok(work) => work.as_ref().is_none_or(Work::in_transaction),
            // Somebody uses it, which no call of this tree can see; the answer that refuses is the safe one.
            Err(_) => true,
        }
    }

    /// A GET announces nothing.
    pub(super) fn may_announce(&self) -> bool {
        self.0.mode != Mode::Reading
    }

    pub(super) async fn publish(&self, event: Published) -> Result<Result<(), TooMany>, SqlError> {
        if let Err(too_many) = self.0.pending.lock().publish(event) {
            return Ok(Err(too_many));
        }
        self.write_if_alone().await.map(Ok)
    }

    pub(super) async fn change_job(&self, change: JobChange) -> Result<Result<(), TooMany>, SqlError> {
        if let Err(too_many) = self.0.pending.lock().change_job(change) {
            return Ok(Err(too_many));
        }
        self.write_if_alone().await.map(Ok)
    }

    /// Whether a job waits, with what this tree itself has changed.
    pub(super) async fn job_waits(&self, plugin: &str, name: &str, key: &str) -> Result<bool, SqlError> {
        if let Some(waits) = self.0.pending.lock().job_waits((plugin, name, key)) {
            return Ok(waits);
        }
        let text = self.0.plugins.outbox().waiting_job();
        let args = [self.0.store.number.into(), plugin.into(), name.into(), key.into()];
        Ok(!self.work().await?.kernel_fetch_all(text, &args).await?.is_empty())
    }

    pub(super) fn invalidate(&self, plugin: &str, tags: Vec<String>) -> Result<(), TooMany> {
        self.0.pending.lock().invalidate(plugin, tags)
    }

    pub(super) async fn begin(&self, frame: Frame, access: &PluginAccess) -> Result<u32, SqlError> {
        let transaction = self.work().await?.begin(frame, access).await?;
        self.0.pending.lock().transaction_began(frame);
        Ok(transaction)
    }

    pub(super) async fn commit_transaction(&self, frame: Frame, transaction: u32) -> Result<(), SqlError> {
        let outermost = self.0.mode == Mode::Staged && self.0.pending.lock().open_transactions() == 1;
        let announced = outermost && self.write_announcements().await?;
        let committed = self.work().await?.commit(frame, transaction).await;
        match &committed {
            Ok(()) => self.0.pending.lock().transaction_committed(),
            // Still open, and another call's to close.
            Err(SqlError::NotOwner) => {}
            Err(_) => self.0.pending.lock().transaction_rolled_back(),
        }
        if outermost && committed.is_ok() {
            self.committed(announced);
        }
        committed
    }

    pub(super) async fn rollback_transaction(&self, frame: Frame, transaction: u32) -> Result<(), SqlError> {
        let rolled_back = self.work().await?.rollback(frame, transaction).await;
        if !matches!(rolled_back, Err(SqlError::NotOwner)) {
            self.0.pending.lock().transaction_rolled_back();
        }
        rolled_back
    }

    pub(super) async fn enter(&self) -> Result<Frame, SqlError> {
        Ok(self.work().await?.enter())
    }

    pub(super) async fn leave(&self, frame: Frame) -> Result<(), SqlError> {
        let left = self.work().await?.leave(frame).await;
        self.0.pending.lock().frame_left(frame);
        left
    }

    /// How long the tree has waited in queues for a connection so far.
    pub(super) async fn waited(&self) -> Duration {
        self.work().await.map_or(Duration::ZERO, |work| work.waited())
    }

    /// A joined call failed: the innermost open transaction can only be rolled back.
    pub(super) async fn doom(&self) {
        if let Ok(mut work) = self.work().await {
            work.doom();
        }
    }

    /// A staged tree outside of a transaction has no later commit to wait for.
    async fn write_if_alone(&self) -> Result<(), SqlError> {
        let alone = self.0.mode == Mode::Staged && self.0.pending.lock().open_transactions() == 0;
        if alone && self.write_announcements().await? {
            self.0.plugins.outbox().committed();
        }
        Ok(())
    }

    async fn write_announcements(&self) -> Result<bool, SqlError> {
        let statements = self.take_announcements();
        if statements.is_empty() {
            return Ok(false);
        }
        let mut work = self.work().await?;
        for statement in statements {
            work.later(statement).await?;
        }
        Ok(true)
    }

    fn take_announcements(&self) -> Vec<KernelStatement> {
        let (published, jobs) = self.0.pending.lock().take();
        if published.is_empty() && jobs.is_empty() {
            return Vec::new();
        }
        self.0
            .plugins
            .outbox()
            .rows(&self.0.installed, self.0.store.number, &published, &jobs)
    }

    fn committed(&self, announced: bool) {
        if announced {
            self.0.plugins.outbox().committed();
        }
        let tags = self.0.pending.lock().take_tags();
        for (plugin, tags) in tags {
            self.0.plugins.tags().invalidate(self.0.store.number, &plugin, &tags);
        }
    }
}
