//! The commerce kernel: it serves, stores, authenticates, and runs plugins; it knows nothing about commerce itself.

pub mod auth;
pub mod caller;
pub mod config;
pub mod control;
pub mod events;
pub mod http;
pub mod plugins;
pub mod secrets;
pub mod storage;
pub mod stores;
pub mod telemetry;
pub mod typeid;
pub mod versions;
