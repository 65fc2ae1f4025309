//! The kernel's own statements and its migrations.

use commerce_kernel::args;
use commerce_kernel::storage::sql::border::{ColumnType, Step};
use commerce_kernel::storage::sql::{
    Engine, KernelStatement, MigrateError, PluginMigration, Sql, SqlConfig, SqlError, Time,
};

use crate::on_both_engines;
use crate::world::{World, statement, table};

on_both_engines! {
    one_text_serves_both_engines,
    a_transaction_is_all_or_nothing,
    changes_of_several_tables_count_each_for_itself,
    migrating_again_does_nothing,
    a_database_of_a_newer_version_is_refused,
    kernels_that_start_together_migrate_once,
    a_plugins_migration_runs_once_with_its_data_per_store,
    a_failed_migration_leaves_nothing,
    a_changed_migration_is_refused,
}

const INSERT_STORE: &str = "insert into kernel.stores \
    (id, slug, name, hosts, currency, currencies, timezone, status, settings, created_at) \
    values ($1, $2, $2, '[]', 'IDR', '[]', 'Asia/Jakarta', 'active', $3, $4) returning number";

async fn one_text_serves_both_engines(engine: Engine) {
    let world = World::new(engine).await;
    let kernel = world.sql.kernel();
    let now = Time::now();
    let made = kernel
        .write(INSERT_STORE, &args!["store_1", "jakarta", "{}", now])
        .await
        .unwrap();
    let number: i64 = made[0].get(0).unwrap();
    let row = kernel
        .fetch_one(
            "select slug, created_at, name = $2 from kernel.stores where number = $1 for update skip locked",
            &args![number, "jakarta"],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<String>(0), Ok("jakarta".into()));
    assert_eq!(row.get::<Time>(1), Ok(now));
    assert_eq!(row.get::<bool>(2), Ok(true));
    assert_eq!(row.get::<Option<String>>(0), Ok(Some("jakarta".into())));
    assert!(row.get::<i64>(0).is_err());
    let absent = kernel
        .fetch_optional(
            "select created_at from kernel.signing_keys where kid = $1",
            &args!["none"],
        )
        .await;
    assert!(absent.unwrap().is_none());
    let changed = kernel
        .execute(
            "update kernel.stores set name = $1 where created_at <= $2",
            &args!["Jakarta", now],
        )
        .await;
    assert_eq!(changed, Ok(1));
    let again = kernel.execute("insert into kernel.api_keys (id, store, kind, name, key_hash, last4, permissions, created_at) values ($1, $2, $3, $4, $5, $6, $7, $8)", &args!["key_1", number, "other", "n", vec![1u8, 2], "abcd", "[]", now]).await;
    assert!(matches!(again, Err(SqlError::Constraint(_))));
}

async fn a_transaction_is_all_or_nothing(engine: Engine) {
    let world = World::new(engine).await;
    const INSERT: &str = "insert into kernel.versions (name, generation) values ($1, $2)";
    let many = (0..1_000)
        .map(|number| args![format!("v{number}"), number].into())
        .collect();
    let twice = vec![
        KernelStatement::rows(INSERT, many),
        KernelStatement::new(INSERT, args!["v1", 1]),
    ];
    assert!(matches!(
        world.sql.kernel().transaction(twice.clone()).await,
        Err(SqlError::Constraint(_))
    ));
    assert_eq!(count(&world).await, 0);
    assert_eq!(
        world.sql.kernel().transaction(twice[..1].to_vec()).await,
        Ok(vec![1_000])
    );
    assert_eq!(count(&world).await, 1_000);
}

async fn changes_of_several_tables_count_each_for_itself(engine: Engine) {
    let world = World::new(engine).await;
    const VERSION: &str = "insert into kernel.versions (name, generation) values ($1, $2)
        on conflict (name) do update set generation = excluded.generation where kernel.versions.generation < $2";
    let version = |name: &str, generation: i64| KernelStatement::new(VERSION, args![name.to_owned(), generation]);
    let renamed = KernelStatement::new("update kernel.stores set name = $1", args!["Renamed".to_owned()]);
    let now = Time::now();
    let store = args!["store_1", "jakarta", "{}", now];
    world.sql.kernel().write(INSERT_STORE, &store).await.unwrap();

    let both = vec![renamed.clone().expecting(1), version("a", 2).expecting(1)];
    assert_eq!(world.sql.kernel().transaction(both).await, Ok(vec![1, 1]));
    let older = vec![renamed.clone(), version("a", 1)];
    assert_eq!(world.sql.kernel().transaction(older).await, Ok(vec![1, 0]));

    let other = KernelStatement::new("update kernel.stores set name = $1", args!["Other".to_owned()]);
    let refused = vec![other, version("a", 1).expecting(1)];
    assert_eq!(world.sql.kernel().transaction(refused).await, Err(SqlError::Conflict));
    let row = world
        .sql
        .kernel()
        .fetch_one("select name from kernel.stores", &[])
        .await;
    assert_eq!(row.unwrap().get::<String>(0), Ok("Renamed".into()));
}

async fn count(world: &World) -> i64 {
    let row = world
        .sql
        .kernel()
        .fetch_one("select count(*) from kernel.versions", &[])
        .await
        .unwrap();
    row.get(0).unwrap()
}

async fn migrating_again_does_nothing(engine: Engine) {
    let world = World::new(engine).await;
    assert!(world.sql.migrate().await.unwrap().is_empty());
    let all = world.sql.migrations().await.unwrap();
    assert!(!all.is_empty() && all.iter().all(|one| one.applied_at.is_some()));
}

async fn a_database_of_a_newer_version_is_refused(engine: Engine) {
    let world = World::new(engine).await;
    let future = "insert into kernel.migrations (name, checksum, applied_at) values ('9999_future', '', $1)";
    world.sql.kernel().execute(future, &args![Time::now()]).await.unwrap();
    assert!(matches!(world.sql.migrate().await, Err(MigrateError::TooNew(name)) if name == "9999_future"));
    world
        .sql
        .kernel()
        .execute("delete from kernel.migrations where name = '9999_future'", &[])
        .await
        .unwrap();
    world
        .sql
        .kernel()
        .execute(
            "update kernel.migrations set checksum = 'other' where name like '0001%'",
            &[],
        )
        .await
        .unwrap();
    assert!(matches!(world.sql.migrate().await, Err(MigrateError::Changed(_))));
}

async fn kernels_that_start_together_migrate_once(engine: Engine) {
    let folder = tempfile::tempdir().unwrap();
    let url = match engine {
        Engine::Sqlite => None,
        Engine::Postgres => Some(commerce_harness::postgres::database().await),
    };
    let config = SqlConfig {
        url,
        ..SqlConfig::default()
    };
    let start = || async {
        let sql = Sql::open(&config, folder.path()).await.unwrap();
        sql.ensure_plugin("product").await.unwrap();
        sql.migrate().await.unwrap().len()
    };
    let (one, two, three) = tokio::join!(start(), start(), start());
    let mut counts = [one, two, three];
    counts.sort();
    assert_eq!(counts[..2], [0, 0]);
    assert!(counts[2] > 0);
}

fn widgets(steps: Vec<Step>, checksum: &str) -> PluginMigration {
    PluginMigration {
        file: "0002.sql".into(),
        checksum: checksum.into(),
        steps,
    }
}

fn create_widgets() -> Step {
    crate::world::ddl(
        "create table \"product\".\"widgets\" (store_id bigint not null, id text not null, primary key (store_id, id))",
        "create table \"product.widgets\" (store_id integer not null, id text not null, primary key (store_id, id)) strict",
    )
}

fn data(text: &str) -> Step {
    let mut prepared = statement(text, &[], &[], &[table("product", "widgets", true)]);
    prepared.postgres = prepared.postgres.replace("{widgets}", "\"product\".\"widgets\"");
    prepared.sqlite = prepared.sqlite.replace("{widgets}", "\"product.widgets\"");
    Step::Data {
        text: text.to_owned(),
        prepared,
        each_new_store: true,
    }
}

async fn widgets_in(world: &World, store: i64) -> Vec<Vec<serde_json::Value>> {
    let mut list = statement(
        "select id from {widgets} where store_id = $1",
        &[],
        &[("id", Some(ColumnType::Text))],
        &[table("product", "widgets", false)],
    );
    list.postgres = list.postgres.replace("{widgets}", "\"product\".\"widgets\"");
    list.sqlite = list.sqlite.replace("{widgets}", "\"product.widgets\"");
    let mut work = world.sql.work(store, commerce_kernel::storage::sql::Mode::Reading);
    crate::world::rows(
        work.statement(
            &world.product,
            &list,
            &crate::world::args(serde_json::json!([])),
            world.limits(),
        )
        .await,
    )
}

async fn a_plugins_migration_runs_once_with_its_data_per_store(engine: Engine) {
    let world = World::new(engine).await;
    let steps = vec![
        create_widgets(),
        data("insert into {widgets} (store_id, id) values ($1, 'first')"),
    ];
    let record = [KernelStatement::new(
        "insert into kernel.versions (name, generation) values ($1, $2)",
        args!["plugins", 1],
    )];
    world
        .sql
        .apply_plugin_migrations("product", &[widgets(steps.clone(), "a")], &[1, 2], &record)
        .await
        .unwrap();
    world
        .sql
        .apply_plugin_migrations("product", &[widgets(steps.clone(), "a")], &[1, 2], &[])
        .await
        .unwrap();
    world
        .sql
        .apply_store_data(3, &[("product".into(), steps[1..].to_vec())], &[])
        .await
        .unwrap();
    for store in [1, 2, 3] {
        assert_eq!(widgets_in(&world, store).await, [["first"]]);
    }
    assert_eq!(count(&world).await, 1);
}

async fn a_failed_migration_leaves_nothing(engine: Engine) {
    let world = World::new(engine).await;
    let reaches_out = data("insert into {notes} (store_id, id, text) values ($1, 'x', 'x')");
    let steps = vec![create_widgets(), reaches_out];
    let outcome = world
        .sql
        .apply_plugin_migrations("product", &[widgets(steps, "a")], &[1], &[])
        .await;
    assert!(
        matches!(
            outcome,
            Err(MigrateError::Failed {
                source: SqlError::Refused(_),
                ..
            })
        ),
        "{outcome:?}"
    );
    let good = vec![create_widgets()];
    world
        .sql
        .apply_plugin_migrations("product", &[widgets(good, "b")], &[1], &[])
        .await
        .unwrap();
    assert!(widgets_in(&world, 1).await.is_empty());
}

async fn a_changed_migration_is_refused(engine: Engine) {
    let world = World::new(engine).await;
    world
        .sql
        .apply_plugin_migrations("product", &[widgets(vec![create_widgets()], "a")], &[], &[])
        .await
        .unwrap();
    let outcome = world
        .sql
        .apply_plugin_migrations("product", &[widgets(vec![create_widgets()], "b")], &[], &[])
        .await;
    assert!(matches!(outcome, Err(MigrateError::Changed(_))));
}
