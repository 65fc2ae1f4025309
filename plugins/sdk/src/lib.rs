#![doc = include_str!("../README.md")]
//!
//! # The map
//!
//! | module | what it owns |
//! |---|---|
//! | [`routes`] | what a handler of an HTTP request takes and answers |
//! | [`functions`], [`events`], [`jobs`], [`import`], [`seed`] | the other ways the kernel calls a plugin |
//! | [`sql`] | the plugin's tables and transactions |
//! | [`plugins`], [`cache`], [`http`], [`store`](mod@store), [`log`], [`clock`], [`ids`] | the other capabilities |
//! | [`problem`] | every answer that is not a success |
//! | [`money`], [`timestamp`](mod@timestamp), [`page`], [`patch`] | values that every plugin needs and should not write twice |
//! | `describe`, `exports`, `arena`, `bindings` | the plumbing, which authors never name |

#[cfg(target_arch = "wasm32")]
mod arena;
#[doc(hidden)]
pub mod bindings;
pub mod cache;
pub mod clock;
mod context;
mod describe;
pub mod events;
mod exports;
pub mod functions;
pub mod http;
pub mod ids;
pub mod import;
pub mod jobs;
pub mod log;
pub mod money;
pub mod page;
pub mod patch;
pub mod plugins;
pub mod problem;
pub mod routes;
pub mod seed;
pub mod sql;
pub mod store;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod timestamp;

pub use commerce_sdk_macros::{consumer, delete, function, get, job, patch, plugin, post, put, schedule};
pub use context::{Caller, CallerKind, Context};
pub use {schemars, serde, serde_json};

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ARENA: arena::Arena = arena::Arena::new();

/// One `use` for a file of handlers.
pub mod prelude {
    pub use std::time::Duration;

    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};

    pub use crate::events::{self, Event};
    pub use crate::jobs::{self, Job};
    pub use crate::money::{Currency, Money, Rate};
    pub use crate::page::{Cursor, Page};
    pub use crate::patch::Patch;
    pub use crate::problem::Problem;
    pub use crate::routes::{Answer, Body, Created, Json, NoContent, Path, Query, Response, With};
    pub use crate::sql::{JsonColumn, OnConstraint, Statement, sql_text, transaction};
    pub use crate::store::{secret, settings, store};
    pub use crate::timestamp::Timestamp;
    pub use crate::{Caller, CallerKind, Context, cache, clock, id_type, ids, log, plugins, sql};
    pub use crate::{consumer, delete, function, get, job, patch, plugin, post, put, schedule};
}

/// What the macros name. No part of the API.
#[doc(hidden)]
pub mod __private {
    pub use commerce_contract as contract;

    pub use crate::bindings;
    pub use crate::describe::Schemas;
    pub use crate::events::{Consumer, Delivery};
    pub use crate::exports::{Exports, Plugin};
    pub use crate::functions::{Function, FunctionAnswer, FunctionPayload};
    pub use crate::jobs::{JobHandler, Run, ScheduleHandler};
    pub use crate::routes::{FromRequest, Incoming, Route, RouteFacts};
    pub use crate::sql::nul_terminated;
}
