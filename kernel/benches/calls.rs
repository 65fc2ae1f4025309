//! How many calls of a trivial handler the sandbox answers, a fresh instance each: `cargo bench -p commerce-kernel --bench calls`.
//! Prints JSON.

#[path = "../tests/plugins/kernel.rs"]
#[allow(dead_code)]
mod kernel;
#[path = "../tests/plugins/packages.rs"]
#[allow(dead_code)]
mod packages;

use std::sync::Arc;
use std::time::{Duration, Instant};

use commerce_kernel::plugins::{HandleRequest, PluginsConfig};
use commerce_kernel::storage::sql::Mode;

use self::kernel::TestKernel;

const DURATION: Duration = Duration::from_secs(3);
const TASKS_PER_THREAD: usize = 4;

fn main() {
    let mut rates = serde_json::Map::new();
    for threads in [1, 4] {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .build();
        let rate = runtime.expect("a runtime").block_on(rate(threads));
        rates.insert(format!("calls_per_second_{threads}_threads"), rate.into());
    }
    println!("{}", serde_json::Value::Object(rates));
}

async fn rate(threads: usize) -> u64 {
    let kernel = TestKernel::with(PluginsConfig::default()).await;
    kernel.install(packages::misbehaving()).await;
    let kernel = Arc::new(kernel);
    let until = Instant::now() + DURATION;
    let tasks: Vec<_> = (0..threads * TASKS_PER_THREAD)
        .map(|_| tokio::spawn(call_until(kernel.clone(), until)))
        .collect();
    let mut calls = 0;
    for task in tasks {
        calls += task.await.expect("a task");
    }
    calls / DURATION.as_secs()
}

async fn call_until(kernel: Arc<TestKernel>, until: Instant) -> u64 {
    let installed = kernel.plugins.installed();
    let plugin = installed.plugin("misbehaving").expect("the plugin");
    let operation = plugin.descriptor.routes[0].operation.clone();
    let mut calls = 0;
    while Instant::now() < until {
        let tree = kernel.tree(Mode::Reading);
        let path = vec!["nothing".to_owned()];
        let request = HandleRequest {
            operation: operation.clone(),
            path,
            ..HandleRequest::default()
        };
        kernel.plugins.handle(&tree, plugin, request).await.expect("an answer");
        tree.abandon().await;
        calls += 1;
        tokio::task::coop::consume_budget().await;
    }
    calls
}
