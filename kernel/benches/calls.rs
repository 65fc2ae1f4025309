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
        let (rate, cpu) = runtime.expect("a runtime").block_on(rate(threads));
        rates.insert(format!("calls_per_second_{threads}_threads"), rate.into());
        rates.insert(format!("cpu_microseconds_per_call_{threads}_threads"), cpu.into());
    }
    println!("{}", serde_json::Value::Object(rates));
}

/// Calls a second, and the processor time of one call in microseconds: the latter also means something on a machine that
/// is busy with something else.
async fn rate(threads: usize) -> (u64, f64) {
    let kernel = TestKernel::with(PluginsConfig::default()).await;
    kernel.install(packages::misbehaving()).await;
    let kernel = Arc::new(kernel);
    let spent = processor_time();
    let until = Instant::now() + DURATION;
    let tasks: Vec<_> = (0..threads * TASKS_PER_THREAD)
        .map(|_| tokio::spawn(call_until(kernel.clone(), until)))
        .collect();
    let mut calls = 0;
    for task in tasks {
        calls += task.await.expect("a task");
    }
    let spent = processor_time() - spent;
    (calls / DURATION.as_secs(), spent.as_micros() as f64 / calls as f64)
}

/// Of all threads so far, in user and kernel mode: Linux tells it in hundredths of a second.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let after_name = stat.rsplit(") ").next().expect("its fields");
    let fields: Vec<u64> = after_name
        .split(' ')
        .skip(11)
        .take(2)
        .map(|field| field.parse().expect("ticks"))
        .collect();
    Duration::from_millis(fields.iter().sum::<u64>() * 10)
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
