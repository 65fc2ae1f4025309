//! Jobs: scheduled, moved, cancelled, tried again.

use std::collections::HashSet;
use std::time::Duration;

use commerce_kernel::events::{EventsConfig, Filter};
use commerce_kernel::plugins::JobChange;
use commerce_kernel::storage::sql::Time;
use commerce_kernel::typeid;

use crate::node::{Database, all, config, eventually, from_now};
use crate::plugins::{Script, Step};

pub async fn a_job_runs_when_it_is_due_and_scheduling_again_moves_it(database: Database) {
    let plugins = Script::new();
    let node = database.node(&plugins);
    database
        .change_jobs(&[
            schedule("expire", "a", from_now(3_600_000)),
            schedule("expire", "b", from_now(3_600_000)),
        ])
        .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(plugins.calls("expire"), 0);
    // Twice in one unit of work: the last counts.
    database
        .change_jobs(&[
            schedule("expire", "a", from_now(7_200_000)),
            schedule("expire", "a", from_now(100)),
        ])
        .await;
    eventually("the moved job ran", async || database.effects().await.len() == 1).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let effects = database.effects().await;
    assert_eq!(
        (effects.len(), effects[0].key.as_str()),
        (1, "a"),
        "and the other one waits on"
    );
    node.stop().await;
}

pub async fn rescheduling_a_job_while_it_runs_is_not_lost(database: Database) {
    let plugins = Script::new();
    plugins.on("expire", [Step::WaitBeforeWork]);
    let nodes = [database.node(&plugins), database.node(&plugins)];
    database.change_jobs(&[schedule("expire", "a", from_now(0))]).await;
    eventually("it runs", async || plugins.calls("expire") == 1).await;
    database.change_jobs(&[schedule("expire", "a", from_now(0))]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(plugins.calls("expire"), 1, "a job never runs beside itself");
    plugins.go_on.add_permits(1);
    eventually("it ran again", async || database.effects().await.len() == 2).await;
    let jobs: HashSet<_> = plugins.ids_seen("expire").into_iter().collect();
    assert_eq!(jobs.len(), 2, "the second run is another job");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(database.effects().await.len(), 2);
    for node in nodes {
        node.stop().await;
    }
}

pub async fn a_job_can_schedule_and_cancel_itself(database: Database) {
    let plugins = Script::new();
    plugins.on(
        "again",
        [
            Step::Change(schedule("again", "a", from_now(0))),
            Step::Change(cancel("again", "a")),
        ],
    );
    let node = database.node(&plugins);
    database.change_jobs(&[schedule("again", "a", from_now(0))]).await;
    eventually("it ran twice", async || database.effects().await.len() == 2).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(database.effects().await.len(), 2);
    node.stop().await;
}

pub async fn a_cancelled_job_does_not_run(database: Database) {
    let plugins = Script::new();
    database
        .change_jobs(&[
            schedule("expire", "a", from_now(0)),
            schedule("expire", "b", from_now(0)),
        ])
        .await;
    database
        .change_jobs(&[cancel("expire", "a"), cancel("expire", "unknown")])
        .await;
    let node = database.node(&plugins);
    eventually("the other one ran", async || database.effects().await.len() == 1).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(database.effects().await[0].key, "b");
    node.stop().await;
}

pub async fn a_failing_job_backs_off_and_comes_back_to_life_when_scheduled_again(database: Database) {
    let plugins = Script::new();
    plugins.on("expire", [Step::Fail, Step::Fail, Step::Fail]);
    let node = database.node_with(
        &plugins,
        EventsConfig {
            max_attempts: 3,
            backoff_ms: 20,
            ..config()
        },
    );
    database.change_jobs(&[schedule("expire", "a", from_now(0))]).await;
    let dead = Filter {
        state: Some("dead".into()),
        ..all()
    };
    eventually("it is given up", async || {
        database.events.list_jobs(&dead).await.is_ok_and(|rows| rows.len() == 1)
    })
    .await;
    assert_eq!(plugins.attempts_seen("expire"), [0, 1, 2]);
    assert_eq!(database.effects().await.len(), 0, "failed runs have no effects");
    database.change_jobs(&[schedule("expire", "a", from_now(0))]).await;
    eventually("it ran", async || database.effects().await.len() == 1).await;
    node.stop().await;
}

pub fn schedule(name: &str, key: &str, due_at: Time) -> JobChange {
    JobChange::Schedule {
        id: typeid::new("job"),
        plugin: "shop".to_owned(),
        name: name.to_owned(),
        key: key.to_owned(),
        due_at: due_at.0,
        payload: "{}".to_owned(),
    }
}

pub fn cancel(name: &str, key: &str) -> JobChange {
    JobChange::Cancel {
        plugin: "shop".to_owned(),
        name: name.to_owned(),
        key: key.to_owned(),
    }
}
