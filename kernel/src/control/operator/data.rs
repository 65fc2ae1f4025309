//! What fills a store: imported files and demonstrations.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Operator, Tell};
use crate::control::Progress;
use crate::http::problem::{Code, Problem};
use crate::plugins::Plugin;
use crate::storage::sql::Mode;
use crate::stores::{Store, currencies};

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
        let store = match payload["options"]["currency"].as_str() {
            Some(currency) => self.with_currency(store, currency, trial).await?,
            None => store,
        };
        let last = payload["last"].as_bool().unwrap_or(false);
        let answer = self.call(store.clone(), &plugin, &function, payload, !trial).await?;
        if !trial {
            let batches = self.growth.lock().counted(store.number, &plugin, last);
            self.tell_planner(&plugin, batches, last).await;
        }
        Ok(answer)
    }

    /// Prices in a currency that the store does not have could be shown and not sold: the operator who names one for a file
    /// gives it to the store. A trial run sees the store as it would be.
    async fn with_currency(&self, store: Arc<Store>, code: &str, trial: bool) -> Result<Arc<Store>, Problem> {
        let currency = currencies::find(&code.to_uppercase()).ok_or_else(|| {
            let detail = format!("{code} is no currency code of ISO 4217, such as USD.");
            Problem::new(Code::InvalidBody, detail)
        })?;
        if store.currencies.contains(&currency) {
            return Ok(store);
        }
        if trial {
            let mut with = Store::clone(&store);
            with.currencies.push(currency);
            return Ok(Arc::new(with));
        }
        self.kernel.stores.add_currency(&store, currency).await
    }

    /// Tables that have grown many times over since the planner last looked are read from end to end. Told when the number
    /// of batches has doubled, so that the first rows of a large import do not slow down the others, and at the end.
    async fn tell_planner(&self, plugin: &str, batches: u32, last: bool) {
        if !last && !batches.is_power_of_two() {
            return;
        }
        let installed = self.kernel.plugins.installed();
        let Some(known) = installed.plugin(plugin) else { return };
        let tables: Vec<&str> = known.schema.tables.iter().map(|table| table.name.as_str()).collect();
        if let Err(error) = self.kernel.sql.refresh_statistics(plugin, &tables).await {
            tracing::warn!(plugin, %error, "the planner's statistics are not refreshed");
        }
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
            let (mut created, mut from, mut batches) = (0, 0, 0);
            while from < count {
                let batch = SEED_BATCH.min(count - from);
                let payload = json!({ "count": batch, "from": from });
                let answer = self.call(store.clone(), &plugin, &function, payload, true).await?;
                created += answer["created"].as_u64().unwrap_or(0);
                from += batch;
                batches += 1;
                self.tell_planner(&plugin, batches, from >= count).await;
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

/// How many batches the imports that are under way have had, by store and plugin.
#[derive(Default)]
pub(super) struct Growth(HashMap<(i64, String), u32>);

impl Growth {
    fn counted(&mut self, store: i64, plugin: &str, last: bool) -> u32 {
        let key = (store, plugin.to_owned());
        let batches = self.0.get(&key).map_or(1, |batches| batches.saturating_add(1));
        if last {
            self.0.remove(&key);
        } else {
            self.0.insert(key, batches);
        }
        batches
    }
}
