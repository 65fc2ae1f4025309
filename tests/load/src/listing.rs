//! The product page's statement, taken from the package itself: what native code and pgbench are to run too.

use anyhow::{Context as _, Result};
use commerce_harness::kernel::package;
use commerce_kernel::plugins::Package;
use commerce_kernel::storage::sql::border::{Border, Prepared, Schema};
use commerce_kernel::storage::sql::{Sql, args};
use serde_json::{Value, json};

/// The page that is measured: the newest 20 of all active products.
pub const PATH: &str = "/api/products?limit=20";

/// What the plugin passes for it.
pub fn arguments() -> Vec<Value> {
    let mut arguments = vec![
        json!("active"),
        json!(""),
        json!("~"),
        json!(21),
        json!(0),
        json!(9_007_199_254_740_991_i64),
    ];
    arguments.extend(std::iter::repeat_n(json!(""), 10));
    arguments
}

pub async fn statement(sql: &Sql) -> Result<Prepared> {
    let package = Package::read(std::fs::read(package("product"))?)?;
    let text = package
        .sql
        .iter()
        .find(|text| {
            text.contains("from shelves s")
                && text.contains("order by s.product_id desc")
                && !text.contains("s.product_id in (")
        })
        .context("the product plugin records no statement that lists the newest")?;
    let schema =
        "select k.schema from kernel.plugins p join kernel.packages k on k.digest = p.digest where p.name = $1";
    let row = sql.kernel().fetch_one(schema, &args!["product"]).await?;
    let schema: Schema = serde_json::from_str(&row.get::<String>(0)?)?;
    Border::new(schema.into(), Vec::new())
        .prepare(text)
        .map_err(|refusal| anyhow::anyhow!("{refusal}"))
}
