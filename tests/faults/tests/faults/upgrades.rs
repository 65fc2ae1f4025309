//! A plugin is replaced while everybody uses it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use commerce_harness::{Client, Goods, Store, TestKernel};
use tokio::task::JoinSet;

use crate::books::Books;
use crate::crowd::busy_kernel;
use crate::next_product::{self, MARKER};
use crate::on_each_engine;

on_each_engine! {
    async fn product_is_upgraded_and_rolled_back_under_load_and_no_request_fails(engine) {
        let next = tokio::task::spawn_blocking(next_product::package).await.expect("a build").display().to_string();
        let kernel = busy_kernel(engine).await;
        let store = kernel.store("jakarta", "IDR").await;
        let lamp = store.goods(&store.owner().await, "Lamp", 90_000, 10_000).await;
        assert_eq!(listed_by(&store).await, "this");

        let load = Load::start(&store, &lamp);
        tokio::time::sleep(Duration::from_secs(1)).await;
        run(&kernel, &["plugin", "upgrade", &next, "--yes"]).await;
        switched_to("next", &store).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        run(&kernel, &["plugin", "rollback", "product"]).await;
        // On tables that have a column more by now.
        switched_to("this", &store).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let seen = load.stop().await;
        assert!(seen.by_this > 10 && seen.by_next > 10 && seen.checkouts > 2, "the load met both versions: {seen:?}");
        println!("{engine:?}: {seen:?}, none failed");
        Books::open(&kernel).await.must_balance().await;
    }
}

async fn run(kernel: &TestKernel, arguments: &[&str]) {
    let output = kernel.commerce(arguments).await;
    assert_eq!(output.code, 0, "commerce {}: {}", arguments.join(" "), output.stderr);
}

/// Requests go to the new version a moment after the command: a node builds its routes beside the old ones.
async fn switched_to(version: &str, store: &Store) {
    let began = Instant::now();
    while listed_by(store).await != version {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "the other version still answers"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Which version answers a listing that no cache can have.
async fn listed_by(store: &Store) -> &'static str {
    version(&store.guest()).await
}

async fn version(client: &Client) -> &'static str {
    let listed = client
        .get(&format!(
            "/api/products?max_price={}",
            rand::random_range(1_000_000..1_000_000_000)
        ))
        .await;
    let vendor = listed.expect(200)["items"][0]["vendor"].as_str().expect("a vendor");
    if vendor.starts_with(MARKER) { "next" } else { "this" }
}

/// Customers who browse and buy, from now until told to stop. Any answer but a good one is a panic.
struct Load {
    stopped: Arc<AtomicBool>,
    customers: JoinSet<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    by_this: usize,
    by_next: usize,
    checkouts: usize,
}

impl Load {
    fn start(store: &Store, goods: &Goods) -> Load {
        let stopped = Arc::new(AtomicBool::new(false));
        let mut customers = JoinSet::new();
        for _ in 0..6 {
            let (client, goods, stopped) = (store.guest(), goods.clone(), stopped.clone());
            customers.spawn(async move {
                let mut seen = Seen::default();
                while !stopped.load(Ordering::Relaxed) {
                    match version(&client).await {
                        "next" => seen.by_next += 1,
                        _ => seen.by_this += 1,
                    }
                    client
                        .get(&format!("/api/products/{}", goods.product_id))
                        .await
                        .expect(200);
                }
                seen
            });
        }
        for _ in 0..2 {
            let (store, goods, stopped) = (store.clone(), goods.clone(), stopped.clone());
            customers.spawn(async move {
                let mut seen = Seen::default();
                while !stopped.load(Ordering::Relaxed) {
                    let cart = store.cart_with(&[(&goods, 1)]).await;
                    cart.client
                        .post("/api/transactions", cart.checkout_body())
                        .await
                        .expect(201);
                    seen.checkouts += 1;
                }
                seen
            });
        }
        Load { stopped, customers }
    }

    async fn stop(self) -> Seen {
        self.stopped.store(true, Ordering::Relaxed);
        self.customers
            .join_all()
            .await
            .into_iter()
            .fold(Seen::default(), |sum, seen| Seen {
                by_this: sum.by_this + seen.by_this,
                by_next: sum.by_next + seen.by_next,
                checkouts: sum.checkouts + seen.checkouts,
            })
    }
}
