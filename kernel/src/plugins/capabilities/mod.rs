//! What plugins can ask the kernel for: one file per WIT import.
//!
//! Each is linked once per engine; what a package asks for is checked at install (`grants`); each call checks what was granted
//! before it does anything. A capability that was not granted is a typed error that names the line to write, never a trap.

mod cache;
mod clock;
mod events;
mod http;
mod ids;
mod jobs;
pub(super) mod log;
mod plugins;
mod secrets;
mod settings;
mod sql;

use wasmtime::component::{HasSelf, Linker};

pub use self::cache::CacheStore;
pub use self::http::Egress;
pub use self::log::LogRate;
pub use self::secrets::{SecretSource, SecretsUnavailable};

use super::bindings::imports;
use super::instance::CallState;

type Itself = HasSelf<CallState>;

pub(super) fn link(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    imports::types::add_to_linker::<_, Itself>(linker, |state| state)?;
    imports::sql::add_to_linker::<_, Itself>(linker, |state| state)?;
    imports::plugins::add_to_linker::<_, Itself>(linker, |state| state)?;
    imports::events::add_to_linker::<_, Itself>(linker, |state| state)?;
    imports::jobs::add_to_linker::<_, Itself>(linker, |state| state)?;
    imports::cache::add_to_linker::<_, Itself>(linker, |state| state)?;
    imports::http::add_to_linker::<_, Itself>(linker, |state| state)?;
    imports::settings::add_to_linker::<_, Itself>(linker, |state| state)?;
    imports::secrets::add_to_linker::<_, Itself>(linker, |state| state)?;
    imports::log::add_to_linker::<_, Itself>(linker, |state| state)?;
    imports::clock::add_to_linker::<_, Itself>(linker, |state| state)?;
    imports::ids::add_to_linker::<_, Itself>(linker, |state| state)
}

impl imports::types::Host for CallState {}
