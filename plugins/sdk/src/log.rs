//! The operator's log. `log::info!("imported {count} products")`; the kernel adds plugin, store and request id.

use crate::bindings::commerce::kernel::log as host;
pub use crate::bindings::commerce::kernel::log::Level;
pub use crate::{__log_debug as debug, __log_error as error, __log_info as info, __log_warn as warn};

/// What the macros call. Outside of the sandbox, in a plugin's own tests, lines go to standard error.
pub fn write(level: Level, message: &str) {
    if cfg!(target_arch = "wasm32") {
        host::write(level, message);
    } else {
        eprintln!("{level:?}: {message}");
    }
}

#[doc(hidden)]
#[macro_export]
macro_rules! __log_debug {
    ($($message:tt)*) => { $crate::log::write($crate::log::Level::Debug, &::std::format!($($message)*)) };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __log_info {
    ($($message:tt)*) => { $crate::log::write($crate::log::Level::Info, &::std::format!($($message)*)) };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __log_warn {
    ($($message:tt)*) => { $crate::log::write($crate::log::Level::Warn, &::std::format!($($message)*)) };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __log_error {
    ($($message:tt)*) => { $crate::log::write($crate::log::Level::Error, &::std::format!($($message)*)) };
}
