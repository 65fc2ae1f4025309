//! Plugins through the real engine and a real database: what they can do, and what they cannot.

mod freshness;
mod hostile;
mod hostile_sql;
mod kernel;
mod lifecycle;
mod packages;
mod transactions;
