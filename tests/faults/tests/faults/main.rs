//! What must hold when many come at once, when kernels are killed, and when plugins are replaced or misbehave: stories
//! through real kernel processes and real sockets, on both engines.

mod books;
mod contention;
mod crowd;
mod expiry;
mod kills;
mod neighbours;
mod next_product;
mod shutdown;
mod upgrades;

/// One story as two tests. The story starts its own kernels.
macro_rules! on_each_engine {
    ($(#[$meta:meta])* async fn $name:ident($engine:ident) $body:block) => {
        mod $name {
            use super::*;

            async fn story($engine: commerce_harness::Engine) $body

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread")]
            async fn sqlite() {
                story(commerce_harness::Engine::Sqlite).await;
            }

            $(#[$meta])*
            #[tokio::test(flavor = "multi_thread")]
            async fn postgres() {
                story(commerce_harness::Engine::Postgres).await;
            }
        }
    };
}
pub(crate) use on_each_engine;
