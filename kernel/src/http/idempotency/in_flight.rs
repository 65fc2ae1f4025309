//! Keys whose requests run on this node: a second request with one is told to wait.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

#[derive(Default)]
pub struct KeysInFlight(Mutex<HashSet<[u8; 32]>>);

/// Dropped when the request is answered.
pub(super) struct InFlight {
    keys: Arc<KeysInFlight>,
    digest: [u8; 32],
}

impl InFlight {
    pub fn enter(keys: &Arc<KeysInFlight>, digest: [u8; 32]) -> Option<Self> {
        keys.0.lock().insert(digest).then(|| Self {
            keys: keys.clone(),
            digest,
        })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.keys.0.lock().remove(&self.digest);
    }
}
