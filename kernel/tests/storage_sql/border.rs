//! What the border prints, run for real: the second wall must not stand in the way of anything that the first one lets
//! through.

use std::sync::Arc;

use commerce_kernel::storage::sql::border::{Border, ForeignView, Schema, View, plan_migration};
use commerce_kernel::storage::sql::{Answer, Engine, Mode, PluginMigration};

use crate::on_both_engines;
use crate::world::{World, args};

on_both_engines! {
    everything_the_border_accepts_passes_the_wall,
    the_largest_texts_that_the_border_accepts_run,
}

const ACCEPTED: &str = include_str!("../border/fixtures/accepted.sql");

async fn everything_the_border_accepts_passes_the_wall(engine: Engine) {
    let world = World::new(engine).await;
    let shop = migrate(&world, "shop", include_str!("../border/fixtures/shop.sql")).await;
    // A view that an operator granted reaches another plugin's table.
    let text = "select r.item_id, avg(r.stars) as average, count(*) as ratings from ratings r group by r.item_id";
    let view = View {
        name: "averages".into(),
        text: text.into(),
    };
    let reviews = migrate(&world, "review", include_str!("../border/fixtures/review.sql")).await;
    let reviews = Arc::new(reviews.with_views(vec![view.clone()]).unwrap());
    let granted = ForeignView {
        plugin: "review".into(),
        name: view.name,
        text: view.text,
        schema: reviews,
    };
    let border = Border::new(Arc::new(shop), vec![granted]);
    let access = world.sql.access("shop", 12);
    let (mut ran, mut failed) = (0, Vec::new());
    for case in ACCEPTED.split("-- name: ").skip(1) {
        let (name, rest) = case.split_once('\n').unwrap();
        let (arguments, text) = match rest
            .strip_prefix("-- arguments: ")
            .and_then(|rest| rest.split_once('\n'))
        {
            Some((arguments, text)) => (as_sent(serde_json::from_str(arguments).unwrap()), text),
            None => (serde_json::json!([]), rest),
        };
        // Whether it is accepted is the subject of the border's own tests.
        let Ok(prepared) = border.prepare(text.trim()) else {
            continue;
        };
        let mut work = world.work(Mode::Changing);
        let outcome = work
            .statement(&access, &prepared, &args(arguments), world.limits())
            .await;
        match outcome {
            Ok(Answer::Rows(_)) => assert!(!prepared.columns.is_empty(), "{name}"),
            Ok(Answer::Affected(_)) => assert!(prepared.columns.is_empty(), "{name}"),
            // There are no rows for it to refer to here.
            Err(commerce_kernel::storage::sql::SqlError::Constraint(_)) => {}
            Err(error) => failed.push(format!("{name}: {error:?}\n{}\n{}", prepared.postgres, prepared.sqlite)),
        }
        work.abandon().await;
        ran += 1;
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(ran > 40, "{ran}");
}

async fn migrate(world: &World, plugin: &str, text: &str) -> Schema {
    let planned = plan_migration(&Schema::empty(plugin).unwrap(), "0001.sql", text).unwrap();
    let migration = PluginMigration {
        file: "0002.sql".into(),
        checksum: "1".into(),
        steps: planned.steps,
    };
    world
        .sql
        .apply_plugin_migrations(plugin, &[migration], &[1], &[])
        .await
        .unwrap();
    planned.schema_after
}

/// The engines' own limits differ, and are met by the border's: what it lets through runs on both, or on neither.
async fn the_largest_texts_that_the_border_accepts_run(engine: Engine) {
    let world = World::new(engine).await;
    let shop = migrate(&world, "shop", include_str!("../border/fixtures/shop.sql")).await;
    let border = Border::new(Arc::new(shop), Vec::new());
    let access = world.sql.access("shop", 12);
    let list = |part: &str, separator: &str, times: usize| vec![part; times].join(separator);
    let numbered = |times: usize| {
        (1..=times)
            .map(|number| format!("${number}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let nested = |times: usize| format!("{}1{}", "(1 + ".repeat(times), ")".repeat(times));
    let mut largest = 0;
    for (name, make) in [
        (
            "arguments",
            &(|n: usize| format!("select id from items where id in ({})", numbered(n))) as &dyn Fn(usize) -> String,
        ),
        ("or", &|n: usize| {
            format!("select id from items where {}", list("id = 'x'", " or ", n))
        }),
        ("and", &|n: usize| {
            format!("select id from items where {}", list("stock > 1", " and ", n))
        }),
        ("or of and", &|n: usize| {
            let inner = list("stock > 1", " and ", 20);
            format!(
                "select id from items where {}",
                list(&format!("({inner} and not ({inner}))"), " or ", n)
            )
        }),
        ("concat", &|n: usize| format!("select {} as a", list("'x'", " || ", n))),
        ("nested", &|n: usize| format!("select {} as a", nested(n))),
        ("union", &|n: usize| list("select 1 as a", " union all ", n)),
        ("values", &|n: usize| {
            format!(
                "insert into categories (id, name) values {}",
                list("('x', 'y')", ", ", n)
            )
        }),
        ("columns", &|n: usize| {
            format!("select {} from items", list("id", ", ", n))
        }),
        ("keys", &|n: usize| {
            format!("select id from items order by {}", list("title", ", ", n))
        }),
        ("groups", &|n: usize| {
            format!("select count(*) as n from items group by {}", list("title", ", ", n))
        }),
        ("sources", &|n: usize| {
            let from: Vec<_> = (0..n).map(|number| format!("items i{number}")).collect();
            format!("select i0.* from {} where i0.id = 'none'", from.join(" cross join "))
        }),
        ("all of many sources", &|n: usize| {
            let from: Vec<_> = (0..n).map(|number| format!("items i{number}")).collect();
            format!("select * from {} where i0.id = 'none'", from.join(" cross join "))
        }),
        ("in", &|n: usize| {
            format!("select id from items where id in ({})", list("'x'", ", ", n))
        }),
        ("case", &|n: usize| {
            format!("select case {} end as a", list("when true then 1", " ", n))
        }),
        ("greatest", &|n: usize| {
            format!(
                "select {}1{} as a from items",
                "greatest(price, ".repeat(n),
                ")".repeat(n)
            )
        }),
    ] {
        let accepted = [1_999, 1_000, 600, 300, 100, 60, 50, 40, 30, 20, 10, 5]
            .into_iter()
            .find_map(|times| border.prepare(&make(times)).ok().map(|prepared| (times, prepared)));
        let Some((times, prepared)) = accepted else {
            panic!("{name}: nothing is accepted")
        };
        largest += times;
        let mut work = world.work(Mode::Changing);
        let arguments = serde_json::Value::from(vec!["x"; prepared.arguments]);
        let outcome = work
            .statement(&access, &prepared, &args(arguments), world.limits())
            .await;
        let constrained = matches!(outcome, Err(commerce_kernel::storage::sql::SqlError::Constraint(_)));
        assert!(outcome.is_ok() || constrained, "{name}, {times} times: {outcome:?}");
        work.abandon().await;
    }
    assert!(largest > 5_000, "{largest}");
}

/// JSON documents travel as text.
fn as_sent(arguments: serde_json::Value) -> serde_json::Value {
    let values = arguments.as_array().expect("an array of arguments").iter();
    values
        .map(|value| {
            if value.is_array() || value.is_object() {
                value.to_string().into()
            } else {
                value.clone()
            }
        })
        .collect()
}
