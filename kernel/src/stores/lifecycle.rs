//! How a store comes, pauses and goes.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Currency, Store, StoreStatus, Stores, currencies, names};
use crate::args;
use crate::auth::{Auth, OWNER};
use crate::http::problem::{Code, Problem};
use crate::secrets::Secret;
use crate::storage::sql::{ConstraintKind, KernelStatement, SqlError, Time};
use crate::versions::Topic;

/// What an operator gives.
#[derive(Clone, Debug)]
pub struct NewStore {
    pub slug: String,
    pub name: String,
    /// The default; always among the store's currencies.
    pub currency: String,
    pub currencies: Vec<String>,
    pub hosts: Vec<String>,
    pub timezone: Option<String>,
    pub owner_email: String,
    pub owner_password: Secret<String>,
}

/// A store that is ready to serve.
#[derive(Clone, Debug)]
pub struct Provisioned {
    pub store: Arc<Store>,
    pub owner_id: String,
    pub owner_email: String,
    /// Shown this once: the database knows its hash only.
    pub publishable_key: String,
}

/// What plugins keep of a store. Implemented by the plugin engine.
#[async_trait]
pub trait StorePlugins: Send + Sync {
    /// Runs the data steps of every installed plugin's migrations for a new store, before it serves. May run twice.
    async fn provision(&self, store: &Arc<Store>) -> Result<(), Problem>;

    /// Removes the store's rows from every plugin's tables. Answers the rows removed per table. May run twice.
    async fn remove(&self, store: &Arc<Store>) -> Result<Vec<(String, u64)>, Problem>;
}

impl Provisioned {
    pub fn to_json(&self) -> Value {
        let mut answer = self.store.to_json();
        answer["owner"] = json!({ "id": self.owner_id, "email": self.owner_email });
        answer["publishable_key"] = json!(self.publishable_key);
        answer
    }
}

impl Store {
    /// As operators see it.
    pub fn to_json(&self) -> Value {
        let mut answer = self.published();
        answer["hosts"] = json!(self.hosts);
        answer["status"] = json!(self.status);
        answer
    }
}

impl Stores {
    /// Makes the store with its owner's account and a publishable key. It is suspended until its plugins are ready, and
    /// taken back where they fail.
    pub async fn create(&self, new: NewStore, auth: &Auth, plugins: &dyn StorePlugins) -> Result<Provisioned, Problem> {
        let _one_at_a_time = self.changing.lock().await;
        let wanted = self.checked(&new)?;
        let owner = auth.prepare_account(&new.owner_email, None, new.owner_password).await?;
        self.insert(&wanted).await?;
        let store = self.by_id(&wanted.id).ok_or_else(Problem::internal)?;
        match self.provision(&store, owner, auth, plugins).await {
            Ok(provisioned) => Ok(provisioned),
            Err(problem) => {
                if let Err(left) = self.remove(&store, plugins).await {
                    tracing::error!(
                        store = store.slug,
                        detail = left.detail,
                        "a half-made store is left; delete it"
                    );
                }
                Err(problem)
            }
        }
    }

    async fn provision(
        &self,
        store: &Arc<Store>,
        owner: crate::auth::PreparedAccount,
        auth: &Auth,
        plugins: &dyn StorePlugins,
    ) -> Result<Provisioned, Problem> {
        auth.set_role(store, OWNER, &["*".to_owned()]).await?;
        let (owner_id, owner_email) = (owner.id.clone(), owner.email.clone());
        auth.insert_account(store, owner, Some(OWNER)).await?;
        let key = auth.create_publishable_key(store, "default").await?;
        plugins.provision(store).await?;
        self.set_status(store, StoreStatus::Active).await?;
        let store = self.by_number(store.number).ok_or_else(Problem::internal)?;
        Ok(Provisioned {
            store,
            owner_id,
            owner_email,
            publishable_key: key.key.expose().clone(),
        })
    }

    /// Amounts may be in this currency too from now on. Answers the store as it is then.
    pub async fn add_currency(&self, store: &Store, currency: Currency) -> Result<Arc<Store>, Problem> {
        let _one_at_a_time = self.changing.lock().await;
        let now = self.by_number(store.number).ok_or(Code::UnknownStore)?;
        if now.currencies.contains(&currency) {
            return Ok(now);
        }
        let codes: Vec<&str> = now
            .currencies
            .iter()
            .chain([&currency])
            .map(|known| known.code.as_str())
            .collect();
        let update = KernelStatement::new(
            "update kernel.stores set currencies = $2 where number = $1",
            args![store.number, json!(codes).to_string()],
        );
        self.sql
            .kernel()
            .transaction(vec![update.expecting(1), Topic::Stores.changed()])
            .await?;
        self.load().await?;
        tracing::info!(
            store = now.slug,
            currency = currency.code,
            "the store has another currency"
        );
        self.by_number(store.number).ok_or_else(|| Code::UnknownStore.into())
    }

    pub async fn suspend(&self, store: &Store) -> Result<(), Problem> {
        self.set_status(store, StoreStatus::Suspended).await
    }

    pub async fn resume(&self, store: &Store) -> Result<(), Problem> {
        self.set_status(store, StoreStatus::Active).await
    }

    /// Removes every row of the store, the plugins' first: as long as the store is there, a removal that was interrupted
    /// can be asked for again. Answers the rows removed from plugins' tables.
    pub async fn delete(&self, store: &Arc<Store>, plugins: &dyn StorePlugins) -> Result<Vec<(String, u64)>, Problem> {
        let _one_at_a_time = self.changing.lock().await;
        self.suspend(store).await?;
        self.remove(store, plugins).await
    }

    async fn remove(&self, store: &Arc<Store>, plugins: &dyn StorePlugins) -> Result<Vec<(String, u64)>, Problem> {
        let removed = plugins.remove(store).await?;
        let mut statements = crate::events::forget_store(store.number);
        // Everything else of the kernel's goes with the store's own row.
        statements.extend([
            KernelStatement::new("delete from kernel.secrets where store = $1", args![store.number]),
            KernelStatement::new("delete from kernel.stores where number = $1", args![store.number]),
            Topic::Stores.changed(),
            Topic::Access.changed(),
            Topic::Secrets.changed(),
        ]);
        self.sql.kernel().transaction(statements).await?;
        self.load().await?;
        Ok(removed)
    }

    async fn set_status(&self, store: &Store, status: StoreStatus) -> Result<(), Problem> {
        let name = match status {
            StoreStatus::Active => "active",
            StoreStatus::Suspended => "suspended",
        };
        let update = KernelStatement::new(
            "update kernel.stores set status = $2 where number = $1",
            args![store.number, name],
        );
        let statements = vec![update.expecting(1), Topic::Stores.changed()];
        self.sql
            .kernel()
            .transaction(statements)
            .await
            .map_err(|error| match error {
                SqlError::Conflict => Code::UnknownStore.into(),
                other => Problem::from(other),
            })?;
        self.load().await.map_err(Problem::from)
    }

    async fn insert(&self, store: &Store) -> Result<(), Problem> {
        let codes: Vec<&str> = store.currencies.iter().map(|currency| currency.code.as_str()).collect();
        let row = args![
            store.id.clone(),
            store.slug.clone(),
            store.name.clone(),
            json!(store.hosts).to_string(),
            store.currency.clone(),
            json!(codes).to_string(),
            store.timezone.clone(),
            Time::now(),
        ];
        let insert = KernelStatement::new(
            "insert into kernel.stores (id, slug, name, hosts, currency, currencies, timezone, status, settings, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, 'suspended', '{}', $8)",
            row,
        );
        self.sql
            .kernel()
            .transaction(vec![insert, Topic::Stores.changed()])
            .await
            .map_err(|error| match error {
                SqlError::Constraint(violated) if violated.kind == ConstraintKind::Unique => slug_taken(&store.slug),
                other => Problem::from(other),
            })?;
        self.load().await.map_err(Problem::from)
    }

    fn checked(&self, new: &NewStore) -> Result<Store, Problem> {
        let mut problem = Problem::from(Code::InvalidBody);
        if !names::is_slug(&new.slug) {
            problem = problem.with_error("/slug", "must be 2 to 63 of a-z, 0-9 and single hyphens between");
        }
        let name = new.name.trim();
        if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
            problem = problem.with_error("/name", "must have 1 to 200 characters");
        }
        let mut chosen: Vec<Currency> = Vec::new();
        for (position, code) in std::iter::once(&new.currency).chain(&new.currencies).enumerate() {
            let pointer = if position == 0 {
                "/currency".to_owned()
            } else {
                format!("/currencies/{}", position - 1)
            };
            match currencies::find(&code.to_uppercase()) {
                Some(currency) if chosen.contains(&currency) => {}
                Some(currency) => chosen.push(currency),
                None => problem = problem.with_error(pointer, "must be a currency code of ISO 4217, such as USD"),
            }
        }
        let mut hosts = Vec::new();
        for (position, given) in new.hosts.iter().enumerate() {
            let pointer = format!("/hosts/{position}");
            match names::host(given) {
                None => problem = problem.with_error(pointer, "must be a host name without scheme and path"),
                Some(host) => match self.by_host(&host) {
                    Some(other) => problem = problem.with_error(pointer, format!("is the host of {}", other.slug)),
                    None if hosts.contains(&host) => {}
                    None => hosts.push(host),
                },
            }
        }
        let timezone = new.timezone.as_deref().unwrap_or("UTC");
        if timezone.parse::<chrono_tz::Tz>().is_err() {
            problem = problem.with_error("/timezone", "must be a name of the IANA database, such as Asia/Jakarta");
        }
        if !problem.errors.is_empty() {
            return Err(problem);
        }
        if self.by_slug(&new.slug).is_some() {
            return Err(slug_taken(&new.slug));
        }
        Ok(Store {
            number: 0,
            id: crate::typeid::new("store"),
            slug: new.slug.clone(),
            name: name.to_owned(),
            hosts,
            currency: new.currency.to_uppercase(),
            currencies: chosen,
            timezone: timezone.to_owned(),
            status: StoreStatus::Suspended,
        })
    }
}

fn slug_taken(slug: &str) -> Problem {
    Problem::new(
        Code::Conflict,
        format!("There is a store {slug} already: choose another slug."),
    )
}
