use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `plugin.toml`: who the plugin is and what it asks the operator for. An unknown key is an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub plugin: PluginSection,
    #[serde(default)]
    pub capabilities: Capabilities,
    #[serde(default)]
    pub limits: Limits,
    /// Views that other plugins may be granted: name to the text of one SELECT over this plugin's tables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub views: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginSection {
    /// `[a-z][a-z0-9_]{0,30}`; hyphens are not allowed, because it names a schema.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// The version of `commerce:kernel` that it was written for, for example `0.1`.
    pub contract: String,
    #[serde(default)]
    pub description: String,
}

/// What the plugin asks for. Everything absent is denied; what is present still needs the operator's grant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Capabilities {
    /// Tables of its own.
    pub sql: bool,
    /// Views of other plugins it reads: `product.catalogue`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<String>,
    /// Functions of other plugins it calls: `product.reserve`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub call: Vec<String>,
    /// Services whose providers it calls: `shipping@1`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Services it provides: `shipping@1`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub provides: Vec<String>,
    /// Events of its own that it publishes: `completed`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<String>,
    /// Events of others it is told: `transaction.completed`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subscribe: Vec<String>,
    pub jobs: bool,
    pub cache: bool,
    /// Hosts it sends HTTPS to: `api.example.com`, or `api.example.com:8443`. No wildcards.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<String>,
    /// Names of secrets it reads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

/// What one call may use. Absent: the kernel's default. The kernel's configuration caps each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_kib: Option<u32>,
    /// Calls of this plugin at the same time on one node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<u32>,
    /// Database connections of this plugin at the same time on one node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
}
