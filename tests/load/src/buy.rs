//! Checkout: from a cart to a transaction.

use std::time::Duration;

use anyhow::{Context as _, Result};
use commerce_harness::{Engine, Goods, GuestCart};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::client::{CONNECTIONS, Call, Speed, each_once, round};
use crate::{Bench, OPEN_DOORS, note, postgres, ratio, replay};

/// Checkouts of each measurement.
const CHECKOUTS: usize = 640;

pub async fn measure(bench: &mut Bench) -> Result<Value> {
    let owner = bench.store.owner().await;
    let mut shelf = Vec::with_capacity(CONNECTIONS);
    for number in 0..CONNECTIONS {
        shelf.push(
            bench
                .store
                .goods(&owner, &format!("Bench {number}"), 10_000, 1_000_000)
                .await,
        );
    }
    note("  carts");
    let spread = carts(bench, &shelf, CHECKOUTS).await?;
    let same = carts(bench, &shelf[..1], CHECKOUTS).await?;
    let of_many = check_out(bench, &spread).await?;
    let of_one = check_out(bench, &same).await?;
    let mut report = json!({
        "checkout": of_many.json(),
        "checkout_of_one_variant": of_one.json(),
        "64_variants_to_one": ratio(of_many.per_second(), of_one.per_second(), ">= 2"),
    });
    if bench.engine == Engine::Postgres {
        beside_a_replay(bench, &shelf, of_many, &mut report).await?;
    }
    Ok(report)
}

/// The same checkouts, recorded from a kernel, done again by nothing but statements on a copy of the database.
async fn beside_a_replay(bench: &mut Bench, shelf: &[Goods], ours: Speed, report: &mut Value) -> Result<()> {
    let url = bench.sql_url().context("PostgreSQL")?;
    note("  recording");
    let carts = carts(bench, shelf, CHECKOUTS).await?;
    bench.kernel.kill().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let copies = [
        commerce_harness::postgres::copy_of(&url).await,
        commerce_harness::postgres::copy_of(&url).await,
    ];
    postgres::log_statements(&url, true).await?;
    bench.kernel.restart_with(&OPEN_DOORS).await;
    let from = postgres::log_length();
    check_out(bench, &carts).await?;
    let recorded = replay::checkouts(postgres::read_log(from)?);
    postgres::log_statements(&url, false).await?;
    bench.kernel.restart_with(&OPEN_DOORS).await;

    let statements: usize = recorded.iter().map(Vec::len).sum();
    let texts: Vec<&str> = recorded
        .first()
        .map(|one| one.iter().map(|statement| statement.text.as_str()).collect())
        .unwrap_or_default();
    report["recorded_checkouts"] = json!(recorded.len());
    report["statements_per_checkout"] =
        json!({ "reached": round(statements as f64 / recorded.len().max(1) as f64), "aim": "<= 15", "each": texts });
    note("  replaying");
    let with_all = replay::replay(&copies[0], &recorded, CONNECTIONS).await?;
    let with_pool = replay::replay(&copies[1], &recorded, 16).await?;
    report["statements_alone_64_connections_per_second"] = json!(with_all.round());
    report["statements_alone_16_connections_per_second"] = json!(with_pool.round());
    report["checkout_to_statements_alone"] = ratio(ours.per_second(), with_all.max(with_pool), ">= 0.6");
    Ok(())
}

async fn carts(bench: &Bench, shelf: &[Goods], count: usize) -> Result<Vec<GuestCart>> {
    let mut making = JoinSet::new();
    let mut made = Vec::with_capacity(count);
    for number in 0..count {
        if making.len() == 16 {
            made.extend(making.join_next().await.transpose()?);
        }
        let (store, goods) = (bench.store.clone(), shelf[number % shelf.len()].clone());
        making.spawn(async move { store.cart_with(&[(&goods, 1)]).await });
    }
    made.extend(making.join_all().await);
    Ok(made)
}

async fn check_out(bench: &Bench, carts: &[GuestCart]) -> Result<Speed> {
    let calls = carts.iter().map(|cart| {
        let key = format!("bench-{}", cart.id);
        let headers = vec![
            ("x-store", "bench".to_owned()),
            ("x-cart-token", cart.token.clone()),
            ("idempotency-key", key),
        ];
        Call::post("/api/transactions", headers, &cart.checkout_body())
    });
    each_once(&bench.kernel.url, calls.collect(), CONNECTIONS, 201).await
}
