//! The commerce kernel: it serves, stores, authenticates, and runs plugins; it knows nothing about commerce itself.

pub mod auth;
pub mod caller;
pub mod config;
pub mod control;
pub mod events;
pub mod http;
pub mod kernel;
pub mod plugins;
pub mod secrets;
pub mod storage;
pub mod stores;
pub mod telemetry;
pub mod typeid;
pub mod versions;

pub use kernel::{Kernel, serve};
/// What the binaries allocate with: calls begin on one thread and end on another, which the system's allocator pays for with
/// locks.
pub use mimalloc::MiMalloc as Allocator;

/// Says once which cryptography TLS uses. Call it at the start of `main`, before anything connects.
pub fn install_tls() {
    // Fails where it was said before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
