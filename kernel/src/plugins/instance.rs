//! The life of one call: a fresh instance, its limits, and what became of it.
//!
//! A guest can end a call in many ways: an answer, a problem, a trap, too much time, memory, stack or answer. Each is told
//! apart here, once, and becomes an [`Outcome`] or a [`Failure`]; nothing a guest does can unwind into the kernel.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use commerce_contract::Manifest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use wasmtime::component::Instance;
use wasmtime::{PoolConcurrencyLimitError, ResourceLimiter, Store, Trap, UpdateDeadline};

use super::capabilities::log::LogBudget;
use super::config::PluginsConfig;
use super::engine::{Compiled, Engine};
use super::registry::Plugin;
use super::tree::Tree;
use crate::storage::sql::Frame;

/// Growth up to here is not counted against the plugin's share: it is the arena every call begins with.
const FREE_BYTES: usize = 4 << 20;

/// A short call can meet the end of a tick by chance, or because the system gave its thread's time to another process.
const FREE_TICKS: u32 = 2;

/// What one call may use: the manifest's wishes under the configuration's caps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    pub deadline: Duration,
    pub memory_bytes: usize,
    pub answer_bytes: usize,
    pub instances: u32,
    pub connections: u32,
}

impl CallLimits {
    /// What the manifest asks for, or the configuration's default, under the caps.
    pub fn of(manifest: &Manifest, config: &PluginsConfig) -> Self {
        let asked = &manifest.limits;
        let deadline_ms = asked
            .deadline_ms
            .unwrap_or(config.deadline_ms)
            .clamp(1, config.deadline_cap_ms);
        let memory_mib = asked.memory_mib.unwrap_or(config.memory_mib).min(config.memory_cap_mib);
        let answer_kib = asked.answer_kib.unwrap_or(config.answer_kib).min(config.answer_cap_kib);
        Self {
            deadline: Duration::from_millis(deadline_ms),
            memory_bytes: (memory_mib as usize) << 20,
            answer_bytes: (answer_kib as usize) << 10,
            instances: asked
                .instances
                .unwrap_or(config.instances)
                .clamp(1, config.instances_cap),
            connections: asked
                .connections
                .unwrap_or(config.connections)
                .clamp(1, config.connections_cap),
        }
    }
}

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("it ran longer than its deadline")]
    Deadline,
    #[error("it used more memory than its limit")]
    Memory,
    #[error("its answer is larger than its limit")]
    AnswerTooLarge,
    #[error("no instance was free")]
    NoInstance,
    #[error("it has no export `{0}`")]
    NoExport(&'static str),
    #[error("it trapped: {0}")]
    Trap(String),
}

/// What the store of one instance holds. Dropped with the instance: nothing of a call outlives it.
pub struct CallState {
    /// None while `describe` runs, which has no capability at all.
    pub(super) call: Option<CallContext>,
    pub(super) clock: CallClock,
    pub(super) log: LogBudget,
    memory: MemoryLimit,
}

/// On whose behalf, and inside which call tree, an instance runs.
pub(super) struct CallContext {
    pub tree: Tree,
    pub plugin: Arc<Plugin>,
    pub frame: Frame,
    /// 1 for a top-level call.
    pub depth: u32,
}

impl CallState {
    pub(super) fn new(call: Option<CallContext>, engine: &Engine, limits: &CallLimits, deadline: Instant) -> Self {
        let shared = call.as_ref().map(|call| call.plugin.memory.clone());
        Self {
            clock: CallClock {
                deadline,
                waited: Duration::ZERO,
                ticks: 0,
                lane: engine.slow_lane.clone(),
                permit: Arc::default(),
            },
            log: LogBudget::default(),
            memory: MemoryLimit {
                most: limits.memory_bytes,
                shared,
                taken: 0,
                exceeded: false,
            },
            call,
        }
    }

    /// The call tree, or a trap: only `describe` has none.
    pub(super) fn context(&self) -> wasmtime::Result<&CallContext> {
        self.call
            .as_ref()
            .ok_or_else(|| wasmtime::format_err!("`describe` has no capabilities"))
    }
}

/// When a call must end, and how it gives way to others.
pub(super) struct CallClock {
    pub deadline: Instant,
    waited: Duration,
    ticks: u32,
    lane: Arc<Semaphore>,
    permit: Arc<parking_lot::Mutex<Option<OwnedSemaphorePermit>>>,
}

impl CallClock {
    /// Called before a capability waits: whoever waits uses no thread, so another call may have its place in the slow lane.
    pub fn leave_lane(&self) {
        self.permit.lock().take();
    }

    /// Told the whole time that the call tree has waited in queues so far; what is new of it is added to the deadline.
    pub fn waited(&mut self, waited: Duration) {
        self.deadline += waited.saturating_sub(self.waited);
        self.waited = waited.max(self.waited);
    }

    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// At the end of a tick: past the deadline the guest ends here; before it, it gives way, and after the first few ticks
    /// waits until a slow-lane place is free. Calls that compute for long therefore never occupy all threads, however many
    /// there are.
    fn tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        if Instant::now() >= self.deadline {
            return Err(wasmtime::Error::new(Failure::Deadline));
        }
        self.ticks += 1;
        if self.ticks <= FREE_TICKS {
            return Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())));
        }
        let (lane, permit, deadline) = (self.lane.clone(), self.permit.clone(), self.deadline);
        permit.lock().take();
        Ok(UpdateDeadline::YieldCustom(
            1,
            Box::pin(async move {
                tokio::task::yield_now().await;
                if let Ok(Ok(place)) = tokio::time::timeout_at(deadline, lane.acquire_owned()).await {
                    *permit.lock() = Some(place);
                }
            }),
        ))
    }
}

/// Linear memory of one instance, and of all instances of its plugin together.
struct MemoryLimit {
    most: usize,
    shared: Option<Arc<MemoryShare>>,
    taken: usize,
    exceeded: bool,
}

/// How much linear memory the running calls of one plugin may hold together.
#[derive(Debug)]
pub struct MemoryShare {
    left: AtomicUsize,
}

impl MemoryShare {
    pub fn of(config: &PluginsConfig) -> Self {
        Self {
            left: AtomicUsize::new((config.plugin_memory_mib as usize) << 20),
        }
    }

    fn take(&self, bytes: usize) -> bool {
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes))
            .is_ok()
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let counted = desired.saturating_sub(current.max(FREE_BYTES));
        let allowed = desired <= self.most && self.shared.as_ref().is_none_or(|shared| shared.take(counted));
        if !allowed {
            // A guest that is merely told `no` panics, which would look like its own bug.
            self.exceeded = true;
            return Err(wasmtime::Error::new(Failure::Memory));
        }
        self.taken += counted;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.exceeded = true;
        Err(error)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= 20_000)
    }

    fn instances(&self) -> usize {
        32
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.left.fetch_add(self.taken, Ordering::Relaxed);
        }
    }
}

/// A fresh instance, for exactly one call.
pub(super) struct FreshInstance {
    pub store: Store<CallState>,
    pub instance: Instance,
}

impl FreshInstance {
    pub async fn new(
        engine: &Engine,
        compiled: &Compiled,
        state: CallState,
        limits: &CallLimits,
    ) -> Result<Self, Failure> {
        let mut store = Store::new(engine.wasmtime(), state);
        store.limiter(|state| &mut state.memory);
        // What one lift may copy out of the guest: a list of a million names that all point at the same megabytes is cheap
        // for the guest and must not be dear for us.
        store.set_hostcall_fuel(limits.answer_bytes.saturating_mul(2).saturating_add(1 << 20));
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut context| context.data_mut().clock.tick());
        let instance = compiled
            .pre
            .instantiate_async(&mut store)
            .await
            .map_err(|error| Failure::of(&store, error))?;
        Ok(Self { store, instance })
    }
}

impl Failure {
    pub(super) fn of(store: &Store<CallState>, error: wasmtime::Error) -> Self {
        if store.data().memory.exceeded {
            return Failure::Memory;
        }
        if error.is::<PoolConcurrencyLimitError>() {
            return Failure::NoInstance;
        }
        match error.downcast::<Failure>() {
            Ok(failure) => failure,
            Err(error) => Failure::Trap(match error.downcast_ref::<Trap>() {
                // Rust's `panic = "abort"` ends here; its message went through `log` before.
                Some(Trap::UnreachableCodeReached) => "it panicked or reached unreachable code".to_owned(),
                // The fixed-size stack of a Rust guest lies below its data: recursion runs out of it first.
                Some(Trap::StackOverflow) => "its stack overflowed".to_owned(),
                Some(trap) => trap.to_string(),
                None => format!("{error:#}"),
            }),
        }
    }
}
