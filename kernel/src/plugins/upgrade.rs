//! How what is installed changes: install, upgrade, rollback, removal, and where a plugin is enabled.
//!
//! Everything that can fail is done before anything is changed: the package is read, compiled, asked and checked; its
//! migrations are planned and every statement it carries is tried against the schema they lead to. Then one transaction
//! migrates, records and bumps the version row, and one swap makes new calls go to the new version. Calls in flight finish
//! on the version they began with.

use std::collections::BTreeMap;
use std::sync::Arc;

use commerce_contract::{Capabilities, Descriptor};
use serde::Serialize;
use serde_json::Value;

use super::engine::Compiled;
use super::grants::{self, Decision, GrantError, beyond};
use super::migrations::{self, Plan};
use super::package::{Package, PackageError};
use super::registry::{Installed, Outline, Plugin, foreign_views};
use super::{Plugins, descriptor};
use crate::events;
use crate::http::problem::FieldError;
use crate::storage::sql::border::{Border, ForeignView, Prepared, Schema};
use crate::storage::sql::{KernelStatement, MigrateError, SqlError, Time, Value as Bound};
use crate::versions::Topic;

/// What an install or an upgrade would do, for the operator to say yes or no to.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    pub name: String,
    pub version: String,
    pub description: String,
    pub digest: String,
    /// The version installed now.
    pub installed: Option<String>,
    pub asks: Capabilities,
    /// What it asks for beyond what is granted now: `http api.example.com`.
    pub more: Vec<String>,
    /// What is granted now and no longer asked for.
    pub less: Vec<String>,
    pub descriptor: Descriptor,
    /// Capability interfaces that its code imports.
    pub imports: Vec<String>,
    /// Files that would run.
    pub migrations: Vec<String>,
    /// The tables it would have.
    pub tables: Vec<String>,
    pub rollback_possible: bool,
}

/// What was changed.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    pub name: String,
    pub version: String,
    pub digest: String,
    pub before: Option<String>,
    pub migrated: Vec<String>,
    pub rollback_possible: bool,
}

/// Why nothing was changed. Texts are for the operator and the plugin's author.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error("it can't be compiled: {0}")]
    Compile(String),
    #[error("{}", .0.join("; "))]
    Descriptor(Vec<String>),
    #[error(transparent)]
    Grants(#[from] GrantError),
    #[error("`{0}` is installed already: upgrade it")]
    AlreadyInstalled(String),
    #[error("`{0}` is not installed")]
    NotInstalled(String),
    #[error("this very package is installed already")]
    Unchanged,
    #[error("{0}")]
    Conflict(String),
    #[error("migration {file}: {reason}")]
    Migration { file: String, reason: String },
    #[error("a statement of the plugin is refused: {reason}\n{text}")]
    Statement { text: String, reason: String },
    #[error("`{0}` has no earlier version to go back to, or a migration has since removed what that one used")]
    NothingToRollBackTo(String),
    #[error("these settings are not valid")]
    Settings(Vec<FieldError>),
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    #[error(transparent)]
    Database(#[from] SqlError),
    #[error("{0:#}")]
    Internal(#[from] anyhow::Error),
}

/// A package of which everything is known and nothing changed yet.
struct Candidate {
    package: Package,
    descriptor: Descriptor,
    plan: Plan,
}

impl Plugins {
    /// What installing this package would do. Changes nothing except the folder of compiled components.
    pub async fn preview(&self, bytes: Vec<u8>) -> Result<Preview, InstallError> {
        let installed = self.installed();
        let Candidate {
            package,
            descriptor,
            plan,
        } = self.examine(bytes, &installed).await?;
        let current = installed.plugin(package.name());
        let nothing = Capabilities::default();
        let granted = current.map_or(&nothing, |plugin| &plugin.grants);
        let asks = package.manifest.capabilities.clone();
        Ok(Preview {
            name: package.name().to_owned(),
            version: package.version.to_string(),
            description: package.manifest.plugin.description.clone(),
            digest: package.digest.clone(),
            installed: current.map(|plugin| plugin.version.to_string()),
            more: beyond(&asks, granted),
            less: beyond(granted, &asks),
            asks,
            imports: package.imports.iter().cloned().collect(),
            migrations: plan.new_files.iter().map(|file| file.file.clone()).collect(),
            tables: plan.schema.tables.iter().map(|table| table.name.clone()).collect(),
            rollback_possible: current.is_some() && !plan.contracts,
            descriptor,
        })
    }

    pub async fn install(&self, bytes: Vec<u8>, decision: Decision) -> Result<Change, InstallError> {
        self.switch_to(bytes, &decision, false).await
    }

    pub async fn upgrade(&self, bytes: Vec<u8>, decision: Decision) -> Result<Change, InstallError> {
        self.switch_to(bytes, &decision, true).await
    }

    async fn switch_to(&self, bytes: Vec<u8>, decision: &Decision, upgrade: bool) -> Result<Change, InstallError> {
        let _one_at_a_time = self.0.changing.lock().await;
        // Another node may have changed something since this one last looked.
        self.reload_while_changing().await?;
        let installed = self.installed();
        let candidate = self.examine(bytes, &installed).await?;
        let current = installed.plugin(candidate.package.name());
        match current {
            Some(current) if current.digest == candidate.package.digest => return Err(InstallError::Unchanged),
            Some(current) if !upgrade => return Err(InstallError::AlreadyInstalled(current.name.to_string())),
            None if upgrade => return Err(InstallError::NotInstalled(candidate.package.name().to_owned())),
            _ => {}
        }
        let asked = &candidate.package.manifest.capabilities;
        let granted = grants::decide(decision, asked, current.map(|current| &current.grants))?;
        let statements = check_statements(&candidate, &granted, &installed)?;
        self.check_readers(candidate.package.name(), candidate.plan.schema.clone(), &installed)
            .await?;
        if candidate.plan.contracts {
            check_older_version(&candidate, current, &installed, self).await?;
        }
        self.record(&candidate, &granted, current, &statements).await?;
        self.reload_while_changing().await?;
        Ok(Change {
            name: candidate.package.name().to_owned(),
            version: candidate.package.version.to_string(),
            digest: candidate.package.digest.clone(),
            before: current.map(|current| current.version.to_string()),
            migrated: candidate.plan.new_files.iter().map(|file| file.file.clone()).collect(),
            rollback_possible: current.is_some() && !candidate.plan.contracts,
        })
    }

    async fn examine(&self, bytes: Vec<u8>, installed: &Installed) -> Result<Candidate, InstallError> {
        let package = blocking(move || Package::read(bytes)).await??;
        let (package, compiled) = self.compile(package).await?;
        let descriptor = descriptor::ask(self.engine(), &compiled).await;
        let descriptor = descriptor.map_err(|reason| InstallError::Descriptor(vec![reason]))?;
        let mut found = descriptor::check(&package.manifest, &descriptor, &package.exports);
        found.extend(descriptor::conflicts(package.name(), &descriptor, installed));
        found.extend(check_contracts(&package, &descriptor, installed));
        if !found.is_empty() {
            return Err(InstallError::Descriptor(found));
        }
        let applied = migrations::applied(self.sql(), package.name()).await?;
        let plan = migrations::plan(&package, &applied)?;
        Ok(Candidate {
            package,
            descriptor,
            plan,
        })
    }

    async fn compile(&self, package: Package) -> Result<(Package, Compiled), InstallError> {
        if let Some(compiled) = self.engine().load_kept(&package.digest) {
            return Ok((package, compiled));
        }
        let engine = self.engine().clone();
        let compiled = blocking(move || {
            let compiled = engine.compile(&package.digest, &package.bytes);
            (package, compiled)
        });
        let (package, compiled) = compiled.await?;
        Ok((
            package,
            compiled.map_err(|error| InstallError::Compile(format!("{error:#}")))?,
        ))
    }

    /// Other plugins read the views that the operator granted them: what works for them now must go on working.
    async fn check_readers(&self, owner: &str, schema: Schema, installed: &Installed) -> Result<(), InstallError> {
        let prefix = format!("{owner}.");
        let reads = |reader: &&Arc<Plugin>| reader.grants.views.iter().any(|view| view.starts_with(&prefix));
        let mut schemas = schemas(installed);
        schemas.insert(owner.to_owned(), Arc::new(schema));
        for reader in installed
            .plugins()
            .filter(reads)
            .filter(|reader| *reader.name != *owner)
        {
            let border = Border::new(reader.schema.clone(), foreign_views(&reader.grants, &schemas));
            for text in self.recorded_sql(reader).await? {
                if let Err(refusal) = border.prepare(&text)
                    && reader.statements.prepare(&text).is_ok()
                {
                    return Err(InstallError::Conflict(format!(
                        "`{}` reads a view of `{owner}` that would no longer give what it needs: {refusal}\n{text}",
                        reader.name
                    )));
                }
            }
        }
        Ok(())
    }

    /// Migrates and records in one transaction.
    async fn record(
        &self,
        candidate: &Candidate,
        granted: &Capabilities,
        current: Option<&Arc<Plugin>>,
        statements: &[Prepared],
    ) -> Result<(), InstallError> {
        let Candidate {
            package,
            descriptor,
            plan,
        } = candidate;
        let now = Time::now();
        let outline = to_json(&Outline::of(package))?;
        let keep = KernelStatement::new(
            "insert into kernel.packages (digest, plugin, version, bytes, outline, descriptor, schema, added_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8)
             on conflict (digest) do update set schema = excluded.schema, descriptor = excluded.descriptor",
            vec![
                Bound::from(package.digest.clone()),
                package.name().to_owned().into(),
                package.version.to_string().into(),
                package.bytes.clone().into(),
                outline.into(),
                to_json(descriptor)?.into(),
                to_json(&plan.schema)?.into(),
                now.into(),
            ],
        );
        let previous = current.filter(|_| !plan.contracts);
        let previous_grants = previous.map(|plugin| to_json(&plugin.grants)).transpose()?;
        let switch = KernelStatement::new(
            "insert into kernel.plugins
               (name, digest, grants, previous_digest, previous_grants, everywhere, changed_at)
             values ($1, $2, $3, $4, $5, $6, $7)
             on conflict (name) do update set digest = excluded.digest, grants = excluded.grants,
               previous_digest = excluded.previous_digest, previous_grants = excluded.previous_grants,
               changed_at = excluded.changed_at",
            vec![
                Bound::from(package.name().to_owned()),
                package.digest.clone().into(),
                to_json(granted)?.into(),
                previous.map(|plugin| plugin.digest.clone()).into(),
                previous_grants.into(),
                true.into(),
                now.into(),
            ],
        );
        // Neither run nor to be gone back to. Each is megabytes, and whoever develops a plugin makes many.
        let forget = KernelStatement::new(
            "delete from kernel.packages where plugin = $1 and digest <> $2
               and digest not in (select digest from kernel.plugins)
               and digest not in (select previous_digest from kernel.plugins where previous_digest is not null)",
            vec![Bound::from(package.name().to_owned()), package.digest.clone().into()],
        );
        let stores = self.0.parts.stores.numbers();
        let record = [keep, switch, forget, Topic::Plugins.changed()];
        let switched = self
            .sql()
            .switch_plugin(package.name(), &plan.new_files, &stores, statements, &record)
            .await;
        switched.map_err(|error| match error {
            MigrateError::Statement { position, ref source } => InstallError::Statement {
                text: package.sql.get(position).cloned().unwrap_or_default(),
                reason: format!("the database refuses it: {source}; the kernel's log says why"),
            },
            error => error.into(),
        })
    }

    /// Back to the version before, with the rights it had. Its tables keep what newer migrations added.
    pub async fn rollback(&self, name: &str) -> Result<Change, InstallError> {
        let _one_at_a_time = self.0.changing.lock().await;
        self.reload_while_changing().await?;
        let installed = self.installed();
        let current = installed
            .plugin(name)
            .ok_or_else(|| InstallError::NotInstalled(name.to_owned()))?;
        let text = "select previous_digest from kernel.plugins where name = $1 and previous_digest is not null";
        if self
            .sql()
            .kernel()
            .fetch_optional(text, &[name.into()])
            .await?
            .is_none()
        {
            return Err(InstallError::NothingToRollBackTo(name.to_owned()));
        }
        self.check_rollback(current, &installed).await?;
        let back = KernelStatement::new(
            "update kernel.plugins set digest = previous_digest, grants = previous_grants,
               previous_digest = null, previous_grants = null, changed_at = $1
             where name = $2 and digest = $3 and previous_digest is not null",
            vec![
                Bound::from(Time::now()),
                name.to_owned().into(),
                current.digest.clone().into(),
            ],
        );
        self.sql()
            .kernel()
            .transaction(vec![back.expecting(1), Topic::Plugins.changed()])
            .await?;
        self.reload_while_changing().await?;
        let now = self.installed();
        let restored = now
            .plugin(name)
            .ok_or_else(|| InstallError::NotInstalled(name.to_owned()))?;
        Ok(Change {
            name: name.to_owned(),
            version: restored.version.to_string(),
            digest: restored.digest.clone(),
            before: Some(current.version.to_string()),
            migrated: Vec::new(),
            rollback_possible: false,
        })
    }

    /// Another plugin may have taken one of the older version's routes meanwhile, or read a view that it does not have.
    async fn check_rollback(&self, current: &Plugin, installed: &Installed) -> Result<(), InstallError> {
        let text =
            "select k.descriptor, k.schema from kernel.plugins p join kernel.packages k on k.digest = p.previous_digest
                    where p.name = $1";
        let row = self.sql().kernel().fetch_one(text, &[(&*current.name).into()]).await?;
        let descriptor: Descriptor = from_json(&row.get::<String>(0)?)?;
        let found = descriptor::conflicts(&current.name, &descriptor, installed);
        if !found.is_empty() {
            return Err(InstallError::Descriptor(found));
        }
        let schema: Schema = from_json(&row.get::<String>(1)?)?;
        self.check_readers(&current.name, schema, installed).await
    }

    /// Takes a plugin away; with `purge` its tables too, and what it had yet to do.
    pub async fn remove(&self, name: &str, purge: bool) -> Result<(), InstallError> {
        let _one_at_a_time = self.0.changing.lock().await;
        self.reload_while_changing().await?;
        let installed = self.installed();
        let tables = self.every_table(name).await?;
        // What is purged may have been removed before, without its tables.
        if installed.plugin(name).is_none() && (!purge || tables.tables.is_empty()) {
            return Err(InstallError::NotInstalled(name.to_owned()));
        }
        refuse_if_needed(name, installed.plugins().map(AsRef::as_ref), "removed")?;
        let named = |text: &'static str| KernelStatement::new(text, vec![Bound::from(name.to_owned())]);
        let mut statements = vec![named("delete from kernel.plugins where name = $1")];
        if purge {
            statements.push(named("delete from kernel.plugin_stores where plugin = $1"));
            statements.push(named("delete from kernel.plugin_migrations where plugin = $1"));
            statements.push(named("delete from kernel.packages where plugin = $1"));
            statements.extend(events::forget_plugin(name));
        }
        statements.push(Topic::Plugins.changed());
        if purge {
            let purge = [migrations::purge(&tables)];
            self.sql()
                .apply_plugin_migrations(name, &purge, &[], &statements)
                .await?;
        } else {
            self.sql().kernel().transaction(statements).await?;
        }
        self.reload_while_changing().await?;
        Ok(())
    }

    /// The tables of all versions that are kept: after a rollback the newer one's are still there.
    async fn every_table(&self, name: &str) -> Result<Schema, InstallError> {
        let text = "select schema from kernel.packages where plugin = $1 order by added_at";
        let mut all = Schema {
            plugin: name.to_owned(),
            tables: Vec::new(),
            views: Vec::new(),
        };
        for row in self.sql().kernel().fetch_all(text, &[name.into()]).await? {
            let schema: Schema = from_json(&row.get::<String>(0)?)?;
            let new = schema
                .tables
                .into_iter()
                .filter(|table| all.table(&table.name).is_none());
            let new: Vec<_> = new.collect();
            all.tables.extend(new);
        }
        Ok(all)
    }

    /// Enables or disables a plugin in one store, or in all that nothing else was said about.
    pub async fn set_enabled(&self, name: &str, store: Option<i64>, enabled: bool) -> Result<(), InstallError> {
        self.known(name)?;
        if !enabled {
            let installed = self.installed();
            let there = |plugin: &&Arc<Plugin>| store.is_none_or(|store| installed.enabled(store, &plugin.name));
            refuse_if_needed(name, installed.plugins().filter(there).map(AsRef::as_ref), "disabled")?;
        }
        let set = match store {
            Some(store) => KernelStatement::new(
                "insert into kernel.plugin_stores (plugin, store, enabled) values ($1, $2, $3)
                 on conflict (plugin, store) do update set enabled = excluded.enabled",
                vec![Bound::from(name.to_owned()), store.into(), enabled.into()],
            ),
            None => KernelStatement::new(
                "update kernel.plugins set everywhere = $1 where name = $2",
                vec![Bound::from(enabled), name.to_owned().into()],
            ),
        };
        self.change(vec![set]).await
    }

    /// The settings of a plugin in a store, defaults filled in.
    pub fn settings(&self, name: &str, store: i64) -> Result<Value, InstallError> {
        let installed = self.installed();
        let plugin = installed
            .plugin(name)
            .ok_or_else(|| InstallError::NotInstalled(name.to_owned()))?;
        from_json(&installed.settings_text(store, plugin))
    }

    pub async fn set_settings(&self, name: &str, store: i64, values: &Value) -> Result<(), InstallError> {
        let installed = self.installed();
        let plugin = installed
            .plugin(name)
            .ok_or_else(|| InstallError::NotInstalled(name.to_owned()))?;
        let found = plugin.settings.check(values);
        if !found.is_empty() {
            return Err(InstallError::Settings(found));
        }
        let set = KernelStatement::new(
            "insert into kernel.plugin_stores (plugin, store, settings) values ($1, $2, $3)
             on conflict (plugin, store) do update set settings = excluded.settings",
            vec![Bound::from(name.to_owned()), store.into(), values.to_string().into()],
        );
        self.change(vec![set]).await
    }

    /// Which providers of a service come first, in this order.
    pub async fn set_service_order(&self, service: &str, providers: &[String]) -> Result<(), InstallError> {
        let set = KernelStatement::new(
            "insert into kernel.service_orders (service, providers) values ($1, $2)
             on conflict (service) do update set providers = excluded.providers",
            vec![Bound::from(service.to_owned()), to_json(&providers)?.into()],
        );
        self.change(vec![set]).await
    }

    async fn change(&self, mut statements: Vec<KernelStatement>) -> Result<(), InstallError> {
        let _one_at_a_time = self.0.changing.lock().await;
        statements.push(Topic::Plugins.changed());
        self.sql().kernel().transaction(statements).await?;
        self.reload_while_changing().await?;
        Ok(())
    }

    fn known(&self, name: &str) -> Result<Arc<Plugin>, InstallError> {
        self.installed()
            .plugin(name)
            .cloned()
            .ok_or_else(|| InstallError::NotInstalled(name.to_owned()))
    }
}

/// One service has one contract: providers have its functions, and every package brings the same file.
fn check_contracts(package: &Package, descriptor: &Descriptor, installed: &Installed) -> Vec<String> {
    let mut found = Vec::new();
    for contract in package.contracts.values() {
        if package
            .manifest
            .capabilities
            .provides
            .iter()
            .any(|name| name == contract.name())
            && let Err(reason) = contract.check_provider(descriptor)
        {
            found.push(reason);
        }
        let other = installed
            .plugins()
            .filter(|plugin| *plugin.name != *package.name())
            .find(|plugin| {
                plugin
                    .contract_digests
                    .get(contract.name())
                    .is_some_and(|digest| *digest != contract.digest)
            });
        if let Some(other) = other {
            found.push(format!(
                "its contract of `{}` is not the one that `{}` has",
                contract.name(),
                other.name
            ));
        }
    }
    found
}

/// A contract step takes something away, while calls of the current version are still in flight, here and on other nodes:
/// so the current version must already do without it.
async fn check_older_version(
    candidate: &Candidate,
    current: Option<&Arc<Plugin>>,
    installed: &Installed,
    plugins: &Plugins,
) -> Result<(), InstallError> {
    let Some(current) = current else { return Ok(()) };
    let text = "select bytes from kernel.packages where digest = $1";
    let row = plugins
        .sql()
        .kernel()
        .fetch_one(text, &[current.digest.as_str().into()])
        .await?;
    let bytes: Vec<u8> = row.get(0)?;
    let older = blocking(move || Package::read(bytes)).await??;
    let needs = |error: &dyn std::fmt::Display| {
        InstallError::Conflict(format!(
            "version {}, which is in use, still needs what would be taken away: {error}",
            current.version
        ))
    };
    let after = candidate.plan.schema.clone();
    let border = Border::new(Arc::new(after.clone()), views(&current.grants, installed));
    prepare_all(&border, &older.sql).map_err(|error| needs(&error))?;
    after
        .with_views(current.schema.views.clone())
        .map_err(|refusal| needs(&refusal))?;
    Ok(())
}

/// Those that call a plugin's functions or read its views fail without it.
fn refuse_if_needed<'a>(name: &str, others: impl Iterator<Item = &'a Plugin>, what: &str) -> Result<(), InstallError> {
    let of_it = |entry: &String| entry.split_once('.').is_some_and(|(owner, _)| owner == name);
    let needs = |plugin: &&Plugin| {
        let Capabilities { views, call, .. } = &plugin.grants;
        *plugin.name != *name && views.iter().chain(call).any(of_it)
    };
    let users: Vec<String> = others
        .filter(needs)
        .map(|plugin| format!("`{}`", plugin.name))
        .collect();
    match users.is_empty() {
        true => Ok(()),
        false => Err(InstallError::Conflict(format!(
            "`{name}` is needed by {}: it can be {what} after them",
            users.join(", ")
        ))),
    }
}

/// Every view that it reads is there to be read.
fn check_views(name: &str, granted: &Capabilities, installed: &Installed) -> Result<(), InstallError> {
    let there = |entry: &str| {
        let (owner, view) = entry.split_once('.').unwrap_or((entry, ""));
        match installed.plugin(owner) {
            None => Err(format!("`{owner}`, which is not installed: install {owner} first")),
            Some(plugin) if plugin.schema.views.iter().all(|exported| exported.name != view) => Err(format!(
                "`{owner}`, whose version {} has no view `{view}`",
                plugin.version
            )),
            Some(_) => Ok(()),
        }
    };
    let mut views = granted.views.iter();
    match views.find_map(|entry| there(entry).err().map(|why| (entry, why))) {
        None => Ok(()),
        Some((entry, why)) => Err(InstallError::Conflict(format!(
            "`{name}` reads the view {entry} of {why}"
        ))),
    }
}

/// Every recorded text passes the border under the schema that the migrations lead to.
fn check_statements(
    candidate: &Candidate,
    granted: &Capabilities,
    installed: &Installed,
) -> Result<Vec<Prepared>, InstallError> {
    check_views(candidate.package.name(), granted, installed)?;
    let border = Border::new(Arc::new(candidate.plan.schema.clone()), views(granted, installed));
    prepare_all(&border, &candidate.package.sql)
}

fn views(granted: &Capabilities, installed: &Installed) -> Vec<ForeignView> {
    foreign_views(granted, &schemas(installed))
}

fn schemas(installed: &Installed) -> BTreeMap<String, Arc<Schema>> {
    installed
        .plugins()
        .map(|plugin| (plugin.name.to_string(), plugin.schema.clone()))
        .collect()
}

fn prepare_all(border: &Border, texts: &[String]) -> Result<Vec<Prepared>, InstallError> {
    let prepare = |text: &String| {
        border.prepare(text).map_err(|refusal| InstallError::Statement {
            text: text.clone(),
            reason: refusal.to_string(),
        })
    };
    texts.iter().map(prepare).collect()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, InstallError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| InstallError::Internal(error.into()))
}

fn to_json(value: &impl Serialize) -> Result<String, InstallError> {
    serde_json::to_string(value).map_err(|error| InstallError::Internal(error.into()))
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, InstallError> {
    serde_json::from_str(text).map_err(|error| InstallError::Internal(error.into()))
}
