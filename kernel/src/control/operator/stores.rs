//! Stores.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Operator, items};
use crate::control::request::exposed;
use crate::http::problem::Problem;
use crate::secrets::Secret;
use crate::stores::NewStore;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum StoreRequest {
    /// Answers the store with the ids of what was provisioned: `{id, slug, name, …, owner: {id, email}, publishable_key}`.
    Create(StoreCreate),
    /// Answers `{items: [store]}`.
    List,
    Show {
        store: String,
    },
    Suspend {
        store: String,
    },
    Resume {
        store: String,
    },
    /// One more currency that the store has prices in. Answers the store.
    AddCurrency {
        store: String,
        currency: String,
    },
    /// Removes all rows of the store, in every plugin. Answers `{id, slug, removed: {table: rows}}`.
    Delete {
        store: String,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoreCreate {
    pub slug: String,
    pub name: String,
    pub currency: String,
    #[serde(default)]
    pub currencies: Vec<String>,
    #[serde(default)]
    pub hosts: Vec<String>,
    #[serde(default)]
    pub timezone: Option<String>,
    pub owner_email: String,
    #[serde(serialize_with = "exposed")]
    pub owner_password: Secret<String>,
}

impl Operator {
    pub(super) async fn stores(&self, request: StoreRequest) -> Result<Value, Problem> {
        let stores = &self.kernel.stores;
        match request {
            StoreRequest::Create(create) => self.create_store(create).await,
            StoreRequest::List => Ok(items(stores.all().iter().map(|store| store.to_json()))),
            StoreRequest::Show { store } => Ok(self.store(&store)?.to_json()),
            StoreRequest::Suspend { store } => {
                stores.suspend(&*self.store(&store)?).await?;
                Ok(self.store(&store)?.to_json())
            }
            StoreRequest::Resume { store } => {
                stores.resume(&*self.store(&store)?).await?;
                Ok(self.store(&store)?.to_json())
            }
            StoreRequest::AddCurrency { store, currency } => {
                let added = super::currency(&currency)?;
                Ok(stores.add_currency(&*self.store(&store)?, added).await?.to_json())
            }
            StoreRequest::Delete { store } => self.delete_store(&store).await,
        }
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
            owner_password: create.owner_password,
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
}
