//! One file per command.

pub mod completions;
pub mod config;
pub mod dev;
pub mod doctor;
pub mod events;
pub mod import;
pub mod init;
pub mod key;
pub mod migrate;
pub mod openapi;
pub mod plugin;
pub mod secret;
pub mod seed;
pub mod serve;
pub mod store;
pub mod user;
