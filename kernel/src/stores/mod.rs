//! Stores: who they are, how a request names one, and what is provisioned when one is created.

use serde::{Deserialize, Serialize};

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
