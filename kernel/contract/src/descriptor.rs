use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A JSON Schema 2020-12. References to other schemas of the plugin are written `#/components/schemas/Name`.
pub type JsonSchema = serde_json::Value;

/// What a plugin offers. Everything here is data: nothing in it can ask for a right (the manifest does that).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Descriptor {
    pub routes: Vec<Route>,
    pub functions: Vec<Function>,
    /// Services provided: name to the functions of this plugin that answer it, by the contract's function names.
    pub provides: BTreeMap<String, Vec<String>>,
    pub publishes: Vec<EventKind>,
    pub jobs: Vec<JobKind>,
    pub schedules: Vec<Schedule>,
    /// Files that staff can import, for `commerce import RESOURCE --format FORMAT FILE`.
    pub imports: Vec<Import>,
    /// The function that fills a new demo store for `commerce seed`, if there is one. See [`Seed`].
    pub seed: Option<Seed>,
    /// Permissions that its routes ask staff for.
    pub permissions: Vec<Permission>,
    /// Schema of the settings a store's staff gives the plugin, with defaults.
    pub settings: Option<JsonSchema>,
    /// Named schemas for the OpenAPI document.
    pub schemas: BTreeMap<String, JsonSchema>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// OpenAPI operation id, unique among all plugins of a kernel by its prefix: `product.list`.
    pub operation: String,
    /// Upper case.
    pub method: String,
    /// `/api/products/{id}`. Each `{…}` is one segment.
    pub path: String,
    pub summary: String,
    pub access: Access,
    /// The answer is the same for everybody: the plugin is told no caller, and the kernel may keep the answer.
    #[serde(default)]
    pub cacheable: bool,
    /// Opens its own transactions instead of being one: for handlers that talk to a provider.
    #[serde(default)]
    pub staged: bool,
    /// Request headers the handler reads, in lower case.
    #[serde(default)]
    pub headers: Vec<String>,
    /// An object schema whose properties are the query parameters.
    #[serde(default)]
    pub query: Option<JsonSchema>,
    #[serde(default)]
    pub body: Option<JsonSchema>,
    /// Body limit in KiB where the kernel's default does not fit.
    #[serde(default)]
    pub body_kib: Option<u32>,
    pub answers: Vec<Answer>,
    /// The problems it may answer with, besides those of the pipeline.
    #[serde(default)]
    pub problems: Vec<ProblemKind>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Anyone; who is signed in is told.
    Public,
    /// Any signed-in account.
    Customer,
    /// Staff who have this permission.
    Staff(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub status: u16,
    pub description: String,
    #[serde(default)]
    pub schema: Option<JsonSchema>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProblemKind {
    pub status: u16,
    pub code: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Function {
    pub name: String,
    #[serde(default)]
    pub summary: String,
    pub payload: JsonSchema,
    pub answer: JsonSchema,
    /// Only reads: may be called from a GET.
    #[serde(default)]
    pub reads: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventKind {
    pub name: String,
    #[serde(default)]
    pub summary: String,
    pub payload: JsonSchema,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobKind {
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The job's name; it runs once per store for each time the line names.
    pub name: String,
    /// Five fields, UTC: `*/5 * * * *`.
    pub cron: String,
}

/// The function takes `{"header": […], "rows": [{"line": 2, "fields": […]}], "last": false, "options": {…}}` and answers
/// `{"consumed": 10, "created": 1, "updated": 0, "unchanged": 0, "errors": [{"line": 4, "message": "…"}], "warnings": […]}`: nothing was
/// made of a row with an error, and of one with a warning not all. Rows that it did not consume come again, with more behind
/// them; with `last` it must consume all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Import {
    /// `products`
    pub resource: String,
    /// `shopify`
    pub format: String,
    pub function: String,
}

/// The function takes `{"count": 100, "from": 0}` and creates the items `from..from+count` of a believable demonstration,
/// the same for the same numbers; it answers `{"created": 100}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seed {
    /// What is counted: `products`.
    pub resource: String,
    pub function: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Permission {
    /// `product.write`
    pub name: String,
    pub description: String,
}
