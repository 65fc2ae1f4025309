//! Events on their way to their subscribers.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use commerce_kernel::events::{EventsConfig, Filter, forget_plugin};
use commerce_kernel::storage::sql::Mode;

use crate::node::{Database, STORE, ago, all, announce, config, eventually, from_now, set};
use crate::plugins::{Script, Step};

pub async fn an_event_reaches_each_subscriber_once_and_only_if_its_transaction_commits(database: Database) {
    let plugins = Script::new();
    let node = database.node(&plugins);
    database
        .publish("shop", &["ledger", "mailer"], &[("opened", "a")])
        .await;
    let mut rolled_back = database.sql.work(STORE, Mode::Changing);
    for statement in announce("shop", &["ledger"], &[("imagined", "a")]) {
        rolled_back.later(statement).await.expect("noted");
    }
    rolled_back.abandon().await;

    eventually("both subscribers were told", async || {
        database.effects().await.len() == 2
    })
    .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let told: HashSet<_> = database
        .effects()
        .await
        .into_iter()
        .map(|effect| format!("{} {}", effect.plugin, effect.name))
        .collect();
    assert_eq!(told, set(["ledger opened", "mailer opened"]));
    let listed = database.events.list_events(&all()).await.expect("a list");
    assert!(
        listed.iter().all(|event| event.state == "done" && event.attempts == 1),
        "{listed:?}"
    );
    assert_eq!(
        listed[0].id, listed[1].id,
        "one event has one id for all its subscribers"
    );
    node.stop().await;
}

pub async fn what_is_announced_on_this_node_need_not_wait_for_the_poll(database: Database) {
    let plugins = Script::new();
    let node = database.node_with(
        &plugins,
        EventsConfig {
            poll_ms: 60_000,
            ..config()
        },
    );
    tokio::time::sleep(Duration::from_millis(300)).await;
    // The later event of the key is found when the earlier one is done, not by a poll either.
    database
        .publish("shop", &["ledger"], &[("opened", "a"), ("closed", "a")])
        .await;
    node.events.wake();
    eventually("both arrived", async || database.effects().await.len() == 2).await;
    node.stop().await;
}

pub async fn a_kill_between_consume_and_commit_leaves_one_effect(database: Database) {
    let dying = Script::new();
    dying.on("opened", [Step::HangBeforeCommit]);
    let first = database.node_with(
        &dying,
        EventsConfig {
            lease_ms: 600,
            ..config()
        },
    );
    database.publish("shop", &["ledger"], &[("opened", "a")]).await;
    eventually("the consumer was about to commit", async || {
        dying.about_to_commit() == 1
    })
    .await;
    first.kill();

    let healthy = Script::new();
    let second = database.node(&healthy);
    eventually("the other node took over", async || database.effects().await.len() == 1).await;
    assert_eq!(healthy.attempts_seen("opened"), [1], "the killed attempt is counted");
    second.stop().await;
    assert_eq!(database.effects().await.len(), 1);
}

pub async fn a_node_that_slept_through_its_lease_changes_nothing(database: Database) {
    let sleeping = Script::new();
    sleeping.on("opened", [Step::WaitBeforeWork]);
    let first = database.node_with(
        &sleeping,
        EventsConfig {
            lease_ms: 60_000,
            ..config()
        },
    );
    database.publish("shop", &["ledger"], &[("opened", "a")]).await;
    eventually("the first node holds it", async || sleeping.calls("opened") == 1).await;
    database
        .execute("update kernel.deliveries set leased_until = $1", ago(1))
        .await;

    let awake = Script::new();
    let second = database.node(&awake);
    eventually("the second node did it", async || database.effects().await.len() == 1).await;

    sleeping.go_on.add_permits(1);
    eventually("the first node tried to commit", async || sleeping.conflicts() == 1).await;
    assert_eq!(
        database.effects().await.len(),
        1,
        "its effects were rolled back with its lost lease"
    );
    first.stop().await;
    second.stop().await;
}

pub async fn events_of_one_key_arrive_in_order_whatever_fails_on_the_way(database: Database) {
    let plugins = Script::new();
    // Every third call fails, whichever event it is about.
    plugins.fail_every(3);
    let config = EventsConfig {
        backoff_ms: 20,
        backoff_cap_ms: 40,
        max_attempts: 50,
        ..config()
    };
    let nodes = [
        database.node_with(&plugins, config.clone()),
        database.node_with(&plugins, config),
    ];
    let names: Vec<String> = (0..12).map(|number| format!("step_{number:02}")).collect();
    for name in &names {
        let events: Vec<_> = ["a", "b", "c"].iter().map(|key| (name.as_str(), *key)).collect();
        database.publish("shop", &["ledger"], &events).await;
    }
    let later = "update kernel.deliveries set occurred_at = $1 where state = 'waiting'";
    database.execute(later, from_now(5_000)).await;
    eventually("all were delivered", async || database.effects().await.len() == 36).await;
    let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for effect in database.effects().await {
        by_key.entry(effect.key).or_default().push(effect.name);
    }
    for (key, order) in by_key {
        assert_eq!(order, names, "key {key}");
    }
    for node in nodes {
        node.stop().await;
    }
}

pub async fn a_dead_letter_holds_its_key_until_it_is_replayed_or_skipped(database: Database) {
    let plugins = Script::new();
    plugins.always_fails("ledger", "poison");
    let node = database.node_with(
        &plugins,
        EventsConfig {
            max_attempts: 2,
            backoff_ms: 10,
            ..config()
        },
    );
    database
        .publish(
            "shop",
            &["ledger", "mailer"],
            &[("poison", "a"), ("after", "a"), ("other", "b")],
        )
        .await;

    let dead = Filter {
        state: Some("dead".into()),
        ..all()
    };
    eventually("it is given up", async || {
        database
            .events
            .list_events(&dead)
            .await
            .is_ok_and(|rows| rows.len() == 1)
    })
    .await;
    eventually("others go on", async || database.effects().await.len() == 4).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let effects = database.effects().await;
    assert!(
        !effects
            .iter()
            .any(|effect| effect.plugin == "ledger" && effect.key == "a"),
        "{effects:?}"
    );
    let letter = database.events.list_events(&dead).await.expect("a list").remove(0);
    assert_eq!((letter.subscriber.as_str(), letter.attempts), ("ledger", 2));
    assert_eq!(letter.last_error.as_deref(), Some("422 no: as the script says"));

    assert_eq!(
        database.events.replay(&letter.id).await,
        Ok(1),
        "only the subscriber that failed"
    );
    eventually("it died again", async || {
        plugins.calls("poison") >= 5
            && database
                .events
                .list_events(&dead)
                .await
                .is_ok_and(|rows| rows.len() == 1)
    })
    .await;
    assert_eq!(database.events.skip(&letter.id).await, Ok(1));
    eventually("its key goes on", async || {
        database
            .effects()
            .await
            .iter()
            .any(|effect| effect.plugin == "ledger" && effect.name == "after")
    })
    .await;
    assert_eq!(
        database.events.replay(&letter.id).await,
        Ok(0),
        "a skipped letter is gone for good"
    );
    node.stop().await;
}

pub async fn what_a_dead_letter_holds_back_is_out_of_the_way_of_others_until_it_is_skipped(database: Database) {
    let plugins = Script::new();
    plugins.always_fails("ledger", "poison");
    let once = EventsConfig {
        max_attempts: 1,
        ..config()
    };
    let node = database.node_with(&plugins, once.clone());
    database.publish("shop", &["ledger"], &[("poison", "a")]).await;
    let dead = "select count(*) from kernel.deliveries where state = 'dead'";
    eventually("the letter is dead", async || database.count(dead).await == 1).await;
    node.stop().await;
    database.publish("shop", &["ledger"], &[("opened", "a"); 200]).await;
    let later = "update kernel.deliveries set occurred_at = $1 where state = 'waiting'";
    database.execute(later, from_now(5_000)).await;

    let node = database.node_with(&plugins, once);
    let in_the_way = "select count(*) from kernel.deliveries
                      where finished_at is null and state = 'waiting' and due_at <= occurred_at";
    eventually("hardly anything is in the way", async || {
        database.count(in_the_way).await < 30
    })
    .await;
    database.publish("shop", &["ledger"], &[("opened", "b")]).await;
    eventually("the others go on", async || database.effects().await.len() == 1).await;

    let dead = Filter {
        state: Some("dead".to_owned()),
        ..all()
    };
    let letters = database.events.list_events(&dead).await.expect("a list");
    assert_eq!(database.events.skip(&letters[0].id).await, Ok(1));
    eventually("all that it held back follows, one after the other", async || {
        database.effects().await.len() == 201
    })
    .await;
    node.stop().await;
}

pub async fn the_backlog_of_a_disabled_plugin_does_not_keep_the_others_waiting(database: Database) {
    let plugins = Script::new();
    plugins.enable("ledger", false);
    let keys: Vec<String> = (0..1_500).map(|number| number.to_string()).collect();
    for keys in keys.chunks(500) {
        let events: Vec<(&str, &str)> = keys.iter().map(|key| ("opened", key.as_str())).collect();
        database.publish("shop", &["ledger"], &events).await;
    }
    let node = database.node(&plugins);
    eventually("it was put off", async || {
        let due = "select count(*) from kernel.deliveries where finished_at is null and due_at <= occurred_at";
        database.count(due).await == 0
    })
    .await;
    let claims = "select count(*) from kernel.deliveries where fence > 0";
    let claims = database.count(claims).await;
    assert!(claims < 400, "it was put off row by row: {claims} claims");
    database.publish("shop", &["mailer"], &[("opened", "a")]).await;
    eventually("the others go on", async || database.effects().await.len() == 1).await;
    node.stop().await;
}

pub async fn a_publisher_cannot_hold_up_anothers_events_by_using_its_keys(database: Database) {
    let plugins = Script::new();
    plugins.always_fails("ledger", "poison");
    let node = database.node_with(
        &plugins,
        EventsConfig {
            max_attempts: 1,
            ..config()
        },
    );
    database.publish("hostile", &["ledger"], &[("poison", "txn_1")]).await;
    eventually("the hostile event is dead", async || plugins.calls("poison") == 1).await;
    database.publish("shop", &["ledger"], &[("paid", "txn_1")]).await;
    eventually("the other publisher's event arrives", async || {
        database.effects().await.len() == 1
    })
    .await;
    node.stop().await;
}

pub async fn an_event_that_kills_the_kernel_each_time_becomes_a_dead_letter(database: Database) {
    database.publish("shop", &["ledger"], &[("opened", "a")]).await;
    // As three killed nodes leave it.
    database
        .execute(
            "update kernel.deliveries set attempts = 3, lease = 'gone', leased_until = $1, fence = 3",
            ago(1),
        )
        .await;
    let plugins = Script::new();
    let node = database.node_with(
        &plugins,
        EventsConfig {
            max_attempts: 3,
            ..config()
        },
    );
    let dead = Filter {
        state: Some("dead".into()),
        ..all()
    };
    eventually("it is given up", async || {
        database
            .events
            .list_events(&dead)
            .await
            .is_ok_and(|rows| !rows.is_empty())
    })
    .await;
    assert_eq!(plugins.calls("opened"), 0, "it is not tried a fourth time");
    node.stop().await;
}

pub async fn what_waits_for_a_disabled_plugin_is_delivered_once_it_is_enabled(database: Database) {
    let plugins = Script::new();
    plugins.enable("ledger", false);
    let node = database.node(&plugins);
    database.publish("shop", &["ledger"], &[("opened", "a")]).await;
    eventually("it was looked at and put off", async || {
        database
            .count("select count(*) from kernel.deliveries where fence > 0 and lease is null")
            .await
            == 1
    })
    .await;
    assert_eq!(
        database.events.list_events(&all()).await.expect("a list")[0].attempts,
        0,
        "that is no attempt"
    );
    plugins.enable("ledger", true);
    // Instead of waiting for half a minute.
    database
        .execute("update kernel.deliveries set due_at = $1", ago(1))
        .await;
    eventually("it is delivered", async || database.effects().await.len() == 1).await;

    plugins.enable("ledger", false);
    database.publish("shop", &["ledger"], &[("opened", "b")]).await;
    database
        .sql
        .kernel()
        .transaction(forget_plugin("ledger"))
        .await
        .expect("removed");
    assert_eq!(
        database.count("select count(*) from kernel.deliveries").await,
        0,
        "a plugin removed for good leaves nothing"
    );
    node.stop().await;
}

pub async fn a_node_that_stops_gives_back_what_it_could_not_finish(database: Database) {
    let plugins = Script::new();
    plugins.on("slow", [Step::WaitBeforeWork]);
    plugins.on("quick", [Step::Take(Duration::from_millis(150))]);
    let node = database.node_with(
        &plugins,
        EventsConfig {
            lease_ms: 60_000,
            ..config()
        },
    );
    database
        .publish("shop", &["ledger"], &[("slow", "a"), ("quick", "b")])
        .await;
    eventually("both are under way", async || {
        plugins.calls("slow") + plugins.calls("quick") == 2
    })
    .await;
    node.stop_within(Duration::from_millis(600)).await;

    let effects: Vec<_> = database.effects().await.into_iter().map(|effect| effect.name).collect();
    assert_eq!(effects, ["quick"], "what runs may finish");
    let free = "select count(*) from kernel.deliveries where state = 'waiting' and lease is null and attempts = 0";
    assert_eq!(
        database.count(free).await,
        1,
        "and the rest need not wait for the lease to end"
    );
}

pub async fn a_burst_is_worked_off_by_two_nodes_without_doubling_anything(database: Database) {
    let plugins = Script::new();
    let nodes = [database.node(&plugins), database.node(&plugins)];
    for batch in 0..5 {
        let keys: Vec<String> = (0..40).map(|number| format!("{}", batch * 40 + number)).collect();
        let events: Vec<_> = keys.iter().map(|key| ("changed", key.as_str())).collect();
        database.publish("shop", &["ledger", "mailer"], &events).await;
    }
    eventually("all were delivered", async || {
        database
            .count("select count(*) from kernel.deliveries where state = 'done'")
            .await
            == 400
    })
    .await;
    let effects = database.effects().await;
    let distinct: HashSet<_> = effects.iter().map(|effect| (&effect.plugin, &effect.key)).collect();
    assert_eq!((effects.len(), distinct.len()), (400, 400));
    for node in nodes {
        node.stop().await;
    }
}
