//! SQL.md, "Cost": deadlines, caps, queues.

use std::sync::Arc;
use std::time::Duration;

use commerce_kernel::storage::sql::border::{ColumnType, Prepared};
use commerce_kernel::storage::sql::{Engine, Mode, SqlConfig, SqlError};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::on_both_engines;
use crate::world::{JAKARTA, World, args, rows, statement};

on_both_engines! {
    an_endless_cte_is_ended_by_its_deadline,
    an_endless_cte_is_ended_by_the_statement_timeout,
    ten_million_rows_are_capped,
    one_huge_value_is_capped,
    a_unit_survives_a_capped_statement_in_a_nested_transaction,
    a_transaction_has_a_maximum_age,
    one_plugin_cannot_take_every_connection,
    a_hundred_concurrent_units_all_commit,
}

pub fn endless() -> Prepared {
    statement(
        "with recursive n (i) as (select 1 where $1 > 0 union all select i + 1 from n) select count(*) from n",
        &[],
        &[("count", Some(ColumnType::Bigint))],
        &[],
    )
}

fn ten_million_rows() -> Prepared {
    statement(
        "with recursive n (i) as (select 1 where $1 > 0 union all select i + 1 from n where i < 10000000) select i from n",
        &[],
        &[("i", Some(ColumnType::Bigint))],
        &[],
    )
}

async fn an_endless_cte_is_ended_by_its_deadline(engine: Engine) {
    let config = SqlConfig {
        max_connections: 1,
        queue_wait_ms: 3_000,
        ..SqlConfig::default()
    };
    let world = World::with(engine, config).await;
    for mode in [Mode::Reading, Mode::Changing] {
        let mut work = world.work(mode);
        let started = Instant::now();
        let limits = world.sql.limits(started + Duration::from_millis(200));
        let outcome = work
            .statement(&world.product, &endless(), &args(json!([])), limits)
            .await;
        assert_eq!(outcome, Err(SqlError::Timeout));
        // The statement timeout alone would have taken five seconds.
        assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
        work.abandon().await;
        // The one connection is free again.
        assert!(world.ids(JAKARTA).await.is_empty());
    }
}

async fn an_endless_cte_is_ended_by_the_statement_timeout(engine: Engine) {
    let world = World::with(
        engine,
        SqlConfig {
            statement_timeout_ms: 200,
            ..SqlConfig::default()
        },
    )
    .await;
    let outcome = world
        .work(Mode::Reading)
        .statement(&world.product, &endless(), &args(json!([])), world.limits())
        .await;
    assert_eq!(outcome, Err(SqlError::Timeout));
}

async fn ten_million_rows_are_capped(engine: Engine) {
    let world = World::new(engine).await;
    let started = Instant::now();
    let mut work = world.work(Mode::Reading);
    let outcome = work
        .statement(&world.product, &ten_million_rows(), &args(json!([])), world.limits())
        .await;
    assert_eq!(outcome, Err(SqlError::TooLarge));
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert!(world.ids(JAKARTA).await.is_empty());
}

async fn one_huge_value_is_capped(engine: Engine) {
    let world = World::with(
        engine,
        SqlConfig {
            max_bytes: 100_000,
            ..SqlConfig::default()
        },
    )
    .await;
    let echo = statement(
        "select $1 as text where $2 > 0",
        &[ColumnType::Text],
        &[("text", Some(ColumnType::Text))],
        &[],
    );
    let mut work = world.work(Mode::Reading);
    let small = work
        .statement(
            &world.product,
            &echo,
            &args(json!(["x".repeat(90_000)])),
            world.limits(),
        )
        .await;
    assert_eq!(rows(small).len(), 1);
    let large = work
        .statement(
            &world.product,
            &echo,
            &args(json!(["x".repeat(110_000)])),
            world.limits(),
        )
        .await;
    assert_eq!(large, Err(SqlError::TooLarge));
}

async fn a_unit_survives_a_capped_statement_in_a_nested_transaction(engine: Engine) {
    let world = World::new(engine).await;
    let many = statement(
        "with recursive n (i) as (select 1 where $1 > 0 union all select i + 1 from n where i < 50000) select i from n",
        &[],
        &[("i", Some(ColumnType::Bigint))],
        &[],
    );
    let mut work = world.work(Mode::Changing);
    let call = work.enter();
    world.insert(&mut work, "chair").await.unwrap();
    let attempt = work.begin(call, &world.product).await.unwrap();
    let outcome = work
        .statement(&world.product, &many, &args(json!([])), world.limits())
        .await;
    assert_eq!(outcome, Err(SqlError::TooLarge));
    work.rollback(call, attempt).await.unwrap();
    work.leave(call).await.unwrap();
    work.finish(Vec::new()).await.unwrap();
    assert_eq!(world.ids(JAKARTA).await, ["chair"]);
}

async fn a_transaction_has_a_maximum_age(engine: Engine) {
    let world = World::with(
        engine,
        SqlConfig {
            transaction_max_age_ms: 300,
            ..SqlConfig::default()
        },
    )
    .await;
    let mut work = world.work(Mode::Changing);
    world.insert(&mut work, "chair").await.unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(world.insert(&mut work, "table").await.is_err());
    assert!(work.finish(Vec::new()).await.is_err());
    assert!(world.ids(JAKARTA).await.is_empty());
}

async fn one_plugin_cannot_take_every_connection(engine: Engine) {
    let config = SqlConfig {
        max_connections: 4,
        queue_wait_ms: 300,
        ..SqlConfig::default()
    };
    let mut world = World::with(engine, config).await;
    world.product = world.sql.access("product", 2);
    let world = Arc::new(world);
    let mut held = Vec::new();
    for _ in 0..4 {
        let world = Arc::clone(&world);
        held.push(tokio::spawn(async move {
            let limits = world.sql.limits(Instant::now() + Duration::from_secs(4));
            let mut work = world.work(Mode::Reading);
            work.statement(&world.product, &endless(), &args(json!([])), limits)
                .await
        }));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let started = Instant::now();
    let other = world
        .work(Mode::Reading)
        .statement(&world.review, &crate::wall::notes(), &args(json!([])), world.limits())
        .await;
    assert!(rows(other).is_empty());
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    let mut refused = 0;
    for one in held {
        refused += usize::from(matches!(one.await.unwrap(), Err(SqlError::Unavailable { .. })));
    }
    assert_eq!(refused, 2);
}

async fn a_hundred_concurrent_units_all_commit(engine: Engine) {
    let world = Arc::new(World::new(engine).await);
    let mut tasks = Vec::new();
    for number in 0..100 {
        let world = Arc::clone(&world);
        tasks.push(tokio::spawn(async move {
            let mut work = world.work(Mode::Changing);
            // Reads before it writes: what makes a deferred transaction of SQLite fail.
            rows(
                work.statement(&world.product, &crate::world::list(), &args(json!([])), world.limits())
                    .await,
            );
            world.insert(&mut work, &format!("item{number:03}")).await.unwrap();
            work.finish(Vec::new()).await.unwrap();
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(world.ids(JAKARTA).await.len(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_writers_queue_is_first_come_first_served_and_not_the_calls_time() {
    let world = Arc::new(World::new(Engine::Sqlite).await);
    let mut first = world.work(Mode::Changing);
    world.insert(&mut first, "first").await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for number in 0..10 {
        let (world, order) = (Arc::clone(&world), Arc::clone(&order));
        tasks.push(tokio::spawn(async move {
            let mut work = world.work(Mode::Changing);
            // Shorter than the wait in the queue.
            let limits = world.sql.limits(Instant::now() + Duration::from_millis(300));
            let id = format!("item{number}");
            let outcome = work
                .statement(&world.product, &crate::world::insert(), &args(json!([id, id])), limits)
                .await;
            outcome.unwrap();
            order.lock().await.push(number);
            assert!(work.waited() > Duration::from_millis(300));
            work.finish(Vec::new()).await.unwrap();
        }));
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    tokio::time::sleep(Duration::from_millis(400)).await;
    first.finish(Vec::new()).await.unwrap();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().await, (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_writers_queue_has_a_bound_of_its_own() {
    let world = World::with(
        Engine::Sqlite,
        SqlConfig {
            queue_wait_ms: 100,
            ..SqlConfig::default()
        },
    )
    .await;
    let mut first = world.work(Mode::Changing);
    world.insert(&mut first, "first").await.unwrap();
    let mut second = world.work(Mode::Changing);
    assert!(matches!(
        world.insert(&mut second, "second").await,
        Err(SqlError::Unavailable { .. })
    ));
    first.finish(Vec::new()).await.unwrap();
}
