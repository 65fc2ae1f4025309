//! What plugins keep of a store: set up when a store is created, removed when it is deleted.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::{Plugin, Plugins, migrations};
use crate::caller::Caller;
use crate::events;
use crate::http::problem::Problem;
use crate::storage::sql::border::{Border, Step};
use crate::storage::sql::{KernelStatement, Mode, Value};
use crate::stores::{Store, StorePlugins};

#[async_trait]
impl StorePlugins for Plugins {
    async fn provision(&self, store: &Arc<Store>) -> Result<(), Problem> {
        let mut steps = Vec::new();
        for plugin in self.installed().plugins() {
            let data = self
                .each_store_steps(plugin)
                .await
                .map_err(|error| failed("provisioned", plugin, &error))?;
            if !data.is_empty() {
                steps.push((plugin.name.to_string(), data));
            }
        }
        if steps.is_empty() {
            return Ok(());
        }
        self.sql()
            .apply_store_data(store.number, &steps, &[])
            .await
            .map_err(|error| {
                tracing::error!(store = store.slug, %error, "a store's first rows could not be written");
                Problem::internal()
            })
    }

    async fn remove(&self, store: &Arc<Store>) -> Result<Vec<(String, u64)>, Problem> {
        let mut removed = Vec::new();
        for plugin in self.installed().plugins() {
            let border = Border::new(Arc::clone(&plugin.schema), Vec::new());
            // Against the order of creation: rows that refer to others go before them.
            for table in plugin.schema.tables.iter().rev() {
                let delete = border
                    .prepare(&format!("delete from {}", table.name))
                    .map_err(|refusal| failed("emptied", plugin, &refusal))?;
                let rows = self.sql().clear_table(&plugin.name, &delete, store.number).await?;
                removed.push((format!("{}.{}", plugin.name, table.name), rows));
            }
        }
        let mut rest = events::forget_store(store.number);
        rest.push(KernelStatement::new(
            "delete from kernel.plugin_stores where store = $1",
            vec![Value::from(store.number)],
        ));
        self.sql().kernel().transaction(rest).await?;
        Ok(removed)
    }
}

impl Plugins {
    /// The data steps of a plugin's migrations that a new store gets as well.
    async fn each_store_steps(&self, plugin: &Plugin) -> anyhow::Result<Vec<Step>> {
        let package = self.loader().package(&plugin.digest).await?;
        Ok(migrations::plan(&package, &BTreeMap::new())?.each_store)
    }

    /// A call tree of the operator's own, outside of any request.
    pub fn system_tree(&self, store: Arc<Store>, mode: Mode) -> super::Tree {
        self.tree(store, Caller::system(), crate::typeid::new("req"), mode)
    }
}

fn failed(what: &str, plugin: &Plugin, error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(plugin = &*plugin.name, %error, "a plugin's rows of a store could not be {what}");
    Problem::internal()
}
