//! Events, jobs and schedules on both engines. A node here is a runtime of its own with its own connections, so that
//! killing one is as sudden as it is in life; the plugins are stand-ins that write into one table and obey a script.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use commerce_kernel::args;
use commerce_kernel::events::{
    Consumers, Delivery, DueJob, Events, EventsConfig, Failure, Filter, JobChange, Published,
    PurgeRule, Runner, ScheduleLine, forget_plugin, settle,
};
use commerce_kernel::storage::sql::{
    Engine, KernelStatement, Mode, Sql, SqlConfig, SqlError, Time,
};
use commerce_kernel::typeid;
use parking_lot::Mutex;
use prometheus::Registry;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

macro_rules! on_both_engines {
    ($($story:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() { super::$story(super::Database::sqlite().await).await; })*
        }
        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() { super::$story(super::Database::postgres().await).await; })*
        }
    };
}

on_both_engines!(
    an_event_reaches_each_subscriber_once_and_only_if_its_transaction_commits,
    what_is_announced_on_this_node_need_not_wait_for_the_poll,
    a_kill_between_consume_and_commit_leaves_one_effect,
    a_node_that_slept_through_its_lease_changes_nothing,
    events_of_one_key_arrive_in_order_whatever_fails_on_the_way,
    a_dead_letter_holds_its_key_until_it_is_replayed_or_skipped,
    a_publisher_cannot_hold_up_anothers_events_by_using_its_keys,
    an_event_that_kills_the_kernel_each_time_becomes_a_dead_letter,
    what_waits_for_a_disabled_plugin_is_delivered_once_it_is_enabled,
    a_node_that_stops_gives_back_what_it_could_not_finish,
    a_job_runs_when_it_is_due_and_scheduling_again_moves_it,
    rescheduling_a_job_while_it_runs_is_not_lost,
    a_job_can_schedule_and_cancel_itself,
    a_cancelled_job_does_not_run,
    a_failing_job_backs_off_and_comes_back_to_life_when_scheduled_again,
    a_cron_line_runs_once_for_two_nodes_and_once_for_all_the_times_it_missed,
    a_cron_line_of_a_plugin_that_left_is_forgotten,
    finished_rows_are_purged_and_dead_letters_are_kept,
    a_burst_is_worked_off_by_two_nodes_without_doubling_anything,
);

async fn an_event_reaches_each_subscriber_once_and_only_if_its_transaction_commits(
    database: Database,
) {
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
        listed
            .iter()
            .all(|event| event.state == "done" && event.attempts == 1),
        "{listed:?}"
    );
    assert_eq!(
        listed[0].id, listed[1].id,
        "one event has one id for all its subscribers"
    );
    node.stop().await;
}

async fn what_is_announced_on_this_node_need_not_wait_for_the_poll(database: Database) {
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

async fn a_kill_between_consume_and_commit_leaves_one_effect(database: Database) {
    let dying = Script::new();
    dying.on("opened", [Step::HangBeforeCommit]);
    let first = database.node_with(
        &dying,
        EventsConfig {
            lease_ms: 600,
            ..config()
        },
    );
    database
        .publish("shop", &["ledger"], &[("opened", "a")])
        .await;
    eventually("the consumer was about to commit", async || {
        dying.about_to_commit() == 1
    })
    .await;
    first.kill();

    let healthy = Script::new();
    let second = database.node(&healthy);
    eventually("the other node took over", async || {
        database.effects().await.len() == 1
    })
    .await;
    assert_eq!(
        healthy.attempts_seen("opened"),
        [1],
        "the killed attempt is counted"
    );
    second.stop().await;
    assert_eq!(database.effects().await.len(), 1);
}

async fn a_node_that_slept_through_its_lease_changes_nothing(database: Database) {
    let sleeping = Script::new();
    sleeping.on("opened", [Step::WaitBeforeWork]);
    let first = database.node_with(
        &sleeping,
        EventsConfig {
            lease_ms: 60_000,
            ..config()
        },
    );
    database
        .publish("shop", &["ledger"], &[("opened", "a")])
        .await;
    eventually("the first node holds it", async || {
        sleeping.calls("opened") == 1
    })
    .await;
    database
        .execute("update kernel.deliveries set leased_until = $1", ago(1))
        .await;

    let awake = Script::new();
    let second = database.node(&awake);
    eventually("the second node did it", async || {
        database.effects().await.len() == 1
    })
    .await;

    sleeping.go_on.add_permits(1);
    eventually("the first node tried to commit", async || {
        sleeping.conflicts() == 1
    })
    .await;
    assert_eq!(
        database.effects().await.len(),
        1,
        "its effects were rolled back with its lost lease"
    );
    first.stop().await;
    second.stop().await;
}

async fn events_of_one_key_arrive_in_order_whatever_fails_on_the_way(database: Database) {
    let plugins = Script::new();
    // Every third call fails, whichever event it is about.
    plugins.fail_every(3);
    let config = EventsConfig {
        backoff_ms: 20,
        backoff_cap_ms: 40,
        attempts: 50,
        ..config()
    };
    let nodes = [
        database.node_with(&plugins, config.clone()),
        database.node_with(&plugins, config),
    ];
    let names: Vec<String> = (0..12).map(|number| format!("step_{number:02}")).collect();
    for name in &names {
        let events: Vec<_> = ["a", "b", "c"]
            .iter()
            .map(|key| (name.as_str(), *key))
            .collect();
        database.publish("shop", &["ledger"], &events).await;
    }
    eventually("all were delivered", async || {
        database.effects().await.len() == 36
    })
    .await;
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

async fn a_dead_letter_holds_its_key_until_it_is_replayed_or_skipped(database: Database) {
    let plugins = Script::new();
    plugins.always_fails("ledger", "poison");
    let node = database.node_with(
        &plugins,
        EventsConfig {
            attempts: 2,
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
    let letter = database
        .events
        .list_events(&dead)
        .await
        .expect("a list")
        .remove(0);
    assert_eq!((letter.subscriber.as_str(), letter.attempts), ("ledger", 2));
    assert_eq!(
        letter.last_error.as_deref(),
        Some("422 no: as the script says")
    );

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

async fn a_publisher_cannot_hold_up_anothers_events_by_using_its_keys(database: Database) {
    let plugins = Script::new();
    plugins.always_fails("ledger", "poison");
    let node = database.node_with(
        &plugins,
        EventsConfig {
            attempts: 1,
            ..config()
        },
    );
    database
        .publish("hostile", &["ledger"], &[("poison", "txn_1")])
        .await;
    eventually("the hostile event is dead", async || {
        plugins.calls("poison") == 1
    })
    .await;
    database
        .publish("shop", &["ledger"], &[("paid", "txn_1")])
        .await;
    eventually("the other publisher's event arrives", async || {
        database.effects().await.len() == 1
    })
    .await;
    node.stop().await;
}

async fn an_event_that_kills_the_kernel_each_time_becomes_a_dead_letter(database: Database) {
    database
        .publish("shop", &["ledger"], &[("opened", "a")])
        .await;
    // As three killed nodes leave it.
    database.execute("update kernel.deliveries set attempts = 3, lease = 'gone', leased_until = $1, fence = 3", ago(1)).await;
    let plugins = Script::new();
    let node = database.node_with(
        &plugins,
        EventsConfig {
            attempts: 3,
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

async fn what_waits_for_a_disabled_plugin_is_delivered_once_it_is_enabled(database: Database) {
    let plugins = Script::new();
    plugins.enable("ledger", false);
    let node = database.node(&plugins);
    database
        .publish("shop", &["ledger"], &[("opened", "a")])
        .await;
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
    eventually("it is delivered", async || {
        database.effects().await.len() == 1
    })
    .await;

    plugins.enable("ledger", false);
    database
        .publish("shop", &["ledger"], &[("opened", "b")])
        .await;
    database
        .sql
        .kernel()
        .transaction(forget_plugin("ledger"))
        .await
        .expect("removed");
    assert_eq!(
        database
            .count("select count(*) from kernel.deliveries")
            .await,
        0,
        "a plugin removed for good leaves nothing"
    );
    node.stop().await;
}

async fn a_node_that_stops_gives_back_what_it_could_not_finish(database: Database) {
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

    let effects: Vec<_> = database
        .effects()
        .await
        .into_iter()
        .map(|effect| effect.name)
        .collect();
    assert_eq!(effects, ["quick"], "what runs may finish");
    let free = "select count(*) from kernel.deliveries where state = 'waiting' and lease is null and attempts = 0";
    assert_eq!(
        database.count(free).await,
        1,
        "and the rest need not wait for the lease to end"
    );
}

async fn a_job_runs_when_it_is_due_and_scheduling_again_moves_it(database: Database) {
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
    eventually("the moved job ran", async || {
        database.effects().await.len() == 1
    })
    .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let effects = database.effects().await;
    assert_eq!(
        (effects.len(), effects[0].key.as_str()),
        (1, "a"),
        "and the other one waits on"
    );
    node.stop().await;
}

async fn rescheduling_a_job_while_it_runs_is_not_lost(database: Database) {
    let plugins = Script::new();
    plugins.on("expire", [Step::WaitBeforeWork]);
    let nodes = [database.node(&plugins), database.node(&plugins)];
    database
        .change_jobs(&[schedule("expire", "a", from_now(0))])
        .await;
    eventually("it runs", async || plugins.calls("expire") == 1).await;
    database
        .change_jobs(&[schedule("expire", "a", from_now(0))])
        .await;
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

async fn a_job_can_schedule_and_cancel_itself(database: Database) {
    let plugins = Script::new();
    plugins.on(
        "again",
        [
            Step::Change(schedule("again", "a", from_now(0))),
            Step::Change(cancel("again", "a")),
        ],
    );
    let node = database.node(&plugins);
    database
        .change_jobs(&[schedule("again", "a", from_now(0))])
        .await;
    eventually("it ran twice", async || database.effects().await.len() == 2).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(database.effects().await.len(), 2);
    node.stop().await;
}

async fn a_cancelled_job_does_not_run(database: Database) {
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
    eventually("the other one ran", async || {
        database.effects().await.len() == 1
    })
    .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(database.effects().await[0].key, "b");
    node.stop().await;
}

async fn a_failing_job_backs_off_and_comes_back_to_life_when_scheduled_again(database: Database) {
    let plugins = Script::new();
    plugins.on("expire", [Step::Fail, Step::Fail, Step::Fail]);
    let node = database.node_with(
        &plugins,
        EventsConfig {
            attempts: 3,
            backoff_ms: 20,
            ..config()
        },
    );
    database
        .change_jobs(&[schedule("expire", "a", from_now(0))])
        .await;
    let dead = Filter {
        state: Some("dead".into()),
        ..all()
    };
    eventually("it is given up", async || {
        database
            .events
            .list_jobs(&dead)
            .await
            .is_ok_and(|rows| rows.len() == 1)
    })
    .await;
    assert_eq!(plugins.attempts_seen("expire"), [0, 1, 2]);
    assert_eq!(
        database.effects().await.len(),
        0,
        "failed runs have no effects"
    );
    database
        .change_jobs(&[schedule("expire", "a", from_now(0))])
        .await;
    eventually("it ran", async || database.effects().await.len() == 1).await;
    node.stop().await;
}

async fn a_cron_line_runs_once_for_two_nodes_and_once_for_all_the_times_it_missed(
    database: Database,
) {
    let plugins = Script::new();
    plugins.declare(&[("shop", "sweep", "*/5 * * * *")]);
    let first = database.node(&plugins);
    let recorded = "select count(*) from kernel.schedules";
    eventually("the line is recorded", async || {
        database.count(recorded).await == 1
    })
    .await;
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

async fn a_cron_line_of_a_plugin_that_left_is_forgotten(database: Database) {
    let plugins = Script::new();
    plugins.declare(&[("shop", "sweep", "*/5 * * * *")]);
    let node = database.node(&plugins);
    let recorded = "select count(*) from kernel.schedules";
    eventually("the line is recorded", async || {
        database.count(recorded).await == 1
    })
    .await;
    plugins.declare(&[]);
    database
        .execute("update kernel.schedules set next_at = $1", ago(1))
        .await;
    eventually("the line is gone", async || {
        database.count(recorded).await == 0
    })
    .await;
    assert_eq!(plugins.calls("sweep"), 0);
    node.stop().await;
}

async fn finished_rows_are_purged_and_dead_letters_are_kept(database: Database) {
    let plugins = Script::new();
    plugins.always_fails("ledger", "poison");
    let config = EventsConfig {
        attempts: 1,
        ..config()
    };
    let node = database.node_with(&plugins, config.clone());
    database
        .publish(
            "shop",
            &["ledger"],
            &[("fine", "a"), ("poison", "b"), ("recent", "c")],
        )
        .await;
    database
        .change_jobs(&[schedule("clean", "x", from_now(0))])
        .await;
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
        database
            .count("select count(*) from kernel.deliveries")
            .await
            == 2
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

async fn a_burst_is_worked_off_by_two_nodes_without_doubling_anything(database: Database) {
    let plugins = Script::new();
    let nodes = [database.node(&plugins), database.node(&plugins)];
    for batch in 0..5 {
        let keys: Vec<String> = (0..40)
            .map(|number| format!("{}", batch * 40 + number))
            .collect();
        let events: Vec<_> = keys.iter().map(|key| ("changed", key.as_str())).collect();
        database
            .publish("shop", &["ledger", "mailer"], &events)
            .await;
    }
    eventually("all were delivered", async || {
        database
            .count("select count(*) from kernel.deliveries where state = 'done'")
            .await
            == 400
    })
    .await;
    let effects = database.effects().await;
    let distinct: HashSet<_> = effects
        .iter()
        .map(|effect| (&effect.plugin, &effect.key))
        .collect();
    assert_eq!((effects.len(), distinct.len()), (400, 400));
    for node in nodes {
        node.stop().await;
    }
}

// ---- the stand-ins ------------------------------------------------------------------------------------------------

const STORE: i64 = 1;

/// What a stand-in does when it is called; `Succeed` where its script says nothing.
#[derive(Clone)]
enum Step {
    Succeed,
    Fail,
    Take(Duration),
    /// Until `go_on` lets it.
    WaitBeforeWork,
    /// For ever, with its effects written in the open transaction.
    HangBeforeCommit,
    /// Changes a job in its unit of work.
    Change(JobChange),
}

#[derive(Clone, Debug)]
struct Call {
    name: String,
    id: String,
    attempts: u32,
}

/// What the plugins of a test do, and what they were asked to.
struct Script {
    steps: Mutex<HashMap<String, VecDeque<Step>>>,
    failing: Mutex<HashSet<(String, String)>>,
    fail_every: AtomicUsize,
    disabled: Mutex<HashSet<String>>,
    lines: Mutex<Vec<ScheduleLine>>,
    calls: Mutex<Vec<Call>>,
    about_to_commit: AtomicUsize,
    conflicts: AtomicUsize,
    go_on: Semaphore,
}

impl Script {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            steps: Mutex::default(),
            failing: Mutex::default(),
            fail_every: AtomicUsize::new(usize::MAX),
            disabled: Mutex::default(),
            lines: Mutex::default(),
            calls: Mutex::default(),
            about_to_commit: AtomicUsize::new(0),
            conflicts: AtomicUsize::new(0),
            go_on: Semaphore::new(0),
        })
    }

    fn on(&self, name: &str, steps: impl IntoIterator<Item = Step>) {
        self.steps
            .lock()
            .insert(name.to_owned(), steps.into_iter().collect());
    }

    fn always_fails(&self, plugin: &str, name: &str) {
        self.failing
            .lock()
            .insert((plugin.to_owned(), name.to_owned()));
    }

    fn fail_every(&self, calls: usize) {
        self.fail_every.store(calls, Ordering::SeqCst);
    }

    fn enable(&self, plugin: &str, enabled: bool) {
        let mut disabled = self.disabled.lock();
        if enabled {
            disabled.remove(plugin)
        } else {
            disabled.insert(plugin.to_owned())
        };
    }

    fn declare(&self, lines: &[(&str, &str, &str)]) {
        let line = |(plugin, name, cron): &(&str, &str, &str)| ScheduleLine {
            store: STORE,
            plugin: (*plugin).to_owned(),
            name: (*name).to_owned(),
            cron: (*cron).to_owned(),
        };
        *self.lines.lock() = lines.iter().map(line).collect();
    }

    fn calls(&self, name: &str) -> usize {
        self.calls
            .lock()
            .iter()
            .filter(|call| call.name == name)
            .count()
    }

    fn attempts_seen(&self, name: &str) -> Vec<u32> {
        self.calls
            .lock()
            .iter()
            .filter(|call| call.name == name)
            .map(|call| call.attempts)
            .collect()
    }

    fn ids_seen(&self, name: &str) -> Vec<String> {
        self.calls
            .lock()
            .iter()
            .filter(|call| call.name == name)
            .map(|call| call.id.clone())
            .collect()
    }

    fn about_to_commit(&self) -> usize {
        self.about_to_commit.load(Ordering::SeqCst)
    }

    fn conflicts(&self) -> usize {
        self.conflicts.load(Ordering::SeqCst)
    }

    fn next_step(&self, plugin: &str, call: Call) -> Step {
        let name = call.name.clone();
        let mut calls = self.calls.lock();
        calls.push(call);
        if calls
            .len()
            .is_multiple_of(self.fail_every.load(Ordering::SeqCst))
            || self
                .failing
                .lock()
                .contains(&(plugin.to_owned(), name.clone()))
        {
            return Step::Fail;
        }
        self.steps
            .lock()
            .get_mut(&name)
            .and_then(VecDeque::pop_front)
            .unwrap_or(Step::Succeed)
    }
}

/// The plugins as one node runs them: with that node's connections.
struct NodePlugins {
    sql: Sql,
    script: Arc<Script>,
}

impl NodePlugins {
    async fn act(
        &self,
        plugin: &str,
        key: &str,
        call: Call,
        done: KernelStatement,
    ) -> Result<(), Failure> {
        let Call { name, id, .. } = call.clone();
        let step = self.script.next_step(plugin, call);
        let mut changes = Vec::new();
        match &step {
            Step::Fail => return Err(Failure::Failed("422 no: as the script says".to_owned())),
            Step::Take(time) => tokio::time::sleep(*time).await,
            Step::WaitBeforeWork => self.script.go_on.acquire().await.expect("open").forget(),
            Step::Change(change) => changes.push(change.clone()),
            Step::Succeed | Step::HangBeforeCommit => {}
        }
        let mut work = self.sql.work(STORE, Mode::Changing);
        let text =
            "insert into kernel.effects (plugin, name, key, id, at) values ($1, $2, $3, $4, $5)";
        work.kernel_execute(text, &args![plugin, name, key, id, Time::now()])
            .await
            .map_err(failure)?;
        if matches!(step, Step::HangBeforeCommit) {
            self.script.about_to_commit.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        let mut settlement = settle(STORE, &[], &changes, |_, _| Vec::new());
        settlement.push(done);
        let committed = work.finish(settlement).await;
        if committed == Err(SqlError::Conflict) {
            self.script.conflicts.fetch_add(1, Ordering::SeqCst);
        }
        committed.map_err(failure)
    }
}

fn failure(error: SqlError) -> Failure {
    match error {
        SqlError::Conflict => Failure::LeaseLost,
        SqlError::Unavailable { .. } => Failure::NotNow(error.to_string()),
        error => Failure::Failed(error.to_string()),
    }
}

#[async_trait]
impl Consumers for NodePlugins {
    fn takes_part(&self, _store: i64, plugin: &str) -> bool {
        !self.script.disabled.lock().contains(plugin)
    }

    fn schedules(&self) -> Vec<ScheduleLine> {
        self.script.lines.lock().clone()
    }

    async fn consume(&self, delivery: &Delivery, done: KernelStatement) -> Result<(), Failure> {
        let Delivery {
            name,
            event_id,
            attempts,
            ..
        } = delivery.clone();
        let call = Call {
            name,
            id: event_id,
            attempts,
        };
        self.act(&delivery.subscriber, &delivery.key, call, done)
            .await
    }

    async fn run(&self, job: &DueJob, done: KernelStatement) -> Result<(), Failure> {
        let DueJob {
            name, id, attempts, ..
        } = job.clone();
        self.act(&job.plugin, &job.key, Call { name, id, attempts }, done)
            .await
    }
}

/// A kernel's background in a runtime of its own.
struct Node {
    runtime: Option<Runtime>,
    runner: Option<Runner>,
    events: Events,
}

impl Node {
    async fn stop(self) {
        self.stop_within(Duration::from_secs(5)).await;
    }

    async fn stop_within(mut self, grace: Duration) {
        let (Some(runtime), Some(runner)) = (self.runtime.take(), self.runner.take()) else {
            return;
        };
        runtime.spawn(runner.stop(grace)).await.expect("stopped");
        runtime.shutdown_background();
    }

    /// As `kill -9`: nothing gets to run any more.
    fn kill(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Of a test that failed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Database {
    config: SqlConfig,
    folder: tempfile::TempDir,
    /// The test's own connections.
    sql: Sql,
    events: Events,
}

#[derive(Debug)]
struct Effect {
    plugin: String,
    name: String,
    key: String,
}

impl Database {
    async fn sqlite() -> Self {
        Self::open(SqlConfig::default()).await
    }

    async fn postgres() -> Self {
        let url = Some(commerce_harness::postgres::database().await);
        Self::open(SqlConfig {
            url,
            max_connections: 8,
            ..SqlConfig::default()
        })
        .await
    }

    async fn open(config: SqlConfig) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let sql = Sql::open(&config, folder.path()).await.expect("a database");
        sql.migrate().await.expect("migrated");
        let effects = match sql.engine() {
            Engine::Sqlite => "create table kernel.effects (number integer primary key, plugin text, name text, key text, id text, at text)",
            Engine::Postgres => {
                "create table kernel.effects (number bigint generated always as identity primary key,
                 plugin text, name text, key text, id text, at timestamptz)"
            }
        };
        sql.kernel().execute(effects, &[]).await.expect("a table");
        let events = Events::new(sql.clone(), self::config(), &Registry::new()).expect("metrics");
        Self {
            config,
            folder,
            sql,
            events,
        }
    }

    fn node(&self, script: &Arc<Script>) -> Node {
        self.node_with(script, config())
    }

    fn node_with(&self, script: &Arc<Script>, config: EventsConfig) -> Node {
        self.node_with_rules(script, config, Vec::new())
    }

    fn node_with_rules(
        &self,
        script: &Arc<Script>,
        config: EventsConfig,
        rules: Vec<PurgeRule>,
    ) -> Node {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let (sql_config, folder, script) = (
            self.config.clone(),
            self.folder.path().to_owned(),
            Arc::clone(script),
        );
        let start = async move {
            let sql = Sql::open(&sql_config, &folder).await.expect("a database");
            let events = Events::new(sql.clone(), config, &Registry::new()).expect("metrics");
            let plugins: Arc<dyn Consumers> = Arc::new(NodePlugins { sql, script });
            (events.start(&plugins, rules), events)
        };
        let (runner, events) = tokio::task::block_in_place(|| runtime.block_on(start));
        Node {
            runtime: Some(runtime),
            runner: Some(runner),
            events,
        }
    }

    async fn publish(&self, publisher: &str, subscribers: &[&str], events: &[(&str, &str)]) {
        let work = self.sql.work(STORE, Mode::Changing);
        work.finish(announce(publisher, subscribers, events))
            .await
            .expect("committed");
    }

    async fn change_jobs(&self, changes: &[JobChange]) {
        let work = self.sql.work(STORE, Mode::Changing);
        work.finish(settle(STORE, &[], changes, |_, _| Vec::new()))
            .await
            .expect("committed");
    }

    async fn effects(&self) -> Vec<Effect> {
        let text = "select plugin, name, key from kernel.effects order by number";
        let rows = self.sql.kernel().fetch_all(text, &[]).await.expect("rows");
        let read = |row: &commerce_kernel::storage::sql::Row| {
            Ok::<_, SqlError>(Effect {
                plugin: row.get(0)?,
                name: row.get(1)?,
                key: row.get(2)?,
            })
        };
        rows.iter().map(|row| read(row).expect("a row")).collect()
    }

    async fn count(&self, text: &'static str) -> i64 {
        self.sql
            .kernel()
            .fetch_one(text, &[])
            .await
            .expect("a row")
            .get(0)
            .expect("a number")
    }

    async fn execute(&self, text: &'static str, time: Time) {
        self.sql
            .kernel()
            .execute(text, &args![time])
            .await
            .expect("done");
    }
}

fn announce(
    publisher: &str,
    subscribers: &[&str],
    events: &[(&str, &str)],
) -> Vec<KernelStatement> {
    let event = |(name, key): &(&str, &str)| Published {
        id: typeid::new("evt"),
        publisher: publisher.to_owned(),
        name: (*name).to_owned(),
        key: (*key).to_owned(),
        payload: "{}".to_owned(),
        occurred_at: Time::now().0,
    };
    let events: Vec<_> = events.iter().map(event).collect();
    settle(STORE, &events, &[], |_, _| subscribers.iter().copied())
}

fn config() -> EventsConfig {
    EventsConfig {
        poll_ms: 50,
        ..EventsConfig::default()
    }
}

fn all() -> Filter {
    Filter {
        limit: 1_000,
        ..Filter::default()
    }
}

fn set<T: Into<String> + Clone, const N: usize>(items: [T; N]) -> HashSet<String> {
    items.into_iter().map(Into::into).collect()
}

fn ago(seconds: i64) -> Time {
    Time(Time::now().0 - seconds * 1_000_000)
}

fn from_now(milliseconds: i64) -> Time {
    Time(Time::now().0 + milliseconds * 1_000)
}

fn schedule(name: &str, key: &str, due_at: Time) -> JobChange {
    JobChange::Schedule {
        id: typeid::new("job"),
        plugin: "shop".to_owned(),
        name: name.to_owned(),
        key: key.to_owned(),
        due_at: due_at.0,
        payload: "{}".to_owned(),
    }
}

fn cancel(name: &str, key: &str) -> JobChange {
    JobChange::Cancel {
        plugin: "shop".to_owned(),
        name: name.to_owned(),
        key: key.to_owned(),
    }
}

async fn eventually(what: &str, happened: impl AsyncFn() -> bool) {
    for _ in 0..600 {
        if happened().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("waited in vain: {what}");
}
