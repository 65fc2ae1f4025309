//! The plugins that the tests play: one with many kinds of tables, and one that reads a view of it.

use std::sync::Arc;

use commerce_kernel::storage::sql::border::{Border, ForeignView, Migration, Schema, View, plan_migration};

const SHOP: &str = include_str!("fixtures/shop.sql");
const REVIEW: &str = include_str!("fixtures/review.sql");

pub fn shop() -> Migration {
    let empty = Schema::empty("shop").expect("a plain name");
    plan_migration(&empty, "0001_shop.sql", SHOP).expect("the shop's migration is accepted")
}

pub fn review() -> Migration {
    let empty = Schema::empty("review").expect("a plain name");
    plan_migration(&empty, "0001_review.sql", REVIEW).expect("the review plugin's migration is accepted")
}

/// The shop's border, with one view of the review plugin granted.
pub fn border() -> Border {
    let text = "select r.item_id, avg(r.stars) as average, count(*) as ratings from ratings r group by r.item_id";
    let view = View {
        name: "averages".to_owned(),
        text: text.to_owned(),
    };
    let review = review()
        .schema_after
        .with_views(vec![view])
        .expect("the view is accepted");
    let granted = review.views.iter().map(|view| ForeignView {
        plugin: review.plugin.clone(),
        name: view.name.clone(),
        text: view.text.clone(),
        schema: Arc::new(review.clone()),
    });
    Border::new(Arc::new(shop().schema_after), granted.collect())
}
