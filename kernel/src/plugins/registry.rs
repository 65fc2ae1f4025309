//! What is installed on this kernel, as a snapshot that is replaced whole.
//!
//! The tables are the truth, shared by all nodes; [`Installed`] is what this node made of them. A call tree pins one snapshot
//! and finishes on it, so a version stays loaded as long as anybody runs it and not longer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use commerce_contract::{Capabilities, Descriptor, Manifest};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::capabilities::LogRate;
use super::config::PluginsConfig;
use super::engine::{Compiled, Engine};
use super::instance::{CallLimits, MemoryShare};
use super::metrics::{Counts, Metrics};
use super::package::{Package, sha256};
use super::services::{Checks, Contract};
use super::statements::Statements;
use super::{services, settings};
use crate::storage::sql::border::{Border, ForeignView, Schema};
use crate::storage::sql::{PluginAccess, Row, Sql};

/// One version of a plugin, loaded. Immutable; shared by all its calls.
pub struct Plugin {
    pub name: Arc<str>,
    pub version: semver::Version,
    pub digest: String,
    pub manifest: Manifest,
    pub descriptor: Descriptor,
    pub grants: Capabilities,
    pub limits: CallLimits,
    pub schema: Arc<Schema>,
    /// Digest of each service contract that it provides or calls.
    pub contract_digests: BTreeMap<String, String>,
    pub statements: Statements,
    pub(super) settings: settings::Form,
    /// The compiled contracts of the services it calls, by service and function.
    pub(super) contracts: BTreeMap<String, BTreeMap<String, Checks>>,
    pub(super) access: PluginAccess,
    pub(super) compiled: Compiled,
    pub(super) permits: Arc<Semaphore>,
    pub(super) memory: Arc<MemoryShare>,
    pub(super) log_rate: LogRate,
    pub(super) counts: Counts,
    /// Digest and grants, and those of the owners of its views: what makes a loaded plugin the same one.
    fingerprint: String,
}

/// All plugins of this kernel at one moment.
#[derive(Default)]
pub struct Installed {
    /// The value of the version row that this was read at.
    pub generation: i64,
    plugins: BTreeMap<String, Arc<Plugin>>,
    everywhere: BTreeSet<String>,
    /// By plugin and store; what is absent is as `everywhere` says, with default settings.
    stores: HashMap<String, HashMap<i64, PluginStore>>,
    /// By service: the providers that the operator put first.
    orders: BTreeMap<String, Vec<String>>,
}

struct PluginStore {
    enabled: Option<bool>,
    settings: Option<PluginSettings>,
}

struct PluginSettings {
    /// With the schema's defaults filled in.
    text: Arc<str>,
}

impl Installed {
    pub fn plugin(&self, name: &str) -> Option<&Arc<Plugin>> {
        self.plugins.get(name)
    }

    /// By name.
    pub fn plugins(&self) -> impl Iterator<Item = &Arc<Plugin>> {
        self.plugins.values()
    }

    pub fn enabled(&self, store: i64, plugin: &str) -> bool {
        let of_store = self.stores.get(plugin).and_then(|stores| stores.get(&store));
        self.plugins.contains_key(plugin)
            && of_store
                .and_then(|found| found.enabled)
                .unwrap_or_else(|| self.everywhere.contains(plugin))
    }

    pub fn enabled_plugin(&self, store: i64, plugin: &str) -> Option<&Arc<Plugin>> {
        self.plugin(plugin).filter(|_| self.enabled(store, plugin))
    }

    /// The plugins that provide a service in this store: those the operator put first, then the others by name.
    pub fn providers(&self, store: i64, service: &str) -> Vec<Arc<Plugin>> {
        let order = self.orders.get(service).map(Vec::as_slice).unwrap_or_default();
        let place = |plugin: &Arc<Plugin>| {
            order
                .iter()
                .position(|name| **name == *plugin.name)
                .unwrap_or(usize::MAX)
        };
        let provides = |plugin: &&Arc<Plugin>| {
            plugin.grants.provides.iter().any(|granted| granted == service)
                && plugin.descriptor.provides.contains_key(service)
                && self.enabled(store, &plugin.name)
        };
        let mut providers: Vec<_> = self.plugins().filter(provides).cloned().collect();
        providers.sort_by_key(place);
        providers
    }

    /// Who is told this event in this store: subscribed to it, granted it, and enabled.
    pub fn subscribers(&self, store: i64, publisher: &str, event: &str) -> Vec<&str> {
        let names = |entry: &String| entry.split_once('.') == Some((publisher, event));
        let told =
            |plugin: &&Arc<Plugin>| plugin.grants.subscribe.iter().any(names) && self.enabled(store, &plugin.name);
        self.plugins().filter(told).map(|plugin| &*plugin.name).collect()
    }

    pub(super) fn settings_text(&self, store: i64, plugin: &Plugin) -> Arc<str> {
        let of_store = self.stores.get(&*plugin.name).and_then(|stores| stores.get(&store));
        match of_store.and_then(|found| found.settings.as_ref()) {
            Some(settings) => settings.text.clone(),
            None => plugin.settings.defaults.clone(),
        }
    }
}

/// What a start needs of a package besides its code.
#[derive(Serialize, Deserialize)]
pub(super) struct Outline {
    manifest: Manifest,
    recorded_sql: usize,
    /// The texts of the contract files.
    contracts: Vec<String>,
}

impl Outline {
    pub fn of(package: &Package) -> Self {
        Self {
            manifest: package.manifest.clone(),
            recorded_sql: package.sql.len(),
            contracts: package
                .contracts
                .values()
                .map(|contract| contract.text.clone())
                .collect(),
        }
    }
}

/// What a plugin is made of when it is loaded, from the tables or from a package about to be installed.
pub(super) struct Parts {
    pub digest: String,
    pub outline: Outline,
    pub descriptor: Descriptor,
    pub schema: Schema,
    pub grants: Capabilities,
}

/// What loading needs of the kernel.
pub(super) struct Loader<'a> {
    pub engine: &'a Engine,
    pub sql: &'a Sql,
    pub config: &'a PluginsConfig,
    pub metrics: &'a Metrics,
}

const READ_PLUGINS: &str = "select p.name, p.digest, p.grants, p.everywhere, k.outline, k.descriptor, k.schema
     from kernel.plugins p join kernel.packages k on k.digest = p.digest order by p.name";

impl Loader<'_> {
    /// Reads the tables. What has not changed is taken over from `before`.
    pub async fn read(&self, before: &Installed) -> Result<Installed> {
        let kernel = self.sql.kernel();
        // The number first: a change in between is then read again at the next poll instead of missed.
        let generation = read_generation(self.sql).await?;
        let rows = kernel.fetch_all(READ_PLUGINS, &[]).await?;
        let mut everywhere = BTreeSet::new();
        let mut parts = BTreeMap::new();
        for row in &rows {
            let name: String = row.get(0)?;
            if row.get::<bool>(3)? {
                everywhere.insert(name.clone());
            }
            parts.insert(name, read_parts(row)?);
        }
        let plugins = self.load_all(parts, before).await?;
        let stores = self.read_stores(&plugins).await?;
        let orders = kernel
            .fetch_all("select service, providers from kernel.service_orders", &[])
            .await?;
        let orders = orders
            .iter()
            .map(|row| Ok((row.get(0)?, serde_json::from_str(&row.get::<String>(1)?)?)));
        Ok(Installed {
            generation,
            everywhere,
            stores,
            orders: orders.collect::<Result<_>>()?,
            plugins,
        })
    }

    async fn load_all(
        &self,
        parts: BTreeMap<String, Parts>,
        before: &Installed,
    ) -> Result<BTreeMap<String, Arc<Plugin>>> {
        let schemas: BTreeMap<String, Arc<Schema>> = parts
            .iter()
            .map(|(name, parts)| (name.clone(), Arc::new(parts.schema.clone())))
            .collect();
        let mut plugins = BTreeMap::new();
        for (name, parts) in parts {
            let views = foreign_views(&parts.grants, &schemas);
            let fingerprint = fingerprint(&parts, &views)?;
            let plugin = match before.plugin(&name) {
                Some(same) if same.fingerprint == fingerprint => same.clone(),
                other => {
                    let compiled = self
                        .compile(&parts.digest)
                        .await
                        .with_context(|| format!("loading `{name}`"))?;
                    Arc::new(self.load(parts, compiled, views, fingerprint, other.map(AsRef::as_ref))?)
                }
            };
            plugins.insert(name, plugin);
        }
        Ok(plugins)
    }

    async fn compile(&self, digest: &str) -> Result<Compiled> {
        if let Some(compiled) = self.engine.load_kept(digest) {
            return Ok(compiled);
        }
        let bytes = self.bytes(digest).await?;
        let (engine, digest) = (self.engine.clone(), digest.to_owned());
        tokio::task::spawn_blocking(move || engine.compile(&digest, &bytes)).await?
    }

    /// The stored package itself, for what is looked up rarely.
    pub(super) async fn package(&self, digest: &str) -> Result<Package> {
        Ok(Package::read(self.bytes(digest).await?)?)
    }

    async fn bytes(&self, digest: &str) -> Result<Vec<u8>> {
        let text = "select bytes from kernel.packages where digest = $1";
        let bytes: Vec<u8> = self.sql.kernel().fetch_one(text, &[digest.into()]).await?.get(0)?;
        ensure!(
            sha256(&bytes) == digest,
            "the stored package {digest} has been changed: install it again"
        );
        Ok(bytes)
    }

    fn load(
        &self,
        parts: Parts,
        compiled: Compiled,
        views: Vec<ForeignView>,
        fingerprint: String,
        before: Option<&Plugin>,
    ) -> Result<Plugin> {
        let Parts {
            digest,
            outline,
            descriptor,
            schema,
            grants,
        } = parts;
        let Outline {
            manifest,
            recorded_sql,
            contracts,
        } = outline;
        let limits = CallLimits::of(&manifest, self.config);
        let contracts = contracts
            .iter()
            .map(|text| Contract::read(text).map_err(anyhow::Error::msg));
        let contracts = contracts.collect::<Result<Vec<_>>>()?;
        let called = contracts.iter().filter(|contract| {
            manifest
                .capabilities
                .services
                .iter()
                .any(|name| name == contract.name())
        });
        let checks = called.map(|contract| Ok((contract.name().to_owned(), services::checks(contract)?)));
        let checks = checks.collect::<Result<_, String>>().map_err(anyhow::Error::msg)?;
        let schema = Arc::new(schema);
        // An upgrade in which both versions run must not double what the plugin may use.
        let share = before.filter(|before| before.limits == limits);
        let name: Arc<str> = manifest.plugin.name.as_str().into();
        Ok(Plugin {
            version: semver::Version::parse(&manifest.plugin.version)?,
            contract_digests: contracts
                .iter()
                .map(|one| (one.name().to_owned(), one.digest.clone()))
                .collect(),
            statements: Statements::new(Border::new(schema.clone(), views), recorded_sql),
            settings: settings::Form::new(&descriptor).map_err(anyhow::Error::msg)?,
            contracts: checks,
            access: self.sql.access(&name, limits.connections),
            permits: share.map_or_else(
                || Arc::new(Semaphore::new(limits.instances as usize)),
                |one| one.permits.clone(),
            ),
            memory: share.map_or_else(|| Arc::new(MemoryShare::of(self.config)), |one| one.memory.clone()),
            log_rate: LogRate::default(),
            counts: self.metrics.of(&name),
            name,
            digest,
            manifest,
            descriptor,
            grants,
            limits,
            schema,
            compiled,
            fingerprint,
        })
    }

    async fn read_stores(
        &self,
        plugins: &BTreeMap<String, Arc<Plugin>>,
    ) -> Result<HashMap<String, HashMap<i64, PluginStore>>> {
        let text = "select plugin, store, enabled, settings from kernel.plugin_stores";
        let rows = self.sql.kernel().fetch_all(text, &[]).await?;
        let mut stores: HashMap<String, HashMap<i64, PluginStore>> = HashMap::new();
        for row in &rows {
            let name: String = row.get(0)?;
            let settings: Option<String> = row.get(3)?;
            let Some(plugin) = plugins.get(&name) else { continue };
            let settings = settings.map(|text| serde_json::from_str::<Value>(&text)).transpose()?;
            let settings = settings.map(|values| PluginSettings {
                text: plugin.settings.fill(&values).to_string().into(),
            });
            let of_store = PluginStore {
                enabled: row.get(2)?,
                settings,
            };
            stores.entry(name).or_default().insert(row.get(1)?, of_store);
        }
        Ok(stores)
    }
}

/// The number that every change bumps; 0 before the first one.
pub(super) async fn read_generation(sql: &Sql) -> Result<i64> {
    let text = "select generation from kernel.versions where name = 'plugins'";
    Ok(match sql.kernel().fetch_optional(text, &[]).await? {
        Some(row) => row.get(0)?,
        None => 0,
    })
}

fn read_parts(row: &Row) -> Result<Parts> {
    Ok(Parts {
        digest: row.get(1)?,
        grants: serde_json::from_str(&row.get::<String>(2)?)?,
        outline: serde_json::from_str(&row.get::<String>(4)?)?,
        descriptor: serde_json::from_str(&row.get::<String>(5)?)?,
        schema: serde_json::from_str(&row.get::<String>(6)?)?,
    })
}

/// The granted views of plugins that are installed and still export them.
pub(super) fn foreign_views(grants: &Capabilities, schemas: &BTreeMap<String, Arc<Schema>>) -> Vec<ForeignView> {
    let view = |entry: &String| {
        let (plugin, name) = entry.split_once('.')?;
        let schema = schemas.get(plugin)?;
        let view = schema.views.iter().find(|view| view.name == name)?;
        let (plugin, name, text) = (plugin.to_owned(), view.name.clone(), view.text.clone());
        Some(ForeignView {
            plugin,
            name,
            text,
            schema: schema.clone(),
        })
    };
    grants.views.iter().filter_map(view).collect()
}

fn fingerprint(parts: &Parts, views: &[ForeignView]) -> Result<String> {
    let views: Vec<_> = views.iter().map(|view| (&view.plugin, &*view.schema)).collect();
    Ok(sha256(&serde_json::to_vec(&(&parts.digest, &parts.grants, views))?))
}
