//! The SQL texts of one plugin version that passed the border, each found once.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::storage::sql::border::{Border, Prepared, Refusal};

/// Texts beyond the recorded ones are made at run time; when there are more than this, all are forgotten and found again.
const MAX_RUN_TIME_TEXTS: usize = 1_000;

pub struct Statements {
    border: Border,
    recorded: usize,
    prepared: RwLock<HashMap<Box<str>, Arc<Prepared>>>,
}

impl Statements {
    pub fn new(border: Border, recorded: usize) -> Self {
        Self {
            border,
            recorded,
            prepared: RwLock::default(),
        }
    }

    pub fn prepare(&self, text: &str) -> Result<Arc<Prepared>, Refusal> {
        if let Some(prepared) = self.prepared.read().get(text) {
            return Ok(prepared.clone());
        }
        // Outside of the lock: a text takes tens of microseconds. Refusals are not kept: who repeats one pays for it.
        let prepared = Arc::new(self.border.prepare(text)?);
        let mut known = self.prepared.write();
        if known.len() >= self.recorded + MAX_RUN_TIME_TEXTS {
            known.clear();
        }
        known.insert(text.into(), prepared.clone());
        Ok(prepared)
    }
}
