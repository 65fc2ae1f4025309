//! Every accepted fixture runs on both engines, on the data of three stores, and both answer the same.

use serde_json::Value;

use crate::engines::{Answer, Engine};
use crate::fixtures;
use crate::shop;

const STORES: [i64; 3] = [1, 2, 3];

/// Rows that differ from store to store under the same ids.
async fn fill(engine: &mut Engine) {
    let border = shop::border();
    for store in STORES {
        for text in [
            "insert into categories (id, parent_id, name) values ('books', 'root', 'Books'), ('bikes', 'root', 'Bikes'), ('road', 'bikes', 'Road')",
            "insert into items (id, category_id, title, note, price, stock, weight, active, data, created_at) values
               ('i1', 'bikes', 'Bike', null, 1000, 5, 12.5, true, '{\"size\": {\"x\": 1}, \"colour\": \"red\", \"n\": 1.50, \"yes\": true, \"list\": [\"p\", 2], \"nothing\": null}', '2026-01-03T00:00:00.5Z'),
               ('i2', 'books', 'atlas', 'x', 250, 0, null, true, '{}', '2026-01-02T00:00:00Z'),
               ('i3', null, '50% off', 'B', 1000, 2, 0.5, false, '{\"n\": \"text\"}', '2026-01-02T00:00:00.25Z'),
               ('i4', 'books', '!% Zebra', 'a', 0, 9, null, true, '{}', '2026-01-01T00:00:00Z')",
            "insert into lines (order_id, position, item_id, quantity) values ('o1', 1, 'i1', 2), ('o1', 2, 'i2', 1), ('o2', 1, 'i1', 1)",
        ] {
            let prepared = border.prepare(text).expect("the data is accepted");
            engine.run(&prepared, store, &[]).await.unwrap_or_else(|error| panic!("{}: {error}\n{}", engine.name(), prepared.postgres));
        }
        let text = "update items set title = title || $1, stock = stock + $2 where id <> 'i1'";
        let prepared = border.prepare(text).expect("the data is accepted");
        let differs = [
            Value::from(if store == 1 { "" } else { " elsewhere" }),
            Value::from(100 * (store - 1)),
        ];
        engine.run(&prepared, store, &differs).await.expect("the stores differ");
    }
}

#[tokio::test]
async fn what_is_printed_runs_on_both_engines_and_answers_the_same() {
    let border = shop::border();
    let mut failures: Vec<String> = Vec::new();
    let mut first: Option<Vec<(String, Answer)>> = None;
    for mut engine in Engine::all().await {
        engine.migrate(&shop::shop(), &STORES).await;
        engine.migrate(&shop::review(), &STORES).await;
        fill(&mut engine).await;
        let mut answers = Vec::new();
        for fixture in fixtures::accepted() {
            let Ok(prepared) = border.prepare(&fixture.text) else {
                continue;
            };
            engine.raw("savepoint before").await.expect("a savepoint");
            let answer = engine.run(&prepared, 1, &fixture.arguments).await;
            engine.raw("rollback to before").await.expect("the savepoint is there");
            let mut answer = match answer {
                Ok(answer) => answer,
                Err(error) => {
                    failures.push(format!(
                        "{} on {}: {error}\n{}\n{}",
                        fixture.name,
                        engine.name(),
                        prepared.postgres,
                        prepared.sqlite
                    ));
                    continue;
                }
            };
            if prepared.writes && !fixture.text.contains("for update") {
                answer.rows.sort_by_key(|row| format!("{row:?}"));
            }
            answers.push((fixture.name, answer));
        }
        match &first {
            None => {
                insta::assert_snapshot!(report(&answers));
                first = Some(answers);
            }
            Some(first) => {
                for (name, one) in first {
                    let other = answers
                        .iter()
                        .find(|(other, _)| other == name)
                        .map(|(_, answer)| answer);
                    if other.is_some_and(|other| other != one) {
                        failures.push(format!("{name}:\nsqlite   {one:?}\npostgres {other:?}"));
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn report(answers: &[(String, Answer)]) -> String {
    let mut report = String::new();
    for (name, answer) in answers {
        report.push_str(&format!("## {name}: {}\n", answer.changed));
        for row in &answer.rows {
            let values: Vec<String> = row.iter().map(Value::to_string).collect();
            report.push_str(&format!("{}\n", values.join(" | ")));
        }
        report.push('\n');
    }
    report
}
