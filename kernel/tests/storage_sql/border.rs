//! What the border prints, run for real: the second wall must not stand in the way of anything that the first one lets
//! through.

use std::sync::Arc;

use commerce_kernel::storage::sql::border::{Border, ForeignView, Schema, View, plan_migration};
use commerce_kernel::storage::sql::{Answer, Engine, Mode, PluginMigration};

use crate::on_both_engines;
use crate::world::{World, args};

on_both_engines! { everything_the_border_accepts_passes_the_wall }

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
