//! What fills a store: imported files and demonstrations.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Operator, Tell};
use crate::control::Progress;
use crate::http::problem::Problem;
use crate::plugins::Plugin;
use crate::storage::sql::Mode;
use crate::stores::Store;

/// How many items of a demonstration one unit of work makes.
const SEED_BATCH: u64 = 100;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum DataRequest {
    /// Rows of a file for the plugin that imports this resource and format; see `commerce_contract::Import`.
    Import {
        store: String,
        resource: String,
        format: String,
        payload: Value,
    },
    /// Fills a store with a demonstration; see `commerce_contract::Seed`. Streams progress.
    Seed {
        store: String,
        counts: BTreeMap<String, u64>,
    },
}

impl Operator {
    pub(super) async fn data(&self, request: DataRequest, tell: Tell<'_>) -> Result<Value, Problem> {
        match request {
            DataRequest::Import {
                store,
                resource,
                format,
                payload,
            } => self.import(&store, &resource, &format, payload).await,
            DataRequest::Seed { store, counts } => self.seed(&store, counts, tell).await,
        }
    }

    /// One batch of rows, as one unit of work. A trial run does everything and keeps nothing.
    async fn import(&self, store: &str, resource: &str, format: &str, payload: Value) -> Result<Value, Problem> {
        let store = self.store(store)?;
        let installed = self.kernel.plugins.installed();
        let known = || {
            installed
                .plugins()
                .filter(|plugin| installed.enabled(store.number, &plugin.name))
        };
        let found = known().find_map(|plugin| {
            let imports = &plugin.descriptor.imports;
            let import = imports
                .iter()
                .find(|import| import.resource == resource && import.format == format)?;
            Some((plugin.name.clone(), import.function.clone()))
        });
        let (plugin, function) = found.ok_or_else(|| {
            let formats: Vec<String> = known()
                .flat_map(|plugin| &plugin.descriptor.imports)
                .map(|import| format!("{} --format {}", import.resource, import.format))
                .collect();
            let formats = if formats.is_empty() {
                "nothing".to_owned()
            } else {
                formats.join(", ")
            };
            Problem::not_found(format!(
                "No plugin imports {resource} from {format}. There is: {formats}."
            ))
        })?;
        let trial = payload["options"]["dry_run"].as_bool().unwrap_or(false);
        self.call(store, &plugin, &function, payload, !trial).await
    }

    async fn seed(&self, store: &str, counts: BTreeMap<String, u64>, tell: Tell<'_>) -> Result<Value, Problem> {
        let store = self.store(store)?;
        let installed = self.kernel.plugins.installed();
        let mut made = BTreeMap::new();
        for (resource, count) in counts {
            let seeds = |plugin: &Plugin| {
                let seed = plugin
                    .descriptor
                    .seed
                    .as_ref()
                    .filter(|seed| seed.resource == resource)?;
                Some((plugin.name.clone(), seed.function.clone()))
            };
            let known = installed
                .plugins()
                .filter(|plugin| installed.enabled(store.number, &plugin.name));
            let (plugin, function) = known.into_iter().find_map(|plugin| seeds(plugin)).ok_or_else(|| {
                Problem::not_found(format!(
                    "No plugin of store {} has a demonstration of {resource}.",
                    store.slug
                ))
            })?;
            let mut created = 0;
            let mut from = 0;
            while from < count {
                let batch = SEED_BATCH.min(count - from);
                let payload = json!({ "count": batch, "from": from });
                let answer = self.call(store.clone(), &plugin, &function, payload, true).await?;
                created += answer["created"].as_u64().unwrap_or(0);
                from += batch;
                tell(Progress {
                    step: format!("seeding {resource}"),
                    done: from,
                    total: Some(count),
                });
            }
            made.insert(resource, created);
        }
        Ok(json!({ "store": store.slug, "created": made }))
    }

    async fn call(
        &self,
        store: Arc<Store>,
        plugin: &str,
        function: &str,
        payload: Value,
        keep: bool,
    ) -> Result<Value, Problem> {
        let tree = self.kernel.plugins.system_tree(store, Mode::Changing);
        match self
            .kernel
            .plugins
            .call(&tree, plugin, function, payload.to_string().into_bytes())
            .await
        {
            Ok(answer) => {
                let answer = serde_json::from_slice(&answer).map_err(|_| Problem::internal())?;
                if keep {
                    tree.commit(Vec::new()).await?;
                } else {
                    tree.abandon().await;
                }
                Ok(answer)
            }
            Err(problem) => {
                tree.abandon().await;
                Err(problem)
            }
        }
    }
}
