//! The store that this call is for, and what its staff and the operator gave this plugin.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::bindings::commerce::kernel::{secrets, settings as host};
use crate::money::Currency;
use crate::problem::Problem;

#[derive(Clone, Debug, Deserialize)]
pub struct Store {
    pub id: String,
    pub slug: String,
    pub name: String,
    /// The one that prices are kept in unless they say otherwise.
    pub currency: Currency,
    pub currencies: Vec<CurrencyFacts>,
    /// `Asia/Jakarta`
    pub timezone: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CurrencyFacts {
    pub code: Currency,
    /// How many decimals its minor unit has: 2 for USD, 0 for IDR.
    pub exponent: u32,
}

impl Store {
    /// None for a currency that this store does not use.
    pub fn exponent(&self, currency: Currency) -> Option<u32> {
        self.currencies
            .iter()
            .find(|facts| facts.code == currency)
            .map(|facts| facts.exponent)
    }
}

pub fn store() -> Result<Store, Problem> {
    serde_json::from_str(&host::store()).map_err(Problem::internal)
}

/// The settings of this plugin in this store, of the type named in `settings` of [`crate::plugin!`], defaults filled in.
pub fn settings<T: DeserializeOwned>() -> Result<T, Problem> {
    serde_json::from_str(&host::get()).map_err(Problem::internal)
}

/// None where the operator has not set it.
pub fn secret(name: &str) -> Result<Option<String>, Problem> {
    Ok(secrets::get(name)?)
}
