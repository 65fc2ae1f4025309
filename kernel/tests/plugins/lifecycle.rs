//! Install, upgrade, rollback, removal, and what is refused on the way.

use commerce_contract::{Capabilities, sections};
use commerce_kernel::plugins::{Decision, InstallError};
use serde_json::{Value, json};

use crate::kernel::TestKernel;
use crate::packages::{self, append, with_manifest, with_migration, with_section, without_section};

#[tokio::test(flavor = "multi_thread")]
async fn an_installed_plugin_answers_and_remembers() {
    let kernel = TestKernel::start().await;
    kernel.install(packages::hello()).await;
    let greeted = kernel.post("/api/hello", json!({ "name": "Ani" })).await.unwrap();
    assert_eq!(greeted.status, 201);
    kernel.post("/api/hello", json!({ "name": "Ani" })).await.unwrap();
    assert_eq!(
        kernel.read("/api/hello/Ani").await,
        json!({ "text": "Hello, Ani!", "count": 2 })
    );
    let problem = kernel.get("/api/hello/Budi").await.unwrap_err();
    assert_eq!((problem.status, problem.code.as_str()), (404, "never_greeted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installed_plugin_survives_a_restart() {
    let kernel = TestKernel::start().await;
    kernel.install(packages::hello()).await;
    kernel.post("/api/hello", json!({ "name": "Ani" })).await.unwrap();
    let kernel = kernel.restarted().await;
    assert_eq!(kernel.read("/api/hello/Ani").await["count"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compiled_plugin_that_somebody_else_could_write_is_compiled_again() {
    use std::os::unix::fs::PermissionsExt;
    let kernel = TestKernel::start().await;
    kernel.install(packages::hello()).await;
    let compiled = kernel.folder.path().join("compiled");
    let file = std::fs::read_dir(&compiled).unwrap().next().unwrap().unwrap().path();
    // Not written in place: the running kernel has the old file mapped.
    let forged = compiled.join("forged");
    std::fs::write(&forged, b"not native code").unwrap();
    std::fs::set_permissions(&forged, std::fs::Permissions::from_mode(0o666)).unwrap();
    std::fs::rename(&forged, &file).unwrap();
    let kernel = kernel.restarted().await;
    kernel.post("/api/hello", json!({ "name": "Ani" })).await.unwrap();
}

fn next_version() -> Vec<u8> {
    let package = with_manifest(&packages::hello(), "version = \"0.1.0\"", "version = \"0.2.0\"");
    with_migration(&package, "0002_note.sql", "alter table greetings add column note text;")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_keeps_the_rows_and_a_rollback_keeps_them_too() {
    let kernel = TestKernel::start().await;
    kernel.install(packages::hello()).await;
    kernel.post("/api/hello", json!({ "name": "Ani" })).await.unwrap();

    let preview = kernel.plugins.preview(next_version()).await.unwrap();
    assert_eq!(
        (preview.migrations, preview.rollback_possible),
        (vec!["0002_note.sql".to_owned()], true)
    );
    let change = kernel
        .plugins
        .upgrade(next_version(), Decision::Unchanged)
        .await
        .unwrap();
    assert_eq!(
        (change.version.as_str(), change.before.as_deref()),
        ("0.2.0", Some("0.1.0"))
    );
    kernel.post("/api/hello", json!({ "name": "Ani" })).await.unwrap();

    let change = kernel.plugins.rollback("hello").await.unwrap();
    assert_eq!(change.version, "0.1.0");
    kernel.post("/api/hello", json!({ "name": "Ani" })).await.unwrap();
    assert_eq!(kernel.read("/api/hello/Ani").await["count"], 3);
    let again = kernel.plugins.rollback("hello").await.unwrap_err();
    assert!(matches!(again, InstallError::NothingToRollBackTo(_)), "{again}");

    kernel
        .plugins
        .upgrade(next_version(), Decision::Unchanged)
        .await
        .unwrap();
    kernel.post("/api/hello", json!({ "name": "Ani" })).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_versions_change_under_load() {
    let kernel = TestKernel::start().await;
    kernel.install(packages::hello()).await;
    kernel.post("/api/hello", json!({ "name": "Ani" })).await.unwrap();
    let kernel = std::sync::Arc::new(kernel);
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let load: Vec<_> = (0..8)
        .map(|_| {
            let (kernel, done) = (kernel.clone(), done.clone());
            tokio::spawn(async move {
                let mut answered = 0;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    kernel.read("/api/hello/Ani").await;
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    for _ in 0..5 {
        kernel
            .plugins
            .upgrade(next_version(), Decision::Unchanged)
            .await
            .unwrap();
        kernel.plugins.rollback("hello").await.unwrap();
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    for task in load {
        assert!(task.await.unwrap() > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_applied_migration_cannot_be_edited_or_dropped() {
    let kernel = TestKernel::start().await;
    kernel.install(packages::hello()).await;
    let version = with_manifest(&packages::hello(), "0.1.0", "0.1.1");
    let edited = with_section(&version, sections::MIGRATIONS, |text| {
        text.replace("count bigint", "total bigint")
    });
    let error = kernel.plugins.upgrade(edited, Decision::Unchanged).await.unwrap_err();
    assert!(error.to_string().contains("applied with another text"), "{error}");
    let dropped = with_section(&version, sections::MIGRATIONS, |_| "[]".to_owned());
    let error = kernel.plugins.upgrade(dropped, Decision::Unchanged).await.unwrap_err();
    assert!(error.to_string().contains("this package does not have it"), "{error}");
    let before = with_migration(
        &without_section(&version, sections::MIGRATIONS),
        "0000_first.sql",
        "create table a (b text primary key);",
    );
    let error = kernel.plugins.upgrade(before, Decision::Unchanged).await.unwrap_err();
    assert!(matches!(error, InstallError::Migration { .. }), "{error}");
    assert_eq!(
        kernel.plugins.installed().plugin("hello").unwrap().version.to_string(),
        "0.1.0"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_is_not_taken_from_a_version_that_uses_it() {
    let kernel = TestKernel::start().await;
    kernel.install(packages::hello()).await;
    let dropping = with_manifest(&packages::hello(), "0.1.0", "0.2.0");
    let dropping = without_section(&dropping, sections::SQL);
    let dropping = with_migration(&dropping, "0002_drop.sql", "alter table greetings drop column count;");
    let error = kernel.plugins.upgrade(dropping, Decision::Unchanged).await.unwrap_err();
    assert!(
        error.to_string().contains("still needs what would be taken away"),
        "{error}"
    );
    kernel.post("/api/hello", json!({ "name": "Ani" })).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_does_not_fit_the_tables_is_refused_at_install() {
    let kernel = TestKernel::start().await;
    let package = with_section(&packages::hello(), sections::SQL, |text| {
        format!("{text}select nothing from nowhere\0")
    });
    let error = kernel.plugins.install(package, Decision::All).await.unwrap_err();
    assert!(matches!(error, InstallError::Statement { .. }), "{error}");
    assert!(kernel.plugins.installed().plugin("hello").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_not_taken_from_the_plugins_that_read_it() {
    let kernel = TestKernel::start().await;
    let with_view = |version: &str, view: &str| {
        with_section(&packages::hello(), sections::MANIFEST, |manifest| {
            format!("{}\n[views]\n{view}\n", manifest.replace("0.1.0", version))
        })
    };
    kernel
        .install(with_view("0.1.0", "totals = \"select name, count from greetings\""))
        .await;
    let reader = with_manifest(
        &packages::greedy(),
        "sql = true",
        "sql = true\nviews = [\"hello.totals\"]",
    );
    let reader = with_section(&reader, sections::SQL, |text| {
        format!("{text}select sum(t.count) as total from hello.totals t\0")
    });
    kernel.install(reader).await;

    let narrower = with_view("0.2.0", "totals = \"select name from greetings\"");
    let error = kernel.plugins.upgrade(narrower, Decision::Unchanged).await.unwrap_err();
    assert!(
        error.to_string().contains("`greedy` reads a view of `hello`"),
        "{error}"
    );
    let without = with_manifest(&packages::hello(), "0.1.0", "0.2.0");
    let error = kernel.plugins.upgrade(without, Decision::Unchanged).await.unwrap_err();
    assert!(
        error.to_string().contains("`greedy` reads a view of `hello`"),
        "{error}"
    );

    let wider = with_view("0.2.0", "totals = \"select name, count, 1 as one from greetings\"");
    kernel.plugins.upgrade(wider, Decision::Unchanged).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_others_need_is_neither_missing_nor_taken_away() {
    let kernel = TestKernel::start().await;
    let reader = with_manifest(
        &packages::greedy(),
        "sql = true",
        "sql = true\nviews = [\"hello.totals\"]",
    );
    let error = kernel.plugins.install(reader.clone(), Decision::All).await.unwrap_err();
    assert!(error.to_string().contains("install hello first"), "{error}");
    kernel.install(packages::hello()).await;
    let error = kernel.plugins.install(reader.clone(), Decision::All).await.unwrap_err();
    assert!(error.to_string().contains("has no view `totals`"), "{error}");
    let with_view = with_section(&packages::hello(), sections::MANIFEST, |manifest| {
        format!(
            "{}\n[views]\ntotals = \"select name from greetings\"\n",
            manifest.replace("0.1.0", "0.2.0")
        )
    });
    kernel.plugins.upgrade(with_view, Decision::Unchanged).await.unwrap();
    kernel.install(reader).await;

    for error in [
        kernel.plugins.remove("hello", false).await.unwrap_err(),
        kernel.plugins.remove("hello", true).await.unwrap_err(),
        kernel.plugins.set_enabled("hello", Some(1), false).await.unwrap_err(),
        kernel.plugins.set_enabled("hello", None, false).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("`hello` is needed by `greedy`"), "{error}");
    }
    kernel.plugins.set_enabled("greedy", Some(1), false).await.unwrap();
    kernel.plugins.set_enabled("hello", Some(1), false).await.unwrap();
    kernel.plugins.remove("greedy", false).await.unwrap();
    kernel.plugins.remove("hello", false).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_leaves_no_table_of_any_version_on_postgres() {
    let url = commerce_harness::postgres::database().await;
    let kernel = TestKernel::on_postgres(&url).await;
    kernel.install(packages::hello()).await;
    let next = with_manifest(&packages::hello(), "0.1.0", "0.2.0");
    let next = with_migration(&next, "0002_more.sql", "create table more (id text primary key);");
    kernel.plugins.upgrade(next, Decision::Unchanged).await.unwrap();
    kernel.plugins.rollback("hello").await.unwrap();
    kernel.plugins.remove("hello", true).await.unwrap();
    let left = "select count(*) from pg_catalog.pg_namespace where nspname = 'hello'";
    let row = kernel.sql.kernel().fetch_one(left, &[]).await.unwrap();
    assert_eq!(row.get::<i64>(0).unwrap(), 0);
    // Also what was removed without its tables.
    kernel.install(packages::hello()).await;
    kernel.plugins.remove("hello", false).await.unwrap();
    kernel.plugins.remove("hello", true).await.unwrap();
    let row = kernel.sql.kernel().fetch_one(left, &[]).await.unwrap();
    assert_eq!(row.get::<i64>(0).unwrap(), 0);
    let error = kernel.plugins.remove("hello", true).await.unwrap_err();
    assert!(matches!(error, InstallError::NotInstalled(_)), "{error}");
    kernel.install(packages::hello()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_file_cannot_break_what_new_stores_are_given() {
    let kernel = TestKernel::start().await;
    let marked = "create table kinds (id text primary key, name text not null);
                  -- each store
                  insert into kinds (id, name) values ('first', 'First');";
    let first = with_migration(&packages::hello(), "0002_kinds.sql", marked);
    kernel.install(first.clone()).await;
    let next = |change: &str| {
        let next = with_manifest(&first, "0.1.0", "0.2.0");
        with_migration(&next, "0003_kinds.sql", change)
    };
    for change in [
        "alter table kinds rename column name to title;",
        "alter table kinds rename to sorts;",
    ] {
        let error = kernel
            .plugins
            .upgrade(next(change), Decision::Unchanged)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("stores that are created later"), "{error}");
    }
    kernel
        .plugins
        .upgrade(next("drop table kinds;"), Decision::Unchanged)
        .await
        .unwrap();
    let store = std::sync::Arc::new(commerce_kernel::stores::Store {
        number: 2,
        ..(*kernel.store).clone()
    });
    commerce_kernel::stores::StorePlugins::provision(&kernel.plugins, &store)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn more_rights_need_a_new_yes() {
    let kernel = TestKernel::start().await;
    kernel.install(packages::hello()).await;
    let asking = with_manifest(
        &packages::hello(),
        "sql = true",
        "sql = true\nhttp = [\"api.example.com\"]",
    );
    let preview = kernel.plugins.preview(asking.clone()).await.unwrap();
    assert_eq!(preview.more, ["http api.example.com"]);
    let error = kernel
        .plugins
        .upgrade(asking.clone(), Decision::Unchanged)
        .await
        .unwrap_err();
    assert!(matches!(error, InstallError::Grants(_)), "{error}");
    kernel.plugins.upgrade(asking, Decision::All).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_granted_is_refused_on_the_path_of_the_call() {
    let kernel = TestKernel::start().await;
    let nothing = Decision::Listed(Capabilities::default());
    kernel.plugins.install(packages::hello(), nothing).await.unwrap();
    let problem = kernel.post("/api/hello", json!({ "name": "Ani" })).await.unwrap_err();
    assert_eq!(problem.status, 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_has_one_owner() {
    let kernel = TestKernel::start().await;
    kernel.install(packages::hello()).await;
    // The same code under another name describes the same routes, with operations that are not its own.
    let other = with_manifest(&packages::hello(), "name = \"hello\"", "name = \"hullo\"");
    let error = kernel
        .plugins
        .install(other, Decision::All)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("already belongs to `hello`"), "{error}");
    assert!(error.contains("must begin with `hullo.`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_enabled_store_by_store() {
    let kernel = TestKernel::start().await;
    kernel.install(packages::hello()).await;
    assert!(kernel.plugins.installed().enabled(1, "hello"));
    kernel.plugins.set_enabled("hello", Some(1), false).await.unwrap();
    assert!(!kernel.plugins.installed().enabled(1, "hello"));
    assert!(kernel.plugins.installed().enabled(2, "hello"));
    kernel.plugins.set_enabled("hello", None, false).await.unwrap();
    assert!(!kernel.plugins.installed().enabled(2, "hello"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_plugin_leaves_its_rows_unless_purged() {
    let kernel = TestKernel::start().await;
    kernel.install(packages::hello()).await;
    kernel.post("/api/hello", json!({ "name": "Ani" })).await.unwrap();
    kernel.plugins.remove("hello", false).await.unwrap();
    assert!(kernel.plugins.installed().plugin("hello").is_none());
    kernel.install(packages::hello()).await;
    assert_eq!(kernel.read("/api/hello/Ani").await["count"], 1);
    kernel.plugins.remove("hello", true).await.unwrap();
    kernel.install(packages::hello()).await;
    assert_eq!(kernel.get("/api/hello/Ani").await.unwrap_err().status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_on_one_database_follow_each_other_within_two_seconds() {
    let url = commerce_harness::postgres::database().await;
    let one = TestKernel::on_postgres(&url).await;
    let other = one.second_node(&url).await;
    one.install(packages::hello()).await;
    let mut changes = other.plugins.subscribe_changes();
    let heard = async {
        while other.plugins.installed().plugin("hello").is_none() {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(2), heard)
        .await
        .expect("within two seconds");
    one.post("/api/hello", json!({ "name": "Ani" })).await.unwrap();
    assert_eq!(other.read("/api/hello/Ani").await["count"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_package_is_refused_without_harm() {
    let kernel = TestKernel::start().await;
    let hello = packages::hello();
    let mut twice = hello.clone();
    append(&mut twice, sections::MANIFEST, b"[plugin]");
    let truncated = hello[..hello.len() / 2].to_vec();
    let mut garbled = hello.clone();
    let middle = garbled.len() / 2;
    for byte in &mut garbled[middle..middle + 64] {
        *byte ^= 0x5a;
    }
    for (what, package) in [
        ("nothing", Vec::new()),
        ("text", b"hello".to_vec()),
        ("an empty core module", b"\0asm\x01\0\0\0".to_vec()),
        ("an empty component", b"\0asm\x0d\0\x01\0".to_vec()),
        ("half a package", truncated),
        ("a package with noise in it", garbled),
        ("two manifests", twice),
        ("no manifest", without_section(&hello, sections::MANIFEST)),
        (
            "an unknown key",
            with_manifest(&hello, "sql = true", "sql = true\nroot = true"),
        ),
        ("a reserved name", with_manifest(&hello, "\"hello\"", "\"kernel\"")),
        (
            "another contract",
            with_manifest(&hello, "contract = \"0.1\"", "contract = \"2.0\""),
        ),
        ("a wildcard host", with_manifest(&hello, "sql = true", "http = [\"*\"]")),
    ] {
        assert!(kernel.plugins.install(package, Decision::All).await.is_err(), "{what}");
    }
    let none: Vec<Value> = Vec::new();
    assert_eq!(kernel.plugins.installed().plugins().count(), none.len());
}
