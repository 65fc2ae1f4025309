//! `secrets`: values the operator sealed for this plugin, each granted by name.

use super::super::bindings::imports::secrets::Host;
use super::super::bindings::imports::types::Refusal;
use super::super::grants::not_granted;
use super::super::instance::CallState;
use crate::secrets::Secrets;

/// Where secrets come from: a snapshot in memory.
pub trait SecretSource: Send + Sync {
    /// The store's own value, else the one for all stores; None where the operator set neither.
    fn secret(&self, store: i64, plugin: &str, name: &str) -> Option<String>;
}

impl SecretSource for Secrets {
    fn secret(&self, store: i64, plugin: &str, name: &str) -> Option<String> {
        self.get(store, plugin, name).map(|secret| secret.expose().clone())
    }
}

impl Host for CallState {
    fn get(&mut self, name: String) -> wasmtime::Result<Result<Option<String>, Refusal>> {
        let call = self.context()?;
        if !call.plugin.grants.secrets.contains(&name) {
            let asked = call.plugin.manifest.capabilities.secrets.contains(&name);
            return Ok(Err(not_granted(asked, &format!("secrets = [\"{name}\"]"))));
        }
        let source = call.tree.plugins().secrets();
        let found = source.secret(call.tree.store().number, &call.plugin.name, &name);
        if let Some(secret) = &found {
            self.log.never_show(secret);
        }
        Ok(Ok(found))
    }
}
