//! wasmtime as the kernel uses it: one engine, one pool of instances, one linker, compiled components on disk.
//!
//! Every call gets a fresh instance. What makes that cheap is here: the pooling allocator keeps the touched pages of freed
//! memories and, where the system offers `PAGEMAP_SCAN`, resets just those, so that a call needs no `mprotect` and no
//! `madvise`. See docs/architecture.md for the figures.

use std::hash::{BuildHasher as _, Hasher as _};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::sync::Semaphore;
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::bindings::kinds;
use super::capabilities;
use super::config::PluginsConfig;
use super::instance::CallState;
use super::package::sha256;

/// How often a running guest can be interrupted. Short, so that a guest that computes gives way to those that answer.
const TICK: Duration = Duration::from_millis(2);
const MAX_WASM_STACK: usize = 512 << 10;
const ASYNC_STACK: usize = 1 << 20;
/// What the SDK's arena starts with; a guest that stays inside it costs no system call.
const KEEP_RESIDENT: usize = 2 << 20;
/// Without `PAGEMAP_SCAN` the kept part is cleared whole at every call: keep less.
const KEEP_RESIDENT_BLIND: usize = 256 << 10;

#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    linker: Arc<Linker<CallState>>,
    artifacts: Arc<Artifacts>,
    /// Calls that have used up their first tick share few threads, so that those that answer at once keep the others.
    pub(super) slow_lane: Arc<Semaphore>,
}

/// A component ready to be instantiated, and where each export it has is found.
#[derive(Clone)]
pub struct Compiled {
    pub(super) pre: InstancePre<CallState>,
    pub(super) describe: Option<kinds::describe::GuestIndices>,
    pub(super) handle: Option<kinds::handle::GuestIndices>,
    pub(super) call: Option<kinds::call::GuestIndices>,
    pub(super) consume: Option<kinds::consume::GuestIndices>,
    pub(super) run: Option<kinds::run::GuestIndices>,
}

impl Engine {
    /// `data_dir` gets a folder for compiled components, readable for this user only.
    pub fn new(config: &PluginsConfig, data_dir: &Path) -> Result<Self> {
        let engine = wasmtime::Engine::new(&engine_config(config)).map_err(plain)?;
        let mut linker = Linker::new(&engine);
        capabilities::link(&mut linker).map_err(plain)?;
        start_ticker(engine.weak())?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            artifacts: Arc::new(Artifacts::open(data_dir, &engine)?),
            linker: Arc::new(linker),
            slow_lane: Arc::new(Semaphore::new((threads / 4).max(1))),
            engine,
        })
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.engine
    }

    /// What was compiled before, if it is still there: maps a file.
    pub fn load_kept(&self, digest: &str) -> Option<Compiled> {
        let component = self.artifacts.load(&self.engine, digest)?;
        self.prepare(&component).ok()
    }

    /// Compiles a component and keeps the result. Blocks: up to seconds for a guest that carries its interpreter.
    pub fn compile(&self, digest: &str, bytes: &[u8]) -> Result<Compiled> {
        let component = Component::from_binary(&self.engine, bytes).map_err(plain)?;
        self.artifacts.save(digest, &component.serialize().map_err(plain)?)?;
        self.prepare(&component)
    }

    fn prepare(&self, component: &Component) -> Result<Compiled> {
        let pre = self.linker.instantiate_pre(component).map_err(plain)?;
        // A missing export is a kind the plugin does not have.
        Ok(Compiled {
            describe: kinds::describe::GuestIndices::new(&pre).ok(),
            handle: kinds::handle::GuestIndices::new(&pre).ok(),
            call: kinds::call::GuestIndices::new(&pre).ok(),
            consume: kinds::consume::GuestIndices::new(&pre).ok(),
            run: kinds::run::GuestIndices::new(&pre).ok(),
            pre,
        })
    }
}

/// wasmtime's error, which is no `std::error::Error`, with its causes.
fn plain(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}

fn engine_config(config: &PluginsConfig) -> Config {
    let pagemap = PoolingAllocationConfig::is_pagemap_scan_available();
    let keep = if pagemap { KEEP_RESIDENT } else { KEEP_RESIDENT_BLIND };
    tracing::info!(
        pagemap_scan = pagemap,
        keep_resident_kib = keep >> 10,
        "plugin memory is reset in place"
    );

    // Nested calls never wait for an instance: there is one for every call that can be under way at every depth.
    let calls = config.concurrent_calls.saturating_mul(config.call_depth);
    let memory = (config.memory_cap_mib as usize) << 20;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_core_instances(calls.saturating_mul(4))
        .max_core_instances_per_component(24)
        .total_memories(calls)
        .max_memories_per_component(1)
        .max_memory_size(memory)
        .total_tables(calls.saturating_mul(2))
        .max_tables_per_component(8)
        .table_elements(20_000)
        .total_stacks(calls)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(2 << 20)
        .max_unused_warm_slots(config.warm_instances)
        .linear_memory_keep_resident(keep)
        .table_keep_resident(64 << 10)
        // What is cleared in place asks for the release of nothing. A batch would collect these requests, hold the slots
        // back until it is full and then cost a system call; one at a time they are free.
        .decommit_batch_size(1)
        .pagemap_scan(Enabled::Auto);

    let mut engine = Config::new();
    engine
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .wasm_component_model(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(MAX_WASM_STACK)
        .async_stack_size(ASYNC_STACK)
        .memory_reservation(memory as u64)
        .memory_guard_size(64 << 10)
        .guard_before_linear_memory(false);
    engine
}

/// Compiled components by digest of the package and of everything about the engine that shaped them.
///
/// Native code is loaded from here unchecked, so nothing but this user may ever have written it: the folder and every
/// file must belong to the user who runs the kernel and be writable for nobody else.
struct Artifacts {
    folder: PathBuf,
    compatibility: String,
    user: u32,
}

impl Artifacts {
    fn open(data_dir: &Path, engine: &wasmtime::Engine) -> Result<Self> {
        let folder = data_dir.join("compiled");
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let user = own_user(&folder)?;
        let about = std::fs::symlink_metadata(&folder)?;
        ensure!(
            about.is_dir() && about.uid() == user && about.mode() & 0o022 == 0,
            "{} must be a folder that only the user running the kernel can write to",
            folder.display()
        );
        Ok(Self {
            folder,
            compatibility: compatibility(engine),
            user,
        })
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}-{}.cwasm", self.compatibility))
    }

    fn load(&self, engine: &wasmtime::Engine, digest: &str) -> Option<Component> {
        let path = self.path(digest);
        let about = std::fs::symlink_metadata(&path).ok()?;
        if !about.is_file() || about.uid() != self.user || about.mode() & 0o077 != 0 {
            tracing::warn!(path = %path.display(), "a compiled plugin belongs to somebody else; compiling again");
            return None;
        }
        // SAFETY: the file was written by `save`: it lies in a folder that only this user can write to, belongs to this
        // user, and is never written in place.
        match unsafe { Component::deserialize_file(engine, &path) } {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a compiled plugin can't be loaded; compiling again");
                None
            }
        }
    }

    /// Under another name first: a reader, or a kernel that is killed, never meets half a file.
    fn save(&self, digest: &str, artifact: &[u8]) -> Result<()> {
        let unfinished = self.folder.join(format!("{}.unfinished", uuid::Uuid::now_v7()));
        let written = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)
            .and_then(|mut file| file.write_all(artifact).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::rename(&unfinished, self.path(digest)));
        if written.is_err() {
            let _ = std::fs::remove_file(&unfinished);
        }
        written.with_context(|| format!("keeping a compiled plugin in {}", self.folder.display()))
    }
}

/// Who a file belongs to that this process makes: the one portable way to learn it without unsafe code.
fn own_user(folder: &Path) -> Result<u32> {
    let probe = folder.join(format!("{}.probe", uuid::Uuid::now_v7()));
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&probe);
    let user = file.and_then(|file| file.metadata()).map(|about| about.uid());
    let _ = std::fs::remove_file(&probe);
    user.with_context(|| format!("{} must be writable", folder.display()))
}

fn compatibility(engine: &wasmtime::Engine) -> String {
    // The default SipHash with fixed keys: the same in every process of one build.
    let mut hasher = std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default().build_hasher();
    std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut hasher);
    sha256(&hasher.finish().to_le_bytes())[..16].to_owned()
}

/// Starts the thread that advances the epoch. It ends when the engine is gone.
fn start_ticker(engine: wasmtime::EngineWeak) -> Result<()> {
    let tick = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    };
    std::thread::Builder::new()
        .name("plugin-epoch".to_owned())
        .spawn(tick)?;
    Ok(())
}
