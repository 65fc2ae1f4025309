//! SIGTERM: what runs is finished, what comes later goes elsewhere.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::books::Books;
use crate::crowd::{busy_kernel_with, carts};
use crate::on_each_engine;

on_each_engine! {
    async fn a_kernel_told_to_stop_says_so_finishes_what_it_began_and_exits_well(engine) {
        // Time for a balancer to notice: the listener stays open meanwhile.
        let mut kernel = busy_kernel_with(engine, &[("COMMERCE_HTTP_SHUTDOWN_DELAY_MS", "1500")]).await;
        let store = kernel.store("jakarta", "IDR").await;
        let lamp = store.goods(&store.owner().await, "Lamp", 90_000, 100).await;
        let carts = carts(&store, 32, |_| vec![(lamp.clone(), 1)]).await;
        let readyz = format!("{}/readyz", kernel.url);
        assert_eq!(reqwest::get(&readyz).await.expect("a running kernel").status(), 200);

        let mut sending = JoinSet::new();
        for cart in carts {
            sending.spawn(async move { cart.client.post("/api/transactions", cart.checkout_body()).await });
        }
        // The first is answered, the others are under way.
        let first = sending.join_next().await.expect("32 of them").expect("an answer");
        let watching = tokio::spawn(readiness(readyz));
        assert_eq!(kernel.terminate().await, Some(0));
        let statuses = watching.await.expect("the watcher");
        assert_eq!(statuses.last(), Some(&503), "turned away while the listener was still open: {statuses:?}");

        let mut answers = vec![first];
        answers.extend(sending.join_all().await);
        for answer in &answers {
            answer.expect(201);
        }
        let mut books = Books::open(&kernel).await;
        books.must_balance().await;
        assert_eq!(books.number("select count(*) from [transaction.transactions]").await, 32);
    }
}

/// What `/readyz` answers until nothing listens any more.
async fn readiness(url: String) -> Vec<u16> {
    let began = Instant::now();
    let mut statuses = Vec::new();
    while began.elapsed() < Duration::from_secs(20) {
        // A connection of its own each time, as a balancer's probe.
        match reqwest::Client::new().get(&url).send().await {
            Ok(answer) => statuses.push(answer.status().as_u16()),
            Err(_) => break,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    statuses.dedup();
    statuses
}
