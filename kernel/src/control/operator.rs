//! Carries out what an operator asks for, on the parts of one kernel.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use commerce_contract::Capabilities;
use serde_json::{Value, json};

use super::{Grants, KeyKind, Operate, Progress, Request, StoreCreate};
use crate::auth::{Account, ApiKeyKind};
use crate::events::Filter;
use crate::http::problem::{Code, Problem};
use crate::http::{Http, openapi};
use crate::kernel::Kernel;
use crate::plugins::{Decision, InstallError, Plugin, Preview};
use crate::secrets::Secret;
use crate::storage::sql::{Mode, Time};
use crate::stores::{NewStore, Store};

/// How many items of a demonstration one unit of work makes.
const SEED_BATCH: u64 = 100;

pub struct Operator {
    kernel: Arc<Kernel>,
    /// How and where it is served, if it is.
    served: Option<(Arc<Http>, String)>,
    started_at: Time,
}

type Tell<'a> = &'a mut (dyn FnMut(Progress) + Send);

#[async_trait]
impl Operate for Operator {
    async fn carry_out(&self, request: Request, progress: Tell<'_>) -> Result<Value, Problem> {
        match request {
            Request::Status => Ok(self.status()),
            Request::StoreCreate(create) => self.create_store(create).await,
            Request::StoreList => Ok(items(self.kernel.stores.all().iter().map(|store| store.to_json()))),
            Request::StoreShow { store } => Ok(self.store(&store)?.to_json()),
            Request::StoreSuspend { store } => {
                self.kernel.stores.suspend(&*self.store(&store)?).await?;
                Ok(self.store(&store)?.to_json())
            }
            Request::StoreResume { store } => {
                self.kernel.stores.resume(&*self.store(&store)?).await?;
                Ok(self.store(&store)?.to_json())
            }
            Request::StoreAddCurrency { store, currency } => {
                self.kernel
                    .stores
                    .add_currency(&*self.store(&store)?, &currency)
                    .await?;
                Ok(self.store(&store)?.to_json())
            }
            Request::StoreDelete { store } => self.delete_store(&store).await,
            Request::UserCreate { .. }
            | Request::UserList { .. }
            | Request::UserSetPassword { .. }
            | Request::UserVerify { .. }
            | Request::UserSuspend { .. }
            | Request::UserResume { .. }
            | Request::UserGrant { .. }
            | Request::UserRevoke { .. }
            | Request::RoleSet { .. }
            | Request::RoleList { .. } => self.accounts(request).await,
            Request::KeyCreate { .. } | Request::KeyList { .. } | Request::KeyRevoke { .. } | Request::KeyRotate => {
                self.keys(request).await
            }
            Request::SecretSet { .. } | Request::SecretList { .. } | Request::SecretRemove { .. } => {
                self.secrets(request).await
            }
            Request::Import {
                store,
                resource,
                format,
                payload,
            } => self.import(&store, &resource, &format, payload).await,
            Request::Seed { store, counts } => self.seed(&store, counts, progress).await,
            Request::EventsList { .. }
            | Request::EventsReplay { .. }
            | Request::EventsSkip { .. }
            | Request::JobsList { .. } => self.events(request).await,
            Request::OpenApi { store } => self.openapi(store.as_deref()),
            _ => {
                let answer = self.plugins(request).await;
                // Whoever asked may send a request the moment this is answered.
                if let Some((http, _)) = &self.served {
                    http.catch_up().await;
                }
                answer
            }
        }
    }
}

impl Operator {
    /// For a kernel that serves nothing: the command line's own.
    pub fn new(kernel: Arc<Kernel>) -> Self {
        Self {
            kernel,
            served: None,
            started_at: Time::now(),
        }
    }

    pub fn serving(kernel: Arc<Kernel>, http: Arc<Http>, url: String) -> Self {
        Self {
            served: Some((http, url)),
            ..Self::new(kernel)
        }
    }

    fn status(&self) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "started_at": self.started_at.text().map(|text| text.to_string()),
            "url": self.served.as_ref().map(|(_, url)| url),
            "generation": self.kernel.plugins.installed().generation,
        })
    }

    /// By slug or id.
    fn store(&self, name: &str) -> Result<Arc<Store>, Problem> {
        self.kernel.stores.named(name).ok_or_else(|| {
            Problem::new(
                Code::UnknownStore,
                format!("There is no store {name}; `commerce store list` shows them."),
            )
        })
    }

    async fn create_store(&self, create: StoreCreate) -> Result<Value, Problem> {
        let new = NewStore {
            slug: create.slug,
            name: create.name,
            currency: create.currency,
            currencies: create.currencies,
            hosts: create.hosts,
            timezone: create.timezone,
            owner_email: create.owner_email,
            owner_password: Secret::new(create.owner_password),
        };
        let provisioned = self
            .kernel
            .stores
            .create(new, &self.kernel.auth, &self.kernel.plugins)
            .await?;
        self.kernel.events.schedules_changed();
        Ok(provisioned.to_json())
    }

    async fn delete_store(&self, name: &str) -> Result<Value, Problem> {
        let store = self.store(name)?;
        let removed = self.kernel.stores.delete(&store, &self.kernel.plugins).await?;
        let removed: BTreeMap<String, u64> = removed.into_iter().collect();
        Ok(json!({ "id": store.id, "slug": store.slug, "removed": removed }))
    }

    async fn accounts(&self, request: Request) -> Result<Value, Problem> {
        let auth = &self.kernel.auth;
        let account = match request {
            Request::UserCreate {
                store,
                email,
                password,
                role,
            } => {
                let store = self.store(&store)?;
                auth.create_account(&store, &email, Secret::new(password), role.as_deref())
                    .await?
            }
            Request::UserList { store, email } => {
                let accounts = auth.accounts(&*self.store(&store)?, email.as_deref()).await?;
                return Ok(items(accounts.iter().map(Account::to_json)));
            }
            Request::UserSetPassword { store, email, password } => {
                auth.set_password(&*self.store(&store)?, &email, Secret::new(password))
                    .await?
            }
            Request::UserVerify { store, email } => auth.verify_email(&*self.store(&store)?, &email).await?,
            Request::UserSuspend { store, email } => auth.suspend_account(&*self.store(&store)?, &email).await?,
            Request::UserResume { store, email } => auth.resume_account(&*self.store(&store)?, &email).await?,
            Request::UserGrant { store, email, role } => auth.grant_role(&*self.store(&store)?, &email, &role).await?,
            Request::UserRevoke { store, email, role } => {
                auth.revoke_role(&*self.store(&store)?, &email, &role).await?
            }
            Request::RoleSet {
                store,
                role,
                permissions,
            } => {
                auth.set_role(&*self.store(&store)?, &role, &permissions).await?;
                return Ok(json!({ "name": role, "permissions": permissions }));
            }
            Request::RoleList { store } => {
                let roles = auth.roles(&*self.store(&store)?).await?;
                let roles = roles
                    .iter()
                    .map(|(name, permissions)| json!({ "name": name, "permissions": permissions }));
                return Ok(items(roles));
            }
            _ => return Err(unknown_request()),
        };
        Ok(account.to_json())
    }

    async fn keys(&self, request: Request) -> Result<Value, Problem> {
        let auth = &self.kernel.auth;
        match request {
            Request::KeyCreate {
                store,
                kind,
                name,
                permissions,
            } => {
                let of_auth = match kind {
                    KeyKind::Publishable => ApiKeyKind::Publishable,
                    KeyKind::Secret => ApiKeyKind::Secret,
                };
                let made = auth
                    .create_key(&*self.store(&store)?, of_auth, &name, &permissions)
                    .await?;
                Ok(json!({ "id": made.id, "kind": kind, "name": name, "key": made.key.expose() }))
            }
            Request::KeyList { store } => Ok(items(auth.keys(&*self.store(&store)?).await?.into_iter())),
            Request::KeyRevoke { store, id } => {
                auth.revoke_key(&*self.store(&store)?, &id).await?;
                Ok(json!({ "id": id, "revoked": true }))
            }
            Request::KeyRotate => Ok(json!({ "id": auth.rotate_signing_key().await? })),
            _ => Err(unknown_request()),
        }
    }

    async fn secrets(&self, request: Request) -> Result<Value, Problem> {
        let secrets = &self.kernel.secrets;
        let number = |store: &Option<String>| {
            store
                .as_ref()
                .map(|name| Ok::<_, Problem>(self.store(name)?.number))
                .transpose()
        };
        match request {
            Request::SecretSet {
                plugin,
                name,
                store,
                value,
            } => {
                secrets
                    .set(number(&store)?, &plugin, &name, &Secret::new(value))
                    .await?;
                Ok(json!({ "plugin": plugin, "name": name, "store": store }))
            }
            Request::SecretList { plugin, store } => {
                let store = number(&store)?;
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
            Request::SecretRemove { plugin, name, store } => {
                secrets.remove(number(&store)?, &plugin, &name).await?;
                Ok(json!({ "plugin": plugin, "name": name, "removed": true }))
            }
            _ => Err(unknown_request()),
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

    async fn events(&self, request: Request) -> Result<Value, Problem> {
        let events = &self.kernel.events;
        let filter = |store: Option<String>, state: Option<String>, limit: u32, after: Option<String>| {
            let after = after
                .map(|after| after.parse::<i64>())
                .transpose()
                .map_err(|_| Problem::from(Code::InvalidQuery).with_error("?after", "is not a cursor of this list"))?;
            let store = store
                .map(|name| Ok::<_, Problem>(self.store(&name)?.number))
                .transpose()?;
            Ok::<_, Problem>(Filter {
                store,
                state,
                limit,
                after,
            })
        };
        match request {
            Request::EventsList {
                store,
                state,
                limit,
                after,
            } => {
                let entries = events.list_events(&filter(store, state, limit, after)?).await?;
                let next = entries.last().map(|entry| entry.cursor.to_string());
                Ok(page(entries.iter(), next, limit))
            }
            Request::JobsList { store, limit, after } => {
                let entries = events.list_jobs(&filter(store, None, limit, after)?).await?;
                let next = entries.last().map(|entry| entry.cursor.to_string());
                Ok(page(entries.iter(), next, limit))
            }
            Request::EventsReplay { id } => changed(&id, events.replay(&id).await?),
            Request::EventsSkip { id } => changed(&id, events.skip(&id).await?),
            _ => Err(unknown_request()),
        }
    }

    async fn plugins(&self, request: Request) -> Result<Value, Problem> {
        let plugins = &self.kernel.plugins;
        match request {
            Request::PluginList => {
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
            Request::PluginPreview { package } => {
                let preview = plugins.preview(package).await.map_err(refused)?;
                Ok(preview_to_json(&preview))
            }
            Request::PluginInstall {
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
            Request::PluginInspect { name } => {
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
            Request::PluginEnable { name, store } => self.switch(&name, store, true).await,
            Request::PluginDisable { name, store } => self.switch(&name, store, false).await,
            Request::PluginRollback { name } => Ok(json!(plugins.rollback(&name).await.map_err(refused)?)),
            Request::PluginRemove { name, purge } => {
                plugins.remove(&name, purge).await.map_err(refused)?;
                Ok(json!({ "name": name, "removed": true, "purged": purge }))
            }
            Request::PluginSettings { name, store, values } => {
                let number = self.store(&store)?.number;
                if let Some(values) = values {
                    plugins.set_settings(&name, number, &values).await.map_err(refused)?;
                }
                plugins.settings(&name, number).map_err(refused)
            }
            Request::ServiceOrder { service, providers } => {
                plugins.set_service_order(&service, &providers).await.map_err(refused)?;
                Ok(json!({ "service": service, "providers": providers }))
            }
            _ => Err(unknown_request()),
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
        let number = store
            .as_ref()
            .map(|store| Ok::<_, Problem>(self.store(store)?.number))
            .transpose()?;
        self.kernel
            .plugins
            .set_enabled(name, number, enabled)
            .await
            .map_err(refused)?;
        Ok(json!({ "name": name, "store": store, "enabled": enabled }))
    }

    fn openapi(&self, store: Option<&str>) -> Result<Value, Problem> {
        let installed = self.kernel.plugins.installed();
        let number = store
            .map(|name| Ok::<_, Problem>(self.store(name)?.number))
            .transpose()?;
        let plugins = installed
            .plugins()
            .filter(|plugin| number.is_none_or(|n| installed.enabled(n, &plugin.name)));
        Ok(openapi::of_plugins(plugins))
    }
}

fn items(values: impl Iterator<Item = Value>) -> Value {
    json!({ "items": values.collect::<Vec<_>>() })
}

fn page<T: serde::Serialize>(entries: impl ExactSizeIterator<Item = T>, next: Option<String>, limit: u32) -> Value {
    let full = entries.len() >= limit as usize;
    let entries: Vec<Value> = entries.map(|entry| json!(entry)).collect();
    json!({ "items": entries, "next": next.filter(|_| full) })
}

fn changed(id: &str, rows: u64) -> Result<Value, Problem> {
    match rows {
        0 => Err(Problem::not_found(format!(
            "There is no dead letter {id}; `commerce events dead-letters` shows them."
        ))),
        rows => Ok(json!({ "id": id, "deliveries": rows })),
    }
}

/// The dispatch above sends each request to the function that knows it.
fn unknown_request() -> Problem {
    Problem::internal()
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
