//! A plugin beside one that misbehaves: it has no error, and is not much slower.

use std::time::{Duration, Instant};

use commerce_harness::kernel::package;
use commerce_harness::{Client, Engine, TestKernel};
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::crowd::{busy_kernel_with, shelf};
use crate::on_each_engine;

/// Calls of each kind at once.
const AT_ONCE: usize = 64;

/// The longest that any of them may go on: its deadline, its turn in the queue, and what a busy machine adds.
const LONGEST: Duration = Duration::from_secs(30);

/// What each call asks for, and whether it is a write.
const MISDEEDS: [(&str, Method); 13] = [
    ("/api/misbehaving/loop", Method::GET),
    ("/api/misbehaving/bomb", Method::GET),
    ("/api/misbehaving/recursion", Method::GET),
    ("/api/misbehaving/panic", Method::GET),
    ("/api/misbehaving/huge_answer", Method::GET),
    ("/api/misbehaving/huge_headers", Method::GET),
    ("/api/misbehaving/chatter", Method::GET),
    ("/api/misbehaving/loop", Method::POST),
    ("/api/greedy/endless_cte", Method::GET),
    ("/api/greedy/cross_join", Method::GET),
    ("/api/greedy/giant_string", Method::GET),
    ("/api/greedy/ten_million_rows", Method::GET),
    ("/api/greedy/hold", Method::POST),
];

on_each_engine! {
    async fn product_answers_on_while_others_misbehave_sixty_four_at_once(engine) {
        let kernel = neighbourhood(engine).await;
        let store = kernel.store("jakarta", "IDR").await;
        shelf(&store, &store.owner().await, 20, 5).await;
        let idle = p99(&listings_for(&store.guest(), Duration::from_secs(2)).await);
        for (path, method) in MISDEEDS {
            let beside = besides(&store.guest(), path, &method).await;
            let ratio = beside.as_secs_f64() / idle.as_secs_f64();
            println!("{engine:?}: p99 of a listing beside {AT_ONCE} x {method} {path}: {beside:.1?}, {ratio:.1} of idle");
        }
    }
}

/// A kernel with the hostile plugins installed, and no kept answers that would hide a slow product.
async fn neighbourhood(engine: Engine) -> TestKernel {
    let kernel = busy_kernel_with(engine, &[("COMMERCE_HTTP_CACHE_MIB", "0")]).await;
    for plugin in ["misbehaving", "greedy"] {
        let output = kernel
            .commerce(&["plugin", "install", &package(plugin).display().to_string(), "--yes"])
            .await;
        assert_eq!(output.code, 0, "{}", output.stderr);
    }
    kernel
}

/// The p99 of listings while the misdeeds go on.
async fn besides(guest: &Client, path: &'static str, method: &Method) -> Duration {
    let mut misdeeds = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (guest, method) = (guest.clone(), method.clone());
        misdeeds.spawn(async move {
            let body = (method == Method::POST).then(|| json!({}));
            let began = Instant::now();
            let answer = guest.send(method, path, body, &[]).await;
            (answer.status, began.elapsed())
        });
    }
    let watching = tokio::spawn({
        let guest = guest.clone();
        async move { listings_for(&guest, Duration::from_millis(1_500)).await }
    });
    for (status, took) in misdeeds.join_all().await {
        assert!(status >= 400 || path.ends_with("/chatter"), "{path} answered {status}");
        assert!(took < LONGEST, "{path} went on for {took:?}");
    }
    p99(&watching.await.expect("no listing failed"))
}

/// How long listings take, four customers asking one after the other.
async fn listings_for(guest: &Client, time: Duration) -> Vec<Duration> {
    let mut customers = JoinSet::new();
    for _ in 0..4 {
        let guest = guest.clone();
        customers.spawn(async move {
            let (began, mut took) = (Instant::now(), Vec::new());
            while began.elapsed() < time {
                let asked = Instant::now();
                guest.get("/api/products?limit=20").await.expect(200);
                took.push(asked.elapsed());
            }
            took
        });
    }
    customers.join_all().await.concat()
}

fn p99(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[(times.len() * 99 / 100).min(times.len() - 1)]
}
