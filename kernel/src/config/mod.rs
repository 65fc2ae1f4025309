//! Configuration: the defaults, then `commerce.toml`, then `COMMERCE_…` variables; each overrides the one before.
//!
//! - [`keys`]: every key there is, its default and meaning. Nothing is configurable that is not in that table.
//! - [`form`]: what a text must look like to be a network, an origin and so on.
//! - [`load`]: reads and checks; an unknown key or a bad value stops the start with file, line and what to write instead.
//! - [`sections`]: the result as the parts of the kernel take it.
//! - [`reference`]: writes `commerce.toml` and `docs/configuration.md` from the table.

mod form;
pub mod keys;
mod load;
pub mod reference;
mod sections;
#[cfg(test)]
mod tests;
mod value;

use std::path::PathBuf;

use serde::Deserialize;

pub use load::{ConfigError, ConfigFault};
pub use sections::*;

pub use crate::auth::AuthConfig;
pub use crate::events::EventsConfig;
pub use crate::plugins::PluginsConfig;
use crate::secrets::Secret;
pub use crate::storage::sql::SqlConfig;

/// `commerce.toml` as it ships: every key with its default and what it means.
pub const DEFAULT_FILE: &str = include_str!("../../../commerce.toml");

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub data_dir: PathBuf,
    pub master_key: Option<Secret<String>>,
    pub http: HttpConfig,
    pub metrics: MetricsConfig,
    pub sql: SqlConfig,
    pub plugins: PluginsConfig,
    pub events: EventsConfig,
    pub auth: AuthConfig,
    pub rate_limits: RateLimitsConfig,
    pub stores: StoresConfig,
    pub log: LogConfig,
    #[serde(skip)]
    settings: Vec<Setting>,
}

impl Config {
    /// Every setting in force, in the order of the table, fit to be shown to anyone.
    pub fn redacted(&self) -> &[Setting] {
        &self.settings
    }
}

/// Only what may be shown: a database's URL holds a password.
impl std::fmt::Debug for Config {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(&self.settings).finish()
    }
}

/// A setting as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Setting {
    pub key: &'static str,
    /// TOML text with secrets replaced; none where an optional key is absent.
    pub value: Option<String>,
    pub origin: Origin,
}

/// Who decided a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File { path: PathBuf, line: usize },
    Variable(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File { path, line } => write!(formatter, "{}:{line}", path.display()),
            Self::Variable(name) => formatter.write_str(name),
        }
    }
}

impl serde::Serialize for Origin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
