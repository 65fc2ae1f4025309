//! Plugins: what is installed, and what becomes of it.

mod settings;
mod sheet;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Operator, items};
use crate::control::request::base64_text;
use crate::http::problem::{Code, Problem};
use crate::plugins::{Decision, InstallError, Package};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum PluginRequest {
    /// Answers `{items: [{name, version, digest, description, state, stores: […], rollback_to}]}`. `state` is `enabled` where
    /// every store has it and a new one would, `disabled` where none has, else `partial`; `rollback_to` is a version or null.
    List,
    /// What would be installed, without installing: as `Inspect`, and what changes for an upgrade.
    Preview {
        #[serde(with = "base64_text")]
        package: Vec<u8>,
    },
    /// Installs, or upgrades where the name is installed. `grants` must cover what the preview showed.
    Install {
        #[serde(with = "base64_text")]
        package: Vec<u8>,
        grants: Grants,
        upgrade: bool,
    },
    /// Rights, routes, functions, tables, SQL, hosts, limits in force, digest.
    Inspect {
        name: String,
    },
    Enable {
        name: String,
        store: Option<String>,
    },
    Disable {
        name: String,
        store: Option<String>,
    },
    Rollback {
        name: String,
    },
    /// `purge` drops its tables, and forgets its secrets.
    Remove {
        name: String,
        purge: bool,
    },
    /// Answers `{values, schema}` of a plugin in a store: the settings in force and what they may be. Sets them first where
    /// there are `values`.
    Settings {
        name: String,
        store: String,
        values: Option<Value>,
    },
    /// Which provider comes first for a service.
    OrderProviders {
        service: String,
        providers: Vec<String>,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grants {
    /// All that the package asks for.
    All,
    /// What was granted before; fails where the package asks for more.
    Unchanged,
}

impl Operator {
    pub(super) async fn plugins(&self, request: PluginRequest) -> Result<Value, Problem> {
        let answer = self.change_or_show(request).await;
        // Whoever asked may send a request the moment this is answered.
        if let Some((http, _)) = &self.served {
            http.catch_up().await;
        }
        answer
    }

    async fn change_or_show(&self, request: PluginRequest) -> Result<Value, Problem> {
        let plugins = &self.kernel.plugins;
        match request {
            PluginRequest::List => self.list_plugins().await,
            PluginRequest::Preview { package } => {
                let read = Package::read(package.clone()).map_err(|error| refused(error.into()))?;
                let preview = plugins.preview(package).await.map_err(refused)?;
                Ok(sheet::of_package(&preview, &read, &self.kernel.config.plugins))
            }
            PluginRequest::Install {
                package,
                grants,
                upgrade,
            } => {
                let decision = match grants {
                    Grants::All => Decision::All,
                    Grants::Unchanged => Decision::Unchanged,
                };
                let change = match upgrade {
                    true => plugins.upgrade(package, decision).await,
                    false => plugins.install(package, decision).await,
                };
                Ok(json!(change.map_err(refused)?))
            }
            PluginRequest::Inspect { name } => {
                let installed = plugins.installed();
                let plugin = installed
                    .plugin(&name)
                    .ok_or_else(|| refused(InstallError::NotInstalled(name)))?;
                let sql = plugins
                    .recorded_sql(plugin)
                    .await
                    .map_err(|error| refused(error.into()))?;
                Ok(sheet::of_installed(plugin, &sql))
            }
            PluginRequest::Enable { name, store } => self.switch(&name, store, true).await,
            PluginRequest::Disable { name, store } => self.switch(&name, store, false).await,
            PluginRequest::Rollback { name } => Ok(json!(plugins.rollback(&name).await.map_err(refused)?)),
            PluginRequest::Remove { name, purge } => {
                plugins.remove(&name, purge).await.map_err(refused)?;
                if purge {
                    self.kernel.secrets.forget_plugin(&name).await?;
                }
                Ok(json!({ "name": name, "removed": true, "purged": purge }))
            }
            PluginRequest::Settings { name, store, values } => self.settings(&name, &store, values).await,
            PluginRequest::OrderProviders { service, providers } => {
                plugins.set_service_order(&service, &providers).await.map_err(refused)?;
                Ok(json!({ "service": service, "providers": providers }))
            }
        }
    }

    async fn list_plugins(&self) -> Result<Value, Problem> {
        let text =
            "select p.name, k.version from kernel.plugins p join kernel.packages k on k.digest = p.previous_digest";
        let mut earlier = BTreeMap::new();
        for row in self.kernel.sql.kernel().fetch_all(text, &[]).await? {
            earlier.insert(row.get::<String>(0)?, row.get::<String>(1)?);
        }
        let (installed, all) = (self.kernel.plugins.installed(), self.kernel.stores.all().len());
        let known = installed.plugins().map(|plugin| {
            let stores = self.stores_with(&plugin.name);
            // What a store gets about which nothing was said; no store has this number.
            let everywhere = installed.enabled(0, &plugin.name);
            let state = match (stores.len(), everywhere) {
                (0, false) => "disabled",
                (some, true) if some == all => "enabled",
                _ => "partial",
            };
            json!({
                "name": &*plugin.name,
                "version": plugin.version.to_string(),
                "digest": plugin.digest,
                "description": plugin.manifest.plugin.description,
                "state": state,
                "stores": stores,
                "rollback_to": earlier.get(&*plugin.name),
            })
        });
        Ok(items(known))
    }

    fn stores_with(&self, plugin: &str) -> Vec<String> {
        let installed = self.kernel.plugins.installed();
        let stores = self.kernel.stores.all().into_iter();
        stores
            .filter(|store| installed.enabled(store.number, plugin))
            .map(|store| store.slug.clone())
            .collect()
    }

    async fn switch(&self, name: &str, store: Option<String>, enabled: bool) -> Result<Value, Problem> {
        let number = self.number(store.as_deref())?;
        self.kernel
            .plugins
            .set_enabled(name, number, enabled)
            .await
            .map_err(refused)?;
        Ok(json!({ "name": name, "store": store, "enabled": enabled }))
    }
}

/// What an operator is told where installing and the like fails.
fn refused(error: InstallError) -> Problem {
    let code = match &error {
        InstallError::NotInstalled(_) => Code::NotFound,
        InstallError::AlreadyInstalled(_)
        | InstallError::NothingToRollBackTo(_)
        | InstallError::Unchanged
        | InstallError::Conflict(_) => Code::Conflict,
        InstallError::Database(_) | InstallError::Migrate(_) => Code::Unavailable,
        InstallError::Internal(_) => Code::Internal,
        _ => Code::InvalidBody,
    };
    let errors = match &error {
        InstallError::Settings(errors) => errors.clone(),
        _ => Vec::new(),
    };
    Problem::new(code, error.to_string()).with_errors(errors)
}
