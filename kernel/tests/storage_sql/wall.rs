//! The second wall: statements that a rewriter with a hole might let through, handed over as if it had. The database
//! itself must stop them.

use commerce_kernel::storage::sql::border::Prepared;
use commerce_kernel::storage::sql::{Engine, MigrateError, Mode, PluginMigration, SqlError};
use serde_json::json;
use sqlx::Connection;

use crate::on_both_engines;
use crate::world::{World, args, ddl, list, rows, statement, table};

on_both_engines! {
    kernel_tables_cannot_be_read,
    kernel_tables_cannot_be_changed,
    another_plugins_table_cannot_be_read,
    another_plugins_table_cannot_be_changed,
    a_table_listed_for_reading_cannot_be_changed,
    the_catalog_cannot_be_changed,
    a_text_cannot_end_the_transaction,
    a_text_cannot_change_its_own_rights,
    a_second_statement_cannot_hide_behind_the_first,
    a_text_that_the_kernel_has_run_is_not_open_to_plugins,
    a_text_of_one_plugin_is_not_open_to_another,
    what_the_wall_stops_is_found_when_a_plugin_is_installed,
}

/// The check at first use stops a forged text before it runs. This is what would stop it if it did not: the role that
/// everything runs as.
#[tokio::test]
async fn the_role_of_all_plugins_has_no_right_on_the_kernels_tables() {
    let world = World::new(Engine::Postgres).await;
    let mut connection = sqlx::PgConnection::connect(&world.url.unwrap()).await.unwrap();
    let rights = "select rolname, has_schema_privilege(rolname, 'kernel', 'usage'), has_table_privilege(rolname, 'kernel.secrets', 'select'), \
                  has_table_privilege(rolname, 'product.items', 'select') \
                  from pg_roles where rolname like 'commerce_plugin%' and has_schema_privilege(rolname, 'product', 'usage')";
    let roles: Vec<(String, bool, bool, bool)> = sqlx::query_as(rights).fetch_all(&mut connection).await.unwrap();
    // The shared one and the plugin's own; not the other plugin's.
    assert_eq!(roles.len(), 2);
    for (role, schema, secrets, items) in roles {
        assert!(!schema && !secrets && items, "{role}");
    }
}

pub fn notes() -> Prepared {
    statement(
        "select id from {notes} where store_id = $1",
        &[],
        &[("id", None)],
        &[table("review", "notes", false)],
    )
}

/// Forged: the text reaches further than the list of tables says.
fn forged(text: &str, columns: usize) -> Prepared {
    let columns = vec![("a", None); columns];
    statement(text, &[], &columns, &[table("product", "items", true)])
}

/// The database does not run it, whatever it calls the reason.
async fn refused(world: &World, prepared: &Prepared) {
    for mode in [Mode::Staged, Mode::Changing] {
        let mut work = world.work(mode);
        let outcome = work
            .statement(&world.product, prepared, &args(json!([])), world.limits())
            .await;
        assert!(
            matches!(outcome, Err(SqlError::Refused(_) | SqlError::Failed)),
            "{}: {outcome:?}",
            prepared.postgres
        );
    }
}

/// The database knows very well what is asked, and says no.
async fn forbidden(world: &World, prepared: &Prepared) {
    for mode in [Mode::Staged, Mode::Changing] {
        let mut work = world.work(mode);
        let outcome = work
            .statement(&world.product, prepared, &args(json!([])), world.limits())
            .await;
        assert!(
            matches!(outcome, Err(SqlError::Refused(_))),
            "{}: {outcome:?}",
            prepared.postgres
        );
    }
}

async fn both(engine: Engine, world: &World, postgres: &str, sqlite: &str, columns: usize) {
    let text = if engine == Engine::Postgres { postgres } else { sqlite };
    refused(world, &forged(text, columns)).await;
}

async fn kernel_tables_cannot_be_read(engine: Engine) {
    let world = World::new(engine).await;
    for (postgres, sqlite) in [
        (
            "select sealed from kernel.secrets where store = $1",
            "select sealed from \"kernel.secrets\" where store = ?1",
        ),
        (
            "select count(*) from kernel.accounts where $1 > 0",
            "select count(*) from \"kernel.accounts\" where ?1 > 0",
        ),
        (
            "select id from \"product\".\"items\" where store_id = $1 and exists (select 1 from kernel.accounts)",
            "select id from \"product.items\" where store_id = ?1 and exists (select 1 from \"kernel.accounts\")",
        ),
    ] {
        let mut prepared = forged(if engine == Engine::Postgres { postgres } else { sqlite }, 1);
        forbidden(&world, &prepared).await;
        // Even where the list of tables says so.
        prepared
            .tables
            .extend([table("kernel", "secrets", true), table("kernel", "accounts", true)]);
        forbidden(&world, &prepared).await;
    }
}

async fn kernel_tables_cannot_be_changed(engine: Engine) {
    let world = World::new(engine).await;
    for (postgres, sqlite) in [
        (
            "delete from kernel.stores where number = $1",
            "delete from \"kernel.stores\" where number = $1",
        ),
        (
            "update kernel.roles set permissions = '[\"*\"]' where store = $1",
            "update \"kernel.roles\" set permissions = '[\"*\"]' where store = $1",
        ),
        (
            "insert into kernel.versions (name, generation) values ('x', $1)",
            "insert into \"kernel.versions\" (name, generation) values ('x', $1)",
        ),
        ("drop table kernel.secrets", "drop table \"kernel.secrets\""),
    ] {
        both(engine, &world, postgres, sqlite, 0).await;
    }
}

async fn another_plugins_table_cannot_be_read(engine: Engine) {
    let world = World::new(engine).await;
    forbidden(&world, &forged("select id from {notes} where store_id = $1", 1)).await;
    forbidden(
        &world,
        &forged(
            "select i.id from {items} i join {notes} n on n.id = i.id where i.store_id = $1",
            1,
        ),
    )
    .await;
    forbidden(&world, &forged("select count(*) from {notes} where $1 > 0", 1)).await;
}

async fn another_plugins_table_cannot_be_changed(engine: Engine) {
    let world = World::new(engine).await;
    forbidden(
        &world,
        &forged("insert into {notes} (store_id, id, text) values ($1, 'x', 'x')", 0),
    )
    .await;
    forbidden(&world, &forged("update {notes} set text = 'x' where store_id = $1", 0)).await;
    forbidden(&world, &forged("delete from {notes} where store_id = $1", 0)).await;
}

/// On PostgreSQL a plugin's role may change its own tables; the list is the rewriter's there, not the server's.
async fn a_table_listed_for_reading_cannot_be_changed(engine: Engine) {
    if engine == Engine::Postgres {
        return;
    }
    let world = World::new(engine).await;
    let mut prepared = forged("delete from {items} where store_id = $1", 0);
    prepared.tables = vec![table("product", "items", false)];
    prepared.writes = true;
    refused(&world, &prepared).await;
}

async fn the_catalog_cannot_be_changed(engine: Engine) {
    let world = World::new(engine).await;
    for text in [
        "create table {items}2 (a integer)",
        "alter table {items} add column evil text",
        "drop table {items}",
        "create view v as select 1",
    ] {
        refused(&world, &forged(&text.replace("{items}2", "evil"), 0)).await;
    }
    both(
        engine,
        &world,
        "truncate \"product\".\"items\"",
        "select sql from sqlite_master where $1 > 0",
        1,
    )
    .await;
    both(
        engine,
        &world,
        "copy \"product\".\"items\" to '/tmp/evil'",
        "attach database '/tmp/evil.db' as evil",
        0,
    )
    .await;
    both(
        engine,
        &world,
        "do $x$ begin null; end $x$",
        "pragma writable_schema = on",
        0,
    )
    .await;
    both(
        engine,
        &world,
        "select pg_catalog.pg_read_file('/etc/passwd') where $1 > 0",
        "select load_extension('/tmp/evil.so') where ?1 > 0",
        1,
    )
    .await;
    both(
        engine,
        &world,
        "select pg_catalog.lo_import('/etc/passwd') where $1 > 0",
        "select name from pragma_table_list where ?1 > 0",
        1,
    )
    .await;
}

async fn a_text_cannot_end_the_transaction(engine: Engine) {
    let world = World::new(engine).await;
    for text in ["commit", "rollback", "savepoint evil", "begin"] {
        refused(&world, &forged(text, 0)).await;
    }
}

async fn a_text_cannot_change_its_own_rights(engine: Engine) {
    let world = World::new(engine).await;
    if engine == Engine::Sqlite {
        return refused(&world, &forged("pragma foreign_keys = off", 0)).await;
    }
    for text in [
        "set role none",
        "reset role",
        "reset all",
        "set session authorization default",
        "discard all",
        "select pg_catalog.set_config('role', 'none', false) where $1 > 0",
        "select pg_catalog.query_to_xml('select 1', true, true, '')::text where $1 > 0",
        "prepare x as select 1",
        "listen evil",
    ] {
        refused(&world, &forged(text, 1)).await;
    }
}

async fn a_second_statement_cannot_hide_behind_the_first(engine: Engine) {
    let world = World::new(engine).await;
    both(
        engine,
        &world,
        "select id from \"product\".\"items\" where store_id = $1; delete from kernel.stores",
        "select id from \"product.items\" where store_id = $1; delete from \"kernel.stores\"",
        1,
    )
    .await;
}

async fn a_text_that_the_kernel_has_run_is_not_open_to_plugins(engine: Engine) {
    let world = World::new(engine).await;
    world
        .sql
        .kernel()
        .fetch_all(
            "select sealed from kernel.secrets where store = $1",
            &commerce_kernel::args![1],
        )
        .await
        .unwrap();
    both(
        engine,
        &world,
        "select sealed from kernel.secrets where store = $1",
        "select sealed from \"kernel.secrets\" where store = ?1",
        1,
    )
    .await;
}

async fn a_text_of_one_plugin_is_not_open_to_another(engine: Engine) {
    let world = World::new(engine).await;
    let mut work = world.work(Mode::Changing);
    rows(
        work.statement(&world.review, &notes(), &args(json!([])), world.limits())
            .await,
    );
    // The same text, the same connection, its compiled form still in the cache.
    let mut stolen = notes();
    stolen.tables = list().tables;
    let outcome = work
        .statement(&world.product, &stolen, &args(json!([])), world.limits())
        .await;
    assert!(matches!(outcome, Err(SqlError::Refused(_))), "{outcome:?}");
}

async fn what_the_wall_stops_is_found_when_a_plugin_is_installed(engine: Engine) {
    let world = World::new(engine).await;
    let migration = |table: &str| PluginMigration {
        file: format!("{table}.sql"),
        checksum: "1".into(),
        steps: vec![ddl(
            &format!(
                "create table \"product\".\"{table}\" (store_id bigint not null, id text not null, primary key (store_id, id))"
            ),
            &format!(
                "create table \"product.{table}\" (store_id integer not null, id text not null, primary key (store_id, id)) strict"
            ),
        )],
    };
    let of_new_table = |name: &str| {
        let mut prepared = statement(
            "select id from {new} where store_id = $1",
            &[],
            &[("id", None)],
            &[table("product", name, false)],
        );
        prepared.postgres = prepared.postgres.replace("{new}", &format!("\"product\".\"{name}\""));
        prepared.sqlite = prepared.sqlite.replace("{new}", &format!("\"product.{name}\""));
        prepared
    };
    for (number, bad) in [
        forged("select id from {notes} where store_id = $1", 1),
        forged("select nothing from {items} where store_id = $1", 1),
        forged("select id from", 1),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("bad{number}");
        let texts = [list(), of_new_table(&name), bad, list()];
        let outcome = world
            .sql
            .switch_plugin("product", &[migration(&name)], &[], &texts, &[])
            .await;
        assert!(
            matches!(outcome, Err(MigrateError::Statement { position: 2, .. })),
            "{outcome:?}"
        );
    }
    // Nothing of them is left: neither tables nor half-made statements.
    for name in ["bad0", "good"] {
        let texts = [of_new_table(name), list(), crate::world::insert()];
        world
            .sql
            .switch_plugin("product", &[migration(name)], &[], &texts, &[])
            .await
            .unwrap();
    }
}
