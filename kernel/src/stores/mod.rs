//! Stores: who they are, how a request names one, and what is provisioned when one is created.
//!
//! Every node keeps all of them in memory ([`Stores`]): a change of its own is there at once, another node's within two
//! seconds. Provisioning and removal are in [`lifecycle`].

pub mod currencies;
mod lifecycle;
mod names;
mod registry;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use lifecycle::{NewStore, Provisioned, StorePlugins};
pub use registry::Stores;

/// One store as the kernel keeps it in memory. Shared by all requests of the store; replaced whole when it changes.
#[derive(Clone, Debug)]
pub struct Store {
    /// The `store_id` of every sliced row. Internal: plugins and clients never see it.
    pub number: i64,
    /// `store_…`
    pub id: String,
    pub slug: String,
    pub name: String,
    /// Host names that select this store.
    pub hosts: Vec<String>,
    /// The default, ISO 4217.
    pub currency: String,
    pub currencies: Vec<Currency>,
    /// IANA name.
    pub timezone: String,
    pub status: StoreStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreStatus {
    Active,
    Suspended,
}

/// A currency and how many decimal digits its minor unit has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Currency {
    pub code: String,
    pub exponent: u8,
}

impl Store {
    /// What `GET /api/store` tells everybody.
    pub fn published(&self) -> Value {
        json!({
            "id": self.id,
            "slug": self.slug,
            "name": self.name,
            "currency": self.currency,
            "currencies": self.currencies,
            "timezone": self.timezone,
        })
    }
}
