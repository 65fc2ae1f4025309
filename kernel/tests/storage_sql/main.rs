//! The relational store on both engines: every story runs on SQLite and on PostgreSQL.

mod border;
mod cost;
mod kernel_statements;
mod transactions;
mod values;
mod wall;
mod world;

/// Two tests of each story: `sqlite::NAME` and `postgres::NAME`.
macro_rules! on_both_engines {
    ($($story:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() { super::$story(commerce_kernel::storage::sql::Engine::Sqlite).await; })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() { super::$story(commerce_kernel::storage::sql::Engine::Postgres).await; })*
        }
    };
}
pub(crate) use on_both_engines;
