//! Values that may be lost at any time, and the answers that the kernel keeps for the plugin's cacheable routes.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::commerce::kernel::cache as host;
use crate::problem::Problem;

/// None where nothing is kept, and where what is kept has another shape, as after an upgrade.
pub fn get<T: DeserializeOwned>(key: &str) -> Result<Option<T>, Problem> {
    Ok(host::get(key)?.and_then(|value| serde_json::from_slice(&value).ok()))
}

pub fn set(key: &str, value: &impl Serialize, keep: Duration) -> Result<(), Problem> {
    let value = serde_json::to_vec(value).map_err(Problem::internal)?;
    Ok(host::set(
        key,
        &value,
        u64::try_from(keep.as_millis()).unwrap_or(u64::MAX),
    )?)
}

pub fn delete(key: &str) -> Result<(), Problem> {
    Ok(host::delete(key)?)
}

/// Drops every kept answer that bears one of these tags, once the unit of work has committed.
pub fn invalidate<T: AsRef<str>>(tags: &[T]) -> Result<(), Problem> {
    let tags: Vec<String> = tags.iter().map(|tag| tag.as_ref().to_owned()).collect();
    Ok(host::invalidate(&tags)?)
}
