//! What one plugin's statements need besides their text: its share of the connections, and the second wall's verdict on
//! each text, found once.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::Semaphore;

use super::Engine;
use super::border::Prepared;
use super::postgres::Kind;
use super::sqlite::{self, Allowed};

/// More texts than this in one plugin are made at run time; the oldest verdicts are not worth keeping.
const MAX_TEXTS: usize = 2_000;

/// Made once per installed plugin version and cloned from there.
#[derive(Clone)]
pub struct PluginAccess(Arc<Access>);

struct Access {
    plugin: String,
    connections: Arc<Semaphore>,
    /// Those of the connections that may have a transaction open, or be in line for one.
    writers: Arc<Semaphore>,
    checked: RwLock<HashMap<Box<str>, Arc<Checked>>>,
}

/// A text that passed the engine's own check under the plugin's rights, ready to run.
pub(super) enum Checked {
    Sqlite { text: Arc<str>, allowed: Arc<Allowed> },
    Postgres { text: Arc<str>, parameters: Box<[Kind]> },
}

impl PluginAccess {
    pub(super) fn new(plugin: &str, connections: u32, engine: Engine) -> Self {
        let connections = Arc::new(Semaphore::new(connections.max(1) as usize));
        Self(Arc::new(Access {
            plugin: plugin.to_owned(),
            writers: match engine {
                // One writes for everybody: plugins take turns, however many calls of one of them are waiting.
                Engine::Sqlite => Arc::new(Semaphore::new(1)),
                Engine::Postgres => Arc::clone(&connections),
            },
            connections,
            checked: RwLock::default(),
        }))
    }

    pub fn plugin(&self) -> &str {
        &self.0.plugin
    }

    pub(super) fn connections(&self) -> &Arc<Semaphore> {
        &self.0.connections
    }

    pub(super) fn writers(&self) -> &Arc<Semaphore> {
        &self.0.writers
    }

    pub(super) fn known(&self, text: &str) -> Option<Arc<Checked>> {
        self.0.checked.read().get(text).cloned()
    }

    pub(super) fn remember(&self, text: &str, checked: Checked) -> Arc<Checked> {
        let checked = Arc::new(checked);
        let mut known = self.0.checked.write();
        if known.len() >= MAX_TEXTS {
            known.clear();
        }
        known.insert(text.into(), Arc::clone(&checked));
        checked
    }

    pub(super) fn check_sqlite(&self, prepared: &Prepared) -> Checked {
        Checked::Sqlite {
            text: sqlite::marked(&self.0.plugin, prepared).into(),
            allowed: Arc::new(Allowed::new(&prepared.tables)),
        }
    }
}
