//! Stories over REST through a real kernel process, each on SQLite and on PostgreSQL. Every answer is also checked
//! against the kernel's OpenAPI document by the harness.

mod auth;
mod carts;
mod command_line;
mod compatibility;
mod idempotency;
mod import;
mod isolation;
mod openapi;
mod products;
mod purchase;
mod requests;
mod stores;
mod transactions;
