//! SQL.md, "Transactions": what commits, what rolls back, and who may close what.

use std::time::Duration;

use commerce_kernel::args;
use commerce_kernel::storage::sql::{Engine, KernelStatement, Mode, SqlConfig, SqlError, Time};
use futures_util::FutureExt;
use serde_json::json;

use crate::on_both_engines;
use crate::world::{BANDUNG, JAKARTA, World, args as plugin_args, insert, list, rows};

on_both_engines! {
    a_finished_unit_is_there_and_an_abandoned_one_is_not,
    a_dropped_unit_rolls_back_and_frees_its_connection,
    a_failed_statement_dooms_the_unit,
    a_failed_joined_call_dooms_the_unit,
    a_nested_transaction_survives_a_failure_inside_it,
    a_callee_cannot_close_its_callers_transaction,
    a_call_that_leaves_its_transaction_open_loses_it,
    transactions_close_in_order,
    a_reading_unit_changes_nothing,
    a_staged_unit_commits_what_it_closes_itself,
    what_was_put_off_runs_with_the_commit_only,
    a_settlement_that_misses_its_row_takes_everything_back,
    the_kernel_and_plugins_share_one_transaction,
    a_cancelled_statement_dooms_the_unit_and_frees_its_connection,
    a_cancelled_finish_still_commits,
    two_stores_see_their_own_rows,
}

async fn a_finished_unit_is_there_and_an_abandoned_one_is_not(engine: Engine) {
    let world = World::new(engine).await;
    let mut kept = world.work(Mode::Changing);
    world.insert(&mut kept, "chair").await.unwrap();
    kept.finish(Vec::new()).await.unwrap();
    let mut thrown_away = world.work(Mode::Changing);
    world.insert(&mut thrown_away, "table").await.unwrap();
    thrown_away.abandon().await;
    assert_eq!(world.ids(JAKARTA).await, ["chair"]);
}

async fn a_dropped_unit_rolls_back_and_frees_its_connection(engine: Engine) {
    let config = SqlConfig {
        max_connections: 1,
        queue_wait_ms: 2_000,
        ..SqlConfig::default()
    };
    let world = World::with(engine, config).await;
    for _ in 0..5 {
        let mut work = world.work(Mode::Changing);
        world.insert(&mut work, "chair").await.unwrap();
        drop(work);
    }
    assert!(world.ids(JAKARTA).await.is_empty());
}

async fn a_failed_statement_dooms_the_unit(engine: Engine) {
    let world = World::new(engine).await;
    let mut work = world.work(Mode::Changing);
    world.insert(&mut work, "chair").await.unwrap();
    assert!(matches!(
        world.insert(&mut work, "chair").await,
        Err(SqlError::Constraint(_))
    ));
    assert_eq!(world.insert(&mut work, "table").await, Err(SqlError::Doomed));
    assert_eq!(work.finish(Vec::new()).await, Err(SqlError::Doomed));
    assert!(world.ids(JAKARTA).await.is_empty());
}

async fn a_failed_joined_call_dooms_the_unit(engine: Engine) {
    let world = World::new(engine).await;
    let mut work = world.work(Mode::Changing);
    // Before the first statement, too: the connection is not yet taken.
    work.doom();
    assert_eq!(world.insert(&mut work, "chair").await, Err(SqlError::Doomed));
    assert_eq!(work.finish(Vec::new()).await, Err(SqlError::Doomed));
    assert!(world.ids(JAKARTA).await.is_empty());
}

async fn a_nested_transaction_survives_a_failure_inside_it(engine: Engine) {
    let world = World::new(engine).await;
    let mut work = world.work(Mode::Changing);
    let call = work.enter();
    world.insert(&mut work, "chair").await.unwrap();
    let attempt = work.begin(call, &world.product).await.unwrap();
    world.insert(&mut work, "lamp").await.unwrap();
    world.insert(&mut work, "chair").await.unwrap_err();
    assert_eq!(work.commit(call, attempt).await, Err(SqlError::Doomed));
    work.rollback(call, attempt).await.unwrap();
    let second = work.begin(call, &world.product).await.unwrap();
    world.insert(&mut work, "table").await.unwrap();
    work.commit(call, second).await.unwrap();
    work.leave(call).await.unwrap();
    work.finish(Vec::new()).await.unwrap();
    assert_eq!(world.ids(JAKARTA).await, ["chair", "table"]);
}

async fn a_callee_cannot_close_its_callers_transaction(engine: Engine) {
    let world = World::new(engine).await;
    let mut work = world.work(Mode::Staged);
    let caller = work.enter();
    let transaction = work.begin(caller, &world.product).await.unwrap();
    let callee = work.enter();
    assert_eq!(work.commit(callee, transaction).await, Err(SqlError::NotOwner));
    assert_eq!(work.rollback(callee, transaction).await, Err(SqlError::NotOwner));
    world.insert(&mut work, "chair").await.unwrap();
    work.leave(callee).await.unwrap();
    work.commit(caller, transaction).await.unwrap();
    work.leave(caller).await.unwrap();
    work.finish(Vec::new()).await.unwrap();
    assert_eq!(world.ids(JAKARTA).await, ["chair"]);
}

async fn a_call_that_leaves_its_transaction_open_loses_it(engine: Engine) {
    let world = World::new(engine).await;
    let mut work = world.work(Mode::Changing);
    let caller = work.enter();
    world.insert(&mut work, "chair").await.unwrap();
    let callee = work.enter();
    work.begin(callee, &world.product).await.unwrap();
    world.insert(&mut work, "table").await.unwrap();
    work.begin(callee, &world.product).await.unwrap();
    world.insert(&mut work, "lamp").await.unwrap();
    assert_eq!(work.leave(callee).await, Err(SqlError::LeftOpen));
    work.leave(caller).await.unwrap();
    work.finish(Vec::new()).await.unwrap();
    assert_eq!(world.ids(JAKARTA).await, ["chair"]);
}

async fn transactions_close_in_order(engine: Engine) {
    let world = World::new(engine).await;
    let mut work = world.work(Mode::Staged);
    let call = work.enter();
    let outer = work.begin(call, &world.product).await.unwrap();
    let inner = work.begin(call, &world.product).await.unwrap();
    assert_eq!(work.commit(call, outer).await, Err(SqlError::NotOwner));
    work.commit(call, inner).await.unwrap();
    assert_eq!(work.commit(call, inner).await, Err(SqlError::NotOwner));
    work.commit(call, outer).await.unwrap();
    assert!(!work.in_transaction());
}

async fn a_reading_unit_changes_nothing(engine: Engine) {
    let world = World::new(engine).await;
    let mut work = world.work(Mode::Reading);
    let call = work.enter();
    assert!(matches!(
        world.insert(&mut work, "chair").await,
        Err(SqlError::Refused(_))
    ));
    assert!(matches!(
        work.begin(call, &world.product).await,
        Err(SqlError::Refused(_))
    ));
    let statement = KernelStatement::new("delete from kernel.versions", []);
    assert!(matches!(work.later(statement).await, Err(SqlError::Refused(_))));
    assert!(matches!(
        work.kernel_execute("delete from kernel.versions", &[]).await,
        Err(SqlError::Refused(_))
    ));
    // It still reads.
    assert!(
        rows(
            work.statement(&world.product, &list(), &plugin_args(json!([])), world.limits())
                .await
        )
        .is_empty()
    );
}

async fn a_staged_unit_commits_what_it_closes_itself(engine: Engine) {
    let world = World::new(engine).await;
    let mut work = world.work(Mode::Staged);
    let call = work.enter();
    world.insert(&mut work, "alone").await.unwrap();
    let first = work.begin(call, &world.product).await.unwrap();
    world.insert(&mut work, "committed").await.unwrap();
    work.commit(call, first).await.unwrap();
    let second = work.begin(call, &world.product).await.unwrap();
    world.insert(&mut work, "undone").await.unwrap();
    work.rollback(call, second).await.unwrap();
    // What follows can't take the first transaction back.
    work.abandon().await;
    assert_eq!(world.ids(JAKARTA).await, ["alone", "committed"]);
}

const COUNT_UP: &str = "insert into kernel.versions (name, generation) values ($1, $2)";

async fn versions(world: &World) -> Vec<String> {
    let rows = world
        .sql
        .kernel()
        .fetch_all("select name from kernel.versions order by name", &[])
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0).unwrap()).collect()
}

async fn what_was_put_off_runs_with_the_commit_only(engine: Engine) {
    let world = World::new(engine).await;
    let mut work = world.work(Mode::Changing);
    let call = work.enter();
    world.insert(&mut work, "chair").await.unwrap();
    work.later(KernelStatement::new(COUNT_UP, args!["kept", 1]))
        .await
        .unwrap();
    let attempt = work.begin(call, &world.product).await.unwrap();
    work.later(KernelStatement::new(COUNT_UP, args!["undone", 1]))
        .await
        .unwrap();
    work.rollback(call, attempt).await.unwrap();
    let attempt = work.begin(call, &world.product).await.unwrap();
    work.later(KernelStatement::rows(
        COUNT_UP,
        vec![args!["two", 1].into(), args!["three", 1].into()],
    ))
    .await
    .unwrap();
    work.commit(call, attempt).await.unwrap();
    work.leave(call).await.unwrap();
    work.finish(vec![KernelStatement::new(COUNT_UP, args!["settled", 1]).expecting(1)])
        .await
        .unwrap();
    assert_eq!(versions(&world).await, ["kept", "settled", "three", "two"]);
}

async fn a_settlement_that_misses_its_row_takes_everything_back(engine: Engine) {
    let world = World::new(engine).await;
    let mut work = world.work(Mode::Changing);
    world.insert(&mut work, "chair").await.unwrap();
    let lost_lease = KernelStatement::new(
        "update kernel.versions set generation = 2 where name = $1",
        args!["gone"],
    );
    let settlement = vec![
        KernelStatement::new(COUNT_UP, args!["first", 1]),
        lost_lease.expecting(1),
    ];
    assert_eq!(work.finish(settlement).await, Err(SqlError::Conflict));
    assert!(world.ids(JAKARTA).await.is_empty());
    assert!(versions(&world).await.is_empty());
}

async fn the_kernel_and_plugins_share_one_transaction(engine: Engine) {
    let world = World::new(engine).await;
    let mut work = world.work(Mode::Changing);
    let call = work.enter();
    // Back and forth: the rights follow, also out of a savepoint that was undone.
    work.kernel_execute(COUNT_UP, &args!["one", 1]).await.unwrap();
    world.insert(&mut work, "chair").await.unwrap();
    let attempt = work.begin(call, &world.product).await.unwrap();
    work.kernel_execute(COUNT_UP, &args!["two", 1]).await.unwrap();
    work.rollback(call, attempt).await.unwrap();
    world.insert(&mut work, "table").await.unwrap();
    let seen = work
        .kernel_fetch_all("select name, generation from kernel.versions", &[])
        .await
        .unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].get::<String>(0), Ok("one".to_owned()));
    assert_eq!(seen[0].get::<i64>(1), Ok(1));
    work.leave(call).await.unwrap();
    drop(work);
    assert!(versions(&world).await.is_empty());
    assert!(world.ids(JAKARTA).await.is_empty());
}

async fn a_cancelled_statement_dooms_the_unit_and_frees_its_connection(engine: Engine) {
    let config = SqlConfig {
        max_connections: 1,
        queue_wait_ms: 4_000,
        ..SqlConfig::default()
    };
    let world = World::with(engine, config).await;
    let endless = crate::cost::endless();
    let mut work = world.work(Mode::Changing);
    world.insert(&mut work, "chair").await.unwrap();
    let no_args = plugin_args(json!([]));
    let cancelled = tokio::time::timeout(
        Duration::from_millis(200),
        work.statement(&world.product, &endless, &no_args, world.limits()),
    );
    assert!(cancelled.await.is_err());
    assert_eq!(world.insert(&mut work, "table").await, Err(SqlError::Doomed));
    let started = Time::now();
    assert!(work.finish(Vec::new()).await.is_err());
    assert!(world.ids(JAKARTA).await.is_empty());
    // Well before the statement would have ended by its own timeout.
    assert!(Time::now().0 - started.0 < 3_000_000);
}

async fn a_cancelled_finish_still_commits(engine: Engine) {
    let world = World::new(engine).await;
    let mut work = world.work(Mode::Changing);
    world.insert(&mut work, "chair").await.unwrap();
    {
        let finish = work.finish(vec![KernelStatement::new(COUNT_UP, args!["settled", 1])]);
        // Polled once, then dropped: the client is gone.
        let _gone = finish.now_or_never();
    }
    for _ in 0..500 {
        if !versions(&world).await.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(versions(&world).await, ["settled"]);
    assert_eq!(world.ids(JAKARTA).await, ["chair"]);
}

async fn two_stores_see_their_own_rows(engine: Engine) {
    let world = World::new(engine).await;
    for (store, id) in [(JAKARTA, "chair"), (BANDUNG, "table")] {
        let mut work = world.sql.work(store, Mode::Changing);
        let outcome = work
            .statement(&world.product, &insert(), &plugin_args(json!([id, id])), world.limits())
            .await;
        outcome.unwrap();
        work.finish(Vec::new()).await.unwrap();
    }
    assert_eq!(world.ids(JAKARTA).await, ["chair"]);
    assert_eq!(world.ids(BANDUNG).await, ["table"]);
}
