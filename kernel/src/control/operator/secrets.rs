//! Secrets of plugins.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Operator, items};
use crate::control::request::exposed;
use crate::http::problem::Problem;
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
}
