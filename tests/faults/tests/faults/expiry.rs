//! Jobs outlive the process that was to run them.

use std::time::Duration;

use commerce_harness::{Engine, Person};
use serde_json::Value;

use crate::books::Books;
use crate::crowd::busy_kernel;
use crate::on_each_engine;

on_each_engine! {
    async fn an_unpaid_transaction_expires_although_the_kernel_died_before_its_time(engine) {
        let mut kernel = busy_kernel(engine).await;
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let lamp = store.goods(&owner, "Lamp", 90_000, 5).await;
        let cart = store.cart_with(&[(&lamp, 2)]).await;
        let placed = cart.client.post("/api/transactions", cart.checkout_body()).await;
        placed.expect(201);

        kernel.kill().await;
        let mut books = Books::open(&kernel).await;
        make_due(&mut books, engine).await;
        kernel.restart().await;

        let id = placed.text_at("/id");
        let expired = when(&owner, &id, |transaction| transaction["status"] == "expired").await;
        assert_eq!(expired["payment_status"], "awaiting");
        books.must_balance().await;
        assert_eq!(books.number("select sum(on_hand - reserved) from [product.stock]").await, 5, "given back, once");

        // Killed again after the job ended: it is not run twice.
        kernel.restart().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        books.must_balance().await;
        let releases = "select count(*) from [product.stock_ledger] where kind = 'release'";
        assert_eq!(books.number(releases).await, 1);
    }
}

/// A day passes for what waits in the queue.
async fn make_due(books: &mut Books, engine: Engine) {
    let past = match engine {
        Engine::Sqlite => "'2020-01-01T00:00:00.000000Z'",
        Engine::Postgres => "timestamptz '2020-01-01T00:00:00Z'",
    };
    let moved = books
        .execute(&format!(
            "update [kernel.jobs] set due_at = {past}, run_at = {past} where plugin = 'transaction' and name = 'expire'"
        ))
        .await;
    assert_eq!(moved, 1, "the checkout scheduled its expiry");
}

async fn when(owner: &Person, id: &str, reached: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..200 {
        let seen = owner.client.get(&format!("/api/transactions/{id}")).await;
        if reached(seen.expect(200)) {
            return seen.body;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{id} did not get there in time");
}
