//! Secrets at rest: the master key outside the database, and what is sealed with it.
//!
//! Plugins' secrets (a provider's API key, say) are kept sealed in memory as in the database, and opened for the moment in
//! which the plugin that was granted the name asks.

mod master_key;
mod secret;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;

pub use master_key::{MasterKey, Place};
pub(crate) use master_key::{keyed_digest, random_bytes};
pub use secret::Secret;

use crate::args;
use crate::http::problem::{Code, Problem};
use crate::plugins::{SecretSource, SecretsUnavailable};
use crate::storage::sql::{KernelStatement, Sql, SqlError, Time};
use crate::versions::{Load, Topic, Versions};

#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    #[error("the master key must be 32 bytes, in hex or base64: make one with `openssl rand -hex 32`")]
    MalformedMasterKey,
    #[error(
        "no master key: set COMMERCE_MASTER_KEY or COMMERCE_MASTER_KEY_FILE to the one all nodes share, or put it into {}",
        .0.display()
    )]
    NoMasterKey(PathBuf),
    #[error("{}: {}", .0.display(), .1)]
    MasterKeyFile(PathBuf, #[source] std::io::Error),
    #[error("{} can be read by others than its owner: chmod 600 it, and change what it sealed if somebody did", .0.display())]
    MasterKeyReadable(PathBuf),
    #[error(
        "the master key is not the one that this database was sealed with: given is {given}, needed is {sealed_with}"
    )]
    WrongMasterKey { sealed_with: String, given: String },
    #[error("the sealed value of {0} is damaged, or was moved here from another place")]
    Damaged(String),
}

/// A secret's value may have this many bytes: certificates fit.
const MAX_BYTES: usize = 64 * 1024;

/// Store (0: all), plugin and name to the sealed value.
type Sealed = HashMap<(i64, String, String), Vec<u8>>;

pub struct Secrets {
    sql: Sql,
    master: MasterKey,
    sealed: ArcSwap<Sealed>,
    /// Of two loads that run at once, the one that began later must win.
    loading: tokio::sync::Mutex<()>,
}

/// What operators see of a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretName {
    pub plugin: String,
    pub name: String,
    /// 0: for all stores that have none of their own.
    pub store: i64,
}

impl Secrets {
    pub async fn open(sql: Sql, master: MasterKey, versions: &Versions) -> Result<Arc<Self>, SqlError> {
        let secrets = Arc::new(Self {
            sql,
            master,
            sealed: ArcSwap::default(),
            loading: tokio::sync::Mutex::default(),
        });
        let weak = Arc::downgrade(&secrets);
        versions.on_change(Topic::Secrets, move || {
            let secrets = weak.upgrade();
            async move {
                let Some(secrets) = secrets else {
                    return Load::NobodyLeft;
                };
                match secrets.load().await {
                    Ok(()) => Load::Done,
                    Err(error) => {
                        tracing::warn!(%error, "secrets could not be loaded; trying again");
                        Load::Failed
                    }
                }
            }
        });
        secrets.load().await?;
        Ok(secrets)
    }

    /// The store's own secret, else the one for all stores. Takes no statement.
    pub fn get(&self, store: i64, plugin: &str, name: &str) -> Result<Option<Secret<String>>, SecretsError> {
        let sealed = self.sealed.load();
        let found = [store, 0].into_iter().find_map(|store| {
            let key = (store, plugin.to_owned(), name.to_owned());
            sealed.get(&key).map(|value| (store, value))
        });
        let Some((store, value)) = found else {
            return Ok(None);
        };
        let place = Place { store, plugin, name };
        let opened = self.master.open(place, value)?;
        match std::str::from_utf8(opened.expose()) {
            Ok(text) => Ok(Some(Secret::new(text.to_owned()))),
            Err(_) => Err(SecretsError::Damaged(place.describe())),
        }
    }

    /// `store`: None for all stores that have none of their own.
    pub async fn set(
        &self,
        store: Option<i64>,
        plugin: &str,
        name: &str,
        value: &Secret<String>,
    ) -> Result<(), Problem> {
        check(plugin, name, value)?;
        let store = store.unwrap_or(0);
        let sealed = self
            .master
            .seal(Place { store, plugin, name }, value.expose().as_bytes())
            .map_err(|error| {
                tracing::error!(%error, "a secret cannot be sealed");
                Problem::internal()
            })?;
        let set = KernelStatement::new(
            "insert into kernel.secrets (store, plugin, name, sealed, updated_at) values ($1, $2, $3, $4, $5)
             on conflict (store, plugin, name) do update set sealed = excluded.sealed, updated_at = excluded.updated_at",
            args![store, plugin.to_owned(), name.to_owned(), sealed, Time::now()],
        );
        self.change(set).await
    }

    pub async fn remove(&self, store: Option<i64>, plugin: &str, name: &str) -> Result<(), Problem> {
        let remove = KernelStatement::new(
            "delete from kernel.secrets where store = $1 and plugin = $2 and name = $3",
            args![store.unwrap_or(0), plugin.to_owned(), name.to_owned()],
        );
        self.change(remove.expecting(1)).await.map_err(|problem| {
            let unknown = problem.is(Code::Conflict);
            if unknown {
                Problem::not_found(format!("There is no secret {plugin}.{name} to remove."))
            } else {
                problem
            }
        })
    }

    /// All secrets of a plugin, in every store. None is no mistake.
    pub async fn forget_plugin(&self, plugin: &str) -> Result<(), Problem> {
        let forget = KernelStatement::new("delete from kernel.secrets where plugin = $1", args![plugin.to_owned()]);
        self.change(forget).await
    }

    /// Names only, sorted.
    pub fn list(&self) -> Vec<SecretName> {
        let mut names: Vec<_> = self
            .sealed
            .load()
            .keys()
            .map(|(store, plugin, name)| SecretName {
                plugin: plugin.clone(),
                name: name.clone(),
                store: *store,
            })
            .collect();
        names.sort();
        names
    }

    async fn change(&self, statement: KernelStatement) -> Result<(), Problem> {
        self.sql
            .kernel()
            .transaction(vec![statement, Topic::Secrets.changed()])
            .await?;
        Ok(self.load().await?)
    }

    async fn load(&self) -> Result<(), SqlError> {
        let _one_at_a_time = self.loading.lock().await;
        let rows = self
            .sql
            .kernel()
            .fetch_all("select store, plugin, name, sealed from kernel.secrets", &[])
            .await?;
        let mut sealed = Sealed::with_capacity(rows.len());
        for row in &rows {
            sealed.insert((row.get(0)?, row.get(1)?, row.get(2)?), row.get(3)?);
        }
        self.sealed.store(Arc::new(sealed));
        Ok(())
    }
}

#[async_trait]
impl SecretSource for Secrets {
    async fn secret(&self, store: i64, plugin: &str, name: &str) -> Result<Option<String>, SecretsUnavailable> {
        match self.get(store, plugin, name) {
            Ok(secret) => Ok(secret.map(|secret| secret.expose().clone())),
            Err(error) => {
                tracing::error!(plugin, name, store, %error, "a secret cannot be opened");
                Err(SecretsUnavailable)
            }
        }
    }
}

fn check(plugin: &str, name: &str, value: &Secret<String>) -> Result<(), Problem> {
    let word = |text: &str| {
        (1..=63).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    };
    let mut problem = Problem::from(Code::InvalidBody);
    if !word(plugin) {
        problem = problem.with_error("/plugin", "must be a plugin's name");
    }
    if !word(name) {
        problem = problem.with_error("/name", "must be 1 to 63 letters, digits, _, - and .");
    }
    if !(1..=MAX_BYTES).contains(&value.expose().len()) {
        problem = problem.with_error("/value", format!("must have 1 to {MAX_BYTES} bytes"));
    }
    if problem.errors.is_empty() {
        Ok(())
    } else {
        Err(problem)
    }
}
