//! Custom sections of a package. Names are stable: a package of any release can be read by any later kernel.

/// The text of `plugin.toml`.
pub const MANIFEST: &str = "commerce:manifest";

/// A JSON array of `{"file": "0001_products.sql", "text": "…"}` in the order of their names.
pub const MIGRATIONS: &str = "commerce:migrations";

/// Every static SQL text of the plugin, each followed by a NUL byte. The SDK's `sql!` puts them into the core
/// module; `commerce plugin build` moves them to the package. Install checks each against the recorded schema.
pub const SQL: &str = "commerce:sql";

/// A JSON array of the service contracts that the plugin provides or calls, each the text of its contract file.
pub const CONTRACTS: &str = "commerce:contracts";
