//! `secrets`: values the operator sealed for this plugin, each granted by name.

use async_trait::async_trait;

use super::super::bindings::imports::secrets::Host;
use super::super::bindings::imports::types::Refusal;
use super::super::grants::not_granted;
use super::super::instance::CallState;

/// Where secrets come from.
#[async_trait]
pub trait SecretSource: Send + Sync {
    /// The store's own value, else the one for all stores; None where the operator set neither.
    async fn secret(&self, store: i64, plugin: &str, name: &str) -> Result<Option<String>, SecretsUnavailable>;
}

/// The values can't be read now. The cause is in the log.
#[derive(Debug, thiserror::Error)]
#[error("secrets are out of reach")]
pub struct SecretsUnavailable;

impl Host for CallState {
    async fn get(&mut self, name: String) -> wasmtime::Result<Result<Option<String>, Refusal>> {
        self.clock.leave_lane();
        let call = self.context()?;
        if !call.plugin.grants.secrets.contains(&name) {
            let asked = call.plugin.manifest.capabilities.secrets.contains(&name);
            return Ok(Err(not_granted(asked, &format!("secrets = [\"{name}\"]"))));
        }
        let source = call.tree.plugins().secrets();
        let found = source.secret(call.tree.store().number, &call.plugin.name, &name).await;
        let Ok(found) = found else {
            return Ok(Err(Refusal::Unavailable));
        };
        if let Some(secret) = &found {
            self.log.never_show(secret);
        }
        Ok(Ok(found))
    }
}
