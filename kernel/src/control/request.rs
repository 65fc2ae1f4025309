//! What an operator can ask for: one value per thing the command line changes or reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One request over the control socket, or carried out directly where no kernel runs. The answer is one JSON value,
/// described with each variant, or a problem.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Answers `{version, pid, started_at, url, generation}`.
    Status,

    /// Answers the store with the ids of what was provisioned: `{id, slug, name, …, owner: {id, email}, publishable_key}`.
    StoreCreate(StoreCreate),
    /// Answers `{items: [store]}`.
    StoreList,
    StoreShow {
        store: String,
    },
    StoreSuspend {
        store: String,
    },
    StoreResume {
        store: String,
    },
    /// One more currency that the store has prices in. Answers the store.
    StoreAddCurrency {
        store: String,
        currency: String,
    },
    /// Removes all rows of the store, in every plugin. Answers `{id, slug, removed: {table: rows}}`.
    StoreDelete {
        store: String,
    },

    /// Answers `{items: [{name, version, digest, state, stores: […], rollback_to}]}`.
    PluginList,
    /// What would be installed, without installing: manifest, rights, routes, tables, what changes for an upgrade.
    PluginPreview {
        #[serde(with = "base64_text")]
        package: Vec<u8>,
    },
    /// Installs, or upgrades where the name is installed. `grants` must cover what the preview showed.
    PluginInstall {
        #[serde(with = "base64_text")]
        package: Vec<u8>,
        grants: Grants,
        upgrade: bool,
    },
    PluginInspect {
        name: String,
    },
    PluginEnable {
        name: String,
        store: Option<String>,
    },
    PluginDisable {
        name: String,
        store: Option<String>,
    },
    PluginRollback {
        name: String,
    },
    /// `purge` drops its tables.
    PluginRemove {
        name: String,
        purge: bool,
    },
    /// The settings of a plugin in a store: answers them; with `values` sets them first.
    PluginSettings {
        name: String,
        store: String,
        values: Option<Value>,
    },
    /// Which provider comes first for a service.
    ServiceOrder {
        service: String,
        providers: Vec<String>,
    },

    /// Staff or customer accounts. Answers the account.
    UserCreate {
        store: String,
        email: String,
        password: String,
        role: Option<String>,
    },
    UserList {
        store: String,
        email: Option<String>,
    },
    UserSetPassword {
        store: String,
        email: String,
        password: String,
    },
    UserVerify {
        store: String,
        email: String,
    },
    UserSuspend {
        store: String,
        email: String,
    },
    UserResume {
        store: String,
        email: String,
    },
    UserGrant {
        store: String,
        email: String,
        role: String,
    },
    UserRevoke {
        store: String,
        email: String,
        role: String,
    },
    /// Creates the role or replaces its permissions.
    RoleSet {
        store: String,
        role: String,
        permissions: Vec<String>,
    },
    RoleList {
        store: String,
    },

    /// Answers `{id, kind, key}`; the key is shown this once.
    KeyCreate {
        store: String,
        kind: KeyKind,
        name: String,
        permissions: Vec<String>,
    },
    KeyList {
        store: String,
    },
    KeyRevoke {
        store: String,
        id: String,
    },
    /// A new signing key for access tokens; the old one is accepted until the tokens it signed have expired.
    KeyRotate,

    SecretSet {
        plugin: String,
        name: String,
        store: Option<String>,
        value: String,
    },
    /// Names only.
    SecretList {
        plugin: Option<String>,
        store: Option<String>,
    },
    SecretRemove {
        plugin: String,
        name: String,
        store: Option<String>,
    },

    /// Rows of a file for the plugin that imports this resource and format; see `commerce_contract::Import`.
    Import {
        store: String,
        resource: String,
        format: String,
        payload: Value,
    },
    /// Fills a store with a demonstration; see `commerce_contract::Seed`. Streams progress.
    Seed {
        store: String,
        counts: BTreeMap<String, u64>,
    },

    EventsList {
        store: Option<String>,
        state: Option<String>,
        limit: u32,
        after: Option<String>,
    },
    EventsReplay {
        id: String,
    },
    EventsSkip {
        id: String,
    },
    JobsList {
        store: Option<String>,
        limit: u32,
        after: Option<String>,
    },

    /// The OpenAPI document as it is served.
    OpenApi {
        store: Option<String>,
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
    pub owner_password: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grants {
    /// All that the package asks for.
    All,
    /// What was granted before; fails where the package asks for more.
    Unchanged,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    Publishable,
    Secret,
}

/// A line on the socket while a request is carried out, before its answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done: `seeding notes`.
    pub step: String,
    pub done: u64,
    pub total: Option<u64>,
}

/// Bytes in JSON, at a third more than their length instead of four times.
mod base64_text {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD
            .decode(String::deserialize(deserializer)?)
            .map_err(serde::de::Error::custom)
    }
}
