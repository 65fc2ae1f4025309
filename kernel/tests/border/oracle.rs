//! The oracle: a sliced statement among three stores' rows does exactly what the plain one does where one store's rows
//! are all there is, and changes nothing else.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Instant;

use commerce_kernel::storage::sql::border::{ColumnType, Prepared, vocabulary};
use serde_json::Value;

use crate::engines::{Answer, Engine};
use crate::generator::{Generator, kinds};
use crate::shop;

/// How many statements each engine is asked, and how many if nobody says.
const STATEMENTS: &str = "COMMERCE_TEST_STATEMENTS";
const USUAL_STATEMENTS: usize = 20_000;
const STORES: [i64; 3] = [1, 2, 3];
/// The one whose statements run.
const STORE: i64 = 2;

const DATA: &[&str] = &[
    "insert into categories (id, parent_id, name) values ('books', 'root', 'Books'), ('bikes', 'root', 'Bikes'), ('road', 'bikes', 'it''s Road')",
    "insert into items (id, category_id, title, note, price, stock, active, data, created_at) values
       ('i1', 'bikes', 'Bike', null, 1000, 5, true, '{\"k\": \"v\", \"o\": {\"p\": [1, 2]}, \"b\": true}', '2026-01-03T00:00:00.5Z'),
       ('i2', 'books', 'atlas', 'x', 250, 0, true, '{\"k\": 7}', '2026-01-02T00:00:00Z'),
       ('i3', null, '50% off', 'B', 1000, 2, false, '{\"k\": null, \"b\": false}', '2026-01-02T00:00:00.25Z'),
       ('i4', 'books', 'it''s b', 'a', 0, 9, true, '{}', '2026-01-01T00:00:00Z')",
    "insert into lines (order_id, position, item_id, quantity) values ('o1', 1, 'i1', 2), ('o1', 2, 'i2', 1), ('o2', 1, 'i1', 1), ('b', 3, 'i4', 10)",
];

/// What makes the other stores' rows tempting: the same ids, other values, and some ids of their own.
const DIFFERENT: &[&str] = &[
    "update items set price = price + 7, stock = 3, title = title || ' elsewhere', active = not active, note = coalesce(note, 'a') || id",
    "update lines set quantity = quantity + 100",
    "insert into items (id, title) values ('a', 'b%')",
    "insert into lines (order_id, position, item_id, quantity) values ('o9', 7, 'a', 1), ('a', 1, 'a', 5)",
];

const TABLES: &[&str] = &[
    "select id, category_id, title, note, price, stock, active, data from items order by id",
    "select order_id, position, item_id, quantity from lines order by order_id, position",
    "select id, parent_id, name from categories order by id",
];

/// Both worlds on one connection: the sliced tables with three stores, and plain ones with the rows of one.
async fn worlds(engine: &mut Engine) {
    let border = shop::border();
    engine.migrate(&shop::shop(), &STORES).await;
    for store in STORES {
        let more: &[&str] = if store == STORE { &[] } else { DIFFERENT };
        for text in DATA.iter().chain(more) {
            let prepared = border.prepare(text).expect("the data is accepted");
            engine
                .run(&prepared, store, &[])
                .await
                .unwrap_or_else(|error| panic!("{}: {error}\n{text}", engine.name()));
        }
    }
    let (plain, copies): (&str, fn(&str) -> String) = match engine {
        Engine::Sqlite(_) => (include_str!("fixtures/plain_sqlite.sql"), |table| {
            format!("\"shop.{table}\"")
        }),
        Engine::Postgres(_) => (include_str!("fixtures/plain_postgres.sql"), |table| {
            format!("\"shop\".\"{table}\"")
        }),
    };
    engine.raw(plain).await.expect("the plain tables are made");
    let columns = [
        ("categories", "id, parent_id, name"),
        (
            "items",
            "id, category_id, title, note, price, stock, weight, active, tags, data, photo, created_at, sold_at",
        ),
        ("lines", "order_id, position, item_id, quantity"),
    ];
    for (table, columns) in columns {
        let copy = format!(
            "insert into {table} ({columns}) select {columns} from {} where store_id = {STORE}",
            copies(table)
        );
        engine.raw(&copy).await.expect("the rows are copied");
    }
}

/// The rows of the sliced tables as one store sees them, or of the plain ones.
async fn rows(engine: &mut Engine, store: Option<i64>) -> Vec<Answer> {
    static CHECKS: LazyLock<Vec<Prepared>> = LazyLock::new(|| {
        let border = shop::border();
        TABLES
            .iter()
            .map(|text| border.prepare(text).expect("the check is accepted"))
            .collect()
    });
    let mut all = Vec::new();
    for (text, prepared) in TABLES.iter().zip(CHECKS.iter()) {
        all.push(match store {
            Some(store) => engine
                .run(prepared, store, &[])
                .await
                .expect("the sliced rows are read"),
            None => engine
                .execute(text, &kinds(&prepared.columns), &[], None)
                .await
                .expect("the plain rows are read"),
        });
    }
    all
}

fn words(text: &str, seen: &mut BTreeSet<String>) {
    let mut quoted = None;
    let mut word = String::new();
    for letter in text.chars().chain([' ']) {
        match quoted {
            Some(quote) => {
                if letter == quote {
                    quoted = None;
                }
            }
            None if letter == '\'' || letter == '"' => quoted = Some(letter),
            None if letter.is_ascii_alphanumeric() || letter == '_' => word.push(letter),
            None => {
                seen.insert(std::mem::take(&mut word));
            }
        }
    }
}

fn statements() -> usize {
    match std::env::var(STATEMENTS) {
        Ok(number) => number
            .replace('_', "")
            .parse()
            .expect("COMMERCE_TEST_STATEMENTS is a number"),
        Err(_) => USUAL_STATEMENTS,
    }
}

async fn agrees(mut engine: Engine) {
    let statements = statements();
    worlds(&mut engine).await;
    let border = shop::border();
    let mut generator = Generator::new(20_261_122);
    let mut seen = BTreeSet::new();
    let others = (rows(&mut engine, Some(1)).await, rows(&mut engine, Some(3)).await);
    let (mut failed, mut changed, mut answered) = (0, 0, 0);
    let started = Instant::now();
    engine.raw("savepoint sliced").await.expect("a savepoint");
    for number in 0..statements {
        let statement = generator.statement();
        let [text, postgres, sqlite] = &statement.texts;
        let prepared = border
            .prepare(text)
            .unwrap_or_else(|refusal| panic!("{number}: {refusal}\n{text}"));
        words(&prepared.postgres, &mut seen);
        words(&prepared.sqlite, &mut seen);
        let plain = match engine {
            Engine::Sqlite(_) => sqlite,
            Engine::Postgres(_) => postgres,
        };
        let context = || {
            format!(
                "statement {number}\n{text}\n{:?}\nplain    {plain}\npostgres {}\nsqlite   {}",
                statement.arguments, prepared.postgres, prepared.sqlite
            )
        };

        let sliced = engine.run(&prepared, STORE, &statement.arguments).await;
        if sliced.is_err() {
            engine.raw("rollback to sliced").await.expect("back to the savepoint");
        }
        let expected = engine.execute(plain, &kinds(&prepared.columns), &[], None).await;
        match (sliced, expected) {
            (Ok(mut sliced), Ok(mut expected)) => {
                if !statement.ordered {
                    sort(&mut sliced.rows);
                    sort(&mut expected.rows);
                }
                assert_eq!(sliced, expected, "{}", context());
                answered += usize::from(!sliced.rows.is_empty());
                if statement.writes && sliced.changed > 0 {
                    changed += 1;
                    assert_eq!(
                        rows(&mut engine, Some(STORE)).await,
                        rows(&mut engine, None).await,
                        "{}",
                        context()
                    );
                    let after = (rows(&mut engine, Some(1)).await, rows(&mut engine, Some(3)).await);
                    assert!(after == others, "another store was changed by {}", context());
                }
            }
            (Err(_), Err(_)) => failed += 1,
            (Ok(_), Err(error)) => panic!("only the plain statement fails: {error}\n{}", context()),
            (Err(error), Ok(_)) => {
                panic!("only the sliced statement fails: {error}\n{}", context())
            }
        }
        let again = "rollback to sliced; release sliced; savepoint sliced";
        engine.raw(again).await.expect("back to the savepoint");
    }
    println!(
        "{}: {answered} answered with rows, {changed} changed rows, {failed} failed on both, {:?}",
        engine.name(),
        started.elapsed()
    );
    assert!(
        answered > statements / 3 && changed > statements / 20,
        "too little was tried"
    );
    assert!(failed < statements / 5, "too much failed to prove anything");
    let kinds_of_null = ["bytea"];
    let missing: Vec<_> = vocabulary()
        .iter()
        .filter(|word| !seen.contains(**word) && !kinds_of_null.contains(word))
        .collect();
    assert!(missing.is_empty(), "the generator never reached {missing:?}");
}

fn sort(rows: &mut [Vec<Value>]) {
    rows.sort_by_cached_key(|row| format!("{row:?}"));
}

#[tokio::test]
async fn random_statements_do_on_a_slice_what_they_would_do_alone_on_sqlite() {
    agrees(Engine::sqlite().await).await;
}

#[tokio::test]
async fn random_statements_do_on_a_slice_what_they_would_do_alone_on_postgres() {
    agrees(Engine::postgres().await).await;
}

/// The wall between kinds: whatever a column holds, its recorded kind decodes it.
#[test]
fn every_column_kind_is_known_before_a_statement_runs() {
    let prepared = shop::border().prepare("select * from items").expect("accepted");
    assert!(prepared.columns.iter().all(|column| column.kind.is_some()));
    assert_eq!(prepared.columns[6].kind, Some(ColumnType::Double));
}
