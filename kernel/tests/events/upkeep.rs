//! Cron lines and the purge.

use std::collections::HashSet;
use std::time::Duration;

use commerce_kernel::events::{EventsConfig, PurgeRule};
use commerce_kernel::storage::sql::Time;

use crate::jobs::schedule;
use crate::node::{Database, ago, all, config, eventually, from_now, set};
use crate::plugins::Script;

pub async fn a_cron_line_runs_once_for_two_nodes_and_once_for_all_the_times_it_missed(database: Database) {
    let plugins = Script::new();
    plugins.declare(&[("shop", "sweep", "*/5 * * * *")]);
    let first = database.node(&plugins);
    let recorded = "select count(*) from kernel.schedules";
    eventually("the line is recorded", async || database.count(recorded).await == 1).await;
    first.stop().await;

    // Nothing ran for two hours: 24 times were missed.
    database
        .execute("update kernel.schedules set next_at = $1", ago(7_200))
        .await;
    let nodes = [database.node(&plugins), database.node(&plugins)];
    eventually("it ran", async || database.effects().await.len() == 1).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(database.effects().await.len(), 1);
    let row = database
        .sql
        .kernel()
        .fetch_one("select next_at from kernel.schedules", &[])
        .await
        .expect("a row");
    let next: Time = row.get(0).expect("a time");
    assert!(
        next > Time::now() && next <= from_now(300_000),
        "and is due next at the next full five minutes"
    );
    for node in nodes {
        node.stop().await;
    }
}

pub async fn a_cron_line_of_a_plugin_that_left_is_forgotten(database: Database) {
    let plugins = Script::new();
    plugins.declare(&[("shop", "sweep", "*/5 * * * *")]);
    let node = database.node(&plugins);
    let recorded = "select count(*) from kernel.schedules";
    eventually("the line is recorded", async || database.count(recorded).await == 1).await;
    plugins.declare(&[]);
    database
        .execute("update kernel.schedules set next_at = $1", ago(1))
        .await;
    eventually("the line is gone", async || database.count(recorded).await == 0).await;
    assert_eq!(plugins.calls("sweep"), 0);
    node.stop().await;
}

pub async fn finished_rows_are_purged_and_dead_letters_are_kept(database: Database) {
    let plugins = Script::new();
    plugins.always_fails("ledger", "poison");
    let config = EventsConfig {
        max_attempts: 1,
        ..config()
    };
    let node = database.node_with(&plugins, config.clone());
    database
        .publish("shop", &["ledger"], &[("fine", "a"), ("poison", "b"), ("recent", "c")])
        .await;
    database.change_jobs(&[schedule("clean", "x", from_now(0))]).await;
    eventually("all were tried", async || {
        database
            .count("select count(*) from kernel.deliveries where state <> 'waiting'")
            .await
            == 3
    })
    .await;
    eventually("the job ran", async || {
        database
            .count("select count(*) from kernel.jobs where state = 'done'")
            .await
            == 1
    })
    .await;
    node.stop().await;
    database
        .execute(
            "update kernel.deliveries set finished_at = $1 where name = 'fine'",
            ago(100 * 3_600),
        )
        .await;
    database
        .execute("update kernel.jobs set finished_at = $1", ago(100 * 3_600))
        .await;

    // The purge is among the first things a node does, and applies other modules' rules as well.
    let rules = vec![PurgeRule {
        table: "effects",
        text: "delete from kernel.effects where number in (select number from kernel.effects where at < $1 limit $2)",
        keep: Duration::ZERO,
    }];
    let node = database.node_with_rules(&plugins, config, rules);
    eventually("old rows are gone", async || {
        database.count("select count(*) from kernel.deliveries").await == 2
    })
    .await;
    eventually("old jobs are gone", async || {
        database.count("select count(*) from kernel.jobs").await == 0
    })
    .await;
    eventually("other modules' rows are gone", async || {
        database.effects().await.is_empty()
    })
    .await;
    let left: HashSet<_> = database
        .events
        .list_events(&all())
        .await
        .expect("a list")
        .into_iter()
        .map(|row| row.name)
        .collect();
    assert_eq!(left, set(["poison", "recent"]));
    node.stop().await;
}

pub async fn every_purge_rule_runs_on_this_engine(database: Database) {
    let node = database.node(&Script::new());
    // A table has its counter once its rule has run without an error.
    let purged = || {
        let families = node.registry.gather();
        let counters = families
            .iter()
            .find(|family| family.name() == "commerce_purged_rows_total");
        let tables = counters.map(|family| {
            family
                .get_metric()
                .iter()
                .map(|metric| metric.get_label()[0].value().to_owned())
        });
        tables.into_iter().flatten().collect::<HashSet<_>>()
    };
    let all = set(["deliveries", "jobs", "account_tokens"]);
    eventually("each rule was applied", async || purged() == all).await;
    node.stop().await;
}
