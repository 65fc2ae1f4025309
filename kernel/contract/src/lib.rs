//! What a plugin and the kernel tell each other as data, outside of calls.
//!
//! - [`Manifest`]: `plugin.toml`, what the plugin asks for. Read before anything of the plugin runs.
//! - [`Descriptor`]: the answer of the plugin's `describe`, what it offers. Asked for once, at install.
//! - [`ServiceContract`]: what a service such as `shipping@1` promises; carried by who provides it and who calls it.
//! - [`sections`]: the names of the custom sections that make one `.wasm` file a package.
//!
//! The crate does no work and knows no runtime, so that guests, the kernel and the command line can share it.

mod descriptor;
mod manifest;
pub mod sections;
mod service;

pub use descriptor::*;
pub use manifest::*;
pub use service::*;
