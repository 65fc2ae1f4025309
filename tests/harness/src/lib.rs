//! Starts real kernels on real databases, and plays the people who use them.

pub mod client;
pub mod kernel;
pub mod openapi;
pub mod postgres;
pub mod store;

pub use client::{Answer, Client};
pub use kernel::{Engine, TestKernel};
pub use store::{Goods, GuestCart, Person, Store};

/// Says once which cryptography TLS uses; the client needs it even where a test speaks plain HTTP.
pub(crate) fn install_tls() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// Runs one story on both engines, as two tests.
#[macro_export]
macro_rules! on_both_engines {
    ($(#[$meta:meta])* async fn $name:ident($kernel:ident: TestKernel) $body:block) => {
        mod $name {
            use super::*;

            async fn story($kernel: $crate::TestKernel) $body

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                story($crate::TestKernel::start($crate::Engine::Sqlite).await).await;
            }

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                story($crate::TestKernel::start($crate::Engine::Postgres).await).await;
            }
        }
    };
}
