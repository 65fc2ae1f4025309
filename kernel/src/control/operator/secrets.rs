//! Secrets of plugins.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Operator, items};
use crate::control::request::exposed;
use crate::http::problem::{Code, Problem};
use crate::secrets::Secret;

/// Without a store: what is for all stores that have none of their own.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum SecretRequest {
    Set {
        plugin: String,
        name: String,
        store: Option<String>,
        #[serde(serialize_with = "exposed")]
        value: Secret<String>,
    },
    /// Names only.
    List {
        plugin: Option<String>,
        store: Option<String>,
    },
    Remove {
        plugin: String,
        name: String,
        store: Option<String>,
    },
}

impl Operator {
    pub(super) async fn secrets(&self, request: SecretRequest) -> Result<Value, Problem> {
        let secrets = &self.kernel.secrets;
        match request {
            SecretRequest::Set {
                plugin,
                name,
                store,
                value,
            } => {
                self.check_declared(&plugin, &name)?;
                secrets
                    .set(self.number(store.as_deref())?, &plugin, &name, &value)
                    .await?;
                Ok(json!({ "plugin": plugin, "name": name, "store": store }))
            }
            SecretRequest::List { plugin, store } => {
                let store = self.number(store.as_deref())?;
                let known = secrets.list().into_iter().filter(|secret| {
                    plugin.as_ref().is_none_or(|name| *name == secret.plugin)
                        && store.is_none_or(|number| number == secret.store)
                });
                Ok(items(known.map(|secret| {
                    let store = self
                        .kernel
                        .stores
                        .by_number(secret.store)
                        .map(|store| store.slug.clone());
                    json!({ "plugin": secret.plugin, "name": secret.name, "store": store })
                })))
            }
            SecretRequest::Remove { plugin, name, store } => {
                secrets.remove(self.number(store.as_deref())?, &plugin, &name).await?;
                Ok(json!({ "plugin": plugin, "name": name, "removed": true }))
            }
        }
    }

    /// A secret under a misspelt name would lie there sealed and be read by nobody.
    fn check_declared(&self, plugin: &str, name: &str) -> Result<(), Problem> {
        let installed = self.kernel.plugins.installed();
        let known = installed.plugin(plugin).ok_or_else(|| {
            Problem::not_found(format!(
                "`{plugin}` is not installed; `commerce plugin list` shows what is."
            ))
        })?;
        let declared = &known.manifest.capabilities.secrets;
        if declared.iter().any(|one| one == name) {
            return Ok(());
        }
        let detail = match declared.as_slice() {
            [] => format!("`{plugin}` reads no secrets."),
            some => format!("`{plugin}` reads no secret `{name}`. It reads: {}.", some.join(", ")),
        };
        Err(Problem::new(Code::InvalidBody, detail))
    }
}
