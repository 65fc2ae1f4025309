//! Plugins: what is installed, and what becomes of it.

use commerce_contract::Capabilities;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Operator, items};
use crate::control::request::base64_text;
use crate::http::problem::{Code, Problem};
use crate::plugins::{Decision, InstallError, Plugin, Preview};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum PluginRequest {
    /// Answers `{items: [{name, version, digest, state, stores: […], rollback_to}]}`.
    List,
    /// What would be installed, without installing: manifest, rights, routes, tables, what changes for an upgrade.
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
    /// `purge` drops its tables.
    Remove {
        name: String,
        purge: bool,
    },
    /// The settings of a plugin in a store: answers them; with `values` sets them first.
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
            PluginRequest::List => {
                let installed = plugins.installed();
                let known = installed.plugins().map(|plugin| {
                    json!({
                        "name": &*plugin.name,
                        "version": plugin.version.to_string(),
                        "digest": plugin.digest,
                        "stores": self.stores_with(&plugin.name),
                        "description": plugin.manifest.plugin.description,
                    })
                });
                Ok(items(known))
            }
            PluginRequest::Preview { package } => {
                let preview = plugins.preview(package).await.map_err(refused)?;
                Ok(preview_to_json(&preview))
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
                Ok(plugin_to_json(plugin, &sql))
            }
            PluginRequest::Enable { name, store } => self.switch(&name, store, true).await,
            PluginRequest::Disable { name, store } => self.switch(&name, store, false).await,
            PluginRequest::Rollback { name } => Ok(json!(plugins.rollback(&name).await.map_err(refused)?)),
            PluginRequest::Remove { name, purge } => {
                plugins.remove(&name, purge).await.map_err(refused)?;
                Ok(json!({ "name": name, "removed": true, "purged": purge }))
            }
            PluginRequest::Settings { name, store, values } => {
                let number = self.store(&store)?.number;
                if let Some(values) = values {
                    plugins.set_settings(&name, number, &values).await.map_err(refused)?;
                }
                plugins.settings(&name, number).map_err(refused)
            }
            PluginRequest::OrderProviders { service, providers } => {
                plugins.set_service_order(&service, &providers).await.map_err(refused)?;
                Ok(json!({ "service": service, "providers": providers }))
            }
        }
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

/// The rights in words, as an app store shows them.
fn rights(asked: &Capabilities) -> Vec<String> {
    crate::plugins::beyond(asked, &Capabilities::default())
}

fn preview_to_json(preview: &Preview) -> Value {
    let mut answer = json!(preview);
    answer["rights"] = json!(rights(&preview.asks));
    if preview.installed.is_some() {
        answer["upgrade"] = json!({
            "rights_added": preview.more,
            "rights_removed": preview.less,
            "rollback_possible": preview.rollback_possible,
        });
    }
    answer
}

fn plugin_to_json(plugin: &Plugin, sql: &[String]) -> Value {
    let routes = plugin.descriptor.routes.iter().map(|route| {
        json!({ "method": route.method, "path": route.path, "access": route.access, "operation": route.operation })
    });
    json!({
        "name": &*plugin.name,
        "version": plugin.version.to_string(),
        "digest": plugin.digest,
        "description": plugin.manifest.plugin.description,
        "rights": rights(&plugin.grants),
        "hosts": plugin.grants.http,
        "routes": routes.collect::<Vec<_>>(),
        "functions": plugin.descriptor.functions.iter().map(|function| &function.name).collect::<Vec<_>>(),
        "provides": plugin.descriptor.provides,
        "tables": plugin.schema.tables,
        "views": plugin.manifest.views,
        "sql": sql,
        "limits": plugin.manifest.limits,
        "schedules": plugin.descriptor.schedules,
    })
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
