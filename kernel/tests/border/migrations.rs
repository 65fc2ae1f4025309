//! Migrations: what both engines get, what is refused, and what ends the possibility of going back.

use std::fmt::Write;
use std::sync::Arc;

use commerce_kernel::storage::sql::border::{
    Border, Class, Migration, Refusal, RefusalKind, Schema, Step, plan_drop, plan_migration,
};

use crate::engines::Engine;
use crate::fixtures;
use crate::shop;

fn later(text: &str) -> Result<Migration, Refusal> {
    plan_migration(&shop::shop().schema_after, "0002_later.sql", text)
}

fn report(migration: &Migration, report: &mut String) {
    for step in &migration.steps {
        match step {
            Step::Ddl {
                postgres,
                sqlite,
                class,
                describes,
            } => {
                let _ = writeln!(
                    report,
                    "{describes} ({class:?})\n{}\n--\n{}",
                    postgres.join(";\n"),
                    sqlite.join(";\n")
                );
            }
            Step::Data {
                prepared,
                each_new_store,
                ..
            } => {
                let _ = writeln!(
                    report,
                    "each store, new ones too: {each_new_store}\n{}\n--\n{}",
                    prepared.postgres, prepared.sqlite
                );
            }
        }
        report.push('\n');
    }
}

#[test]
fn tables_get_the_store_first_in_every_key() {
    let mut text = String::new();
    report(&shop::shop(), &mut text);
    insta::assert_snapshot!(text);
}

const LATER: &[&str] = &[
    "alter table items add column colour text not null default 'none'",
    "alter table items add column seen bigint default -1, add column hidden boolean not null default false",
    "create index items_by_stock on items (stock desc, lower(title)) where stock > 0 and active",
    "alter table lines add constraint one_item unique (order_id, item_id)",
    "alter table items rename column note to remark",
    "alter table items drop column weight",
    "alter table lines rename to order_lines",
    "drop index items_by_price",
    "drop index one_note",
    "drop table lines",
    "create table gifts (id text primary key, line_order text not null, line_position bigint not null, foreign key (line_order, line_position) references lines on delete cascade)",
    "update items set stock = (select coalesce(sum(quantity), 0) from lines l where l.item_id = items.id)",
    "create table fresh (id text primary key, n bigint); create unique index fresh_n on fresh (n); drop table fresh",
];

#[test]
fn changes_are_planned_for_both_engines_and_classed() {
    let mut text = String::new();
    for change in LATER {
        let migration = later(change).unwrap_or_else(|refusal| panic!("{change}: {refusal}"));
        let _ = writeln!(text, "## {change}\n=> {:?}\n", migration.class);
        report(&migration, &mut text);
    }
    insta::assert_snapshot!(text);
}

#[test]
fn refused_changes_say_what_to_do_instead() {
    let mut text = String::new();
    let mut planned = Vec::new();
    for fixture in fixtures::read(include_str!("fixtures/refused_migrations.sql")) {
        match later(&fixture.text) {
            Ok(_) => planned.push(fixture.name),
            Err(refusal) => {
                let _ = writeln!(
                    text,
                    "## {}\n{}\n=> {:?}: {refusal}\n",
                    fixture.name, fixture.text, refusal.kind
                );
            }
        }
    }
    assert_eq!(planned, Vec::<String>::new());
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn planned_changes_run_on_both_engines() {
    for mut engine in Engine::all().await {
        engine.migrate(&shop::shop(), &[1, 2]).await;
        for change in LATER {
            engine.raw("savepoint before").await.expect("a savepoint");
            let migration = later(change).expect("planned");
            engine.migrate(&migration, &[1, 2]).await;
            // What was recorded is what is there.
            let border = Border::new(Arc::new(migration.schema_after.clone()), Vec::new());
            for table in &migration.schema_after.tables {
                let all = border
                    .prepare(&format!("select * from {}", table.name))
                    .expect("the table is recorded");
                engine
                    .run(&all, 1, &[])
                    .await
                    .unwrap_or_else(|error| panic!("{change} on {}: {error}", engine.name()));
            }
            engine.raw("rollback to before").await.expect("the savepoint is there");
        }
        let drop = Migration {
            steps: vec![plan_drop(&shop::shop().schema_after)],
            ..later("drop table lines").expect("planned")
        };
        engine.migrate(&drop, &[]).await;
    }
}

#[test]
fn a_file_that_takes_anything_away_contracts() {
    let mixed = "alter table items add column colour text; alter table items drop column weight";
    assert_eq!(later(mixed).expect("planned").class, Class::Contract);
    assert_eq!(
        later("alter table items add column colour text")
            .expect("planned")
            .class,
        Class::Expand
    );
}

#[test]
fn data_statements_run_per_store_and_never_across_stores() {
    let migration = later("update items set stock = 1 where true or 1 = 1").expect("planned");
    let [
        Step::Data {
            prepared,
            each_new_store: false,
            ..
        },
    ] = migration.steps.as_slice()
    else {
        panic!("one data step")
    };
    assert_eq!(prepared.arguments, 0);
    assert!(
        prepared
            .sqlite
            .ends_with("where t1.\"store_id\" = ?1 and ((true or (1 = 1)))"),
        "{}",
        prepared.sqlite
    );
}

#[test]
fn a_refusal_points_into_the_file() {
    let refusal = later("alter table items add column colour text;\n\n  create table x (id uuid primary key);")
        .expect_err("refused");
    assert_eq!(refusal.kind, RefusalKind::Type);
    assert!(refusal.message.starts_with("0002_later.sql: "), "{refusal}");
    assert_eq!(refusal.at.map(|at| at.line), Some(3));
}

#[test]
fn a_recorded_schema_survives_being_stored() {
    let schema = shop::shop().schema_after;
    let stored = serde_json::to_string(&schema).expect("a schema is JSON");
    assert_eq!(serde_json::from_str::<Schema>(&stored).expect("and back"), schema);
}

#[test]
fn reserved_and_strange_names_are_refused() {
    for name in [
        "kernel",
        "public",
        "pg_x",
        "sqlite_x",
        "information_schema",
        "store_id",
        "a.b",
        "A",
        "",
        "1a",
        "a-b",
        "a\"b",
        &"a".repeat(32),
    ] {
        assert_eq!(Schema::empty(name).expect_err(name).kind, RefusalKind::ReservedName);
    }
}
