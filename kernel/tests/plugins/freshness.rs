//! Every call gets an instance that nobody used before: nothing can leak from one customer to the next.

use std::sync::Arc;

use commerce_kernel::plugins::{Event, Job, PluginsConfig};
use commerce_kernel::storage::sql::Mode;
use futures_util::StreamExt;
use serde_json::json;

use crate::kernel::TestKernel;
use crate::packages;

const CALLS: usize = 10_000;

/// Runs this many calls, as many at once as the kernel lets.
async fn all<F>(call: impl Fn(usize) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let calls = futures_util::stream::iter(0..CALLS).map(|number| tokio::spawn(call(number)));
    calls
        .buffer_unordered(200)
        .for_each(|done| async { done.unwrap() })
        .await;
}

async fn kernel() -> Arc<TestKernel> {
    let kernel = TestKernel::with(PluginsConfig {
        queue_wait_ms: 30_000,
        ..PluginsConfig::default()
    })
    .await;
    // Not what is tested here: a machine that runs other tests meanwhile may be slow.
    let patient = packages::with_manifest(&packages::misbehaving(), "deadline_ms = 500", "deadline_ms = 60000");
    kernel.install(patient).await;
    Arc::new(kernel)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_counter_is_one_in_each_of_ten_thousand_requests() {
    let kernel = kernel().await;
    all(|_| {
        let kernel = kernel.clone();
        async move { assert_eq!(kernel.read("/api/misbehaving/nothing").await, json!(1)) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_counter_is_one_in_each_of_ten_thousand_nested_calls() {
    let kernel = kernel().await;
    let patient = packages::with_manifest(&packages::relay(), "deadline_ms = 2000", "deadline_ms = 60000");
    kernel.install(patient).await;
    all(|_| {
        let kernel = kernel.clone();
        async move { assert_eq!(kernel.read("/api/relay/reach/count").await, json!("count 1")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_counter_is_one_in_each_of_ten_thousand_events() {
    let kernel = kernel().await;
    all(|number| {
        let kernel = kernel.clone();
        async move {
            let tree = kernel.tree(Mode::Changing);
            let plugin = kernel.plugins.installed().plugin("misbehaving").unwrap().clone();
            let event = Event {
                id: format!("evt_{number}"),
                publisher: "relay".into(),
                name: "said".into(),
                key: String::new(),
                payload: "\"hello\"".into(),
                occurred_at: 0,
                attempts: 0,
            };
            kernel.plugins.consume(&tree, &plugin, event).await.unwrap();
            tree.commit(Vec::new()).await.unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_counter_is_one_in_each_of_ten_thousand_jobs() {
    let kernel = kernel().await;
    all(|number| {
        let kernel = kernel.clone();
        async move {
            let tree = kernel.tree(Mode::Changing);
            let plugin = kernel.plugins.installed().plugin("misbehaving").unwrap().clone();
            let job = Job {
                id: format!("job_{number}"),
                name: "work".into(),
                key: String::new(),
                payload: "\"hello\"".into(),
                due_at: 0,
                attempts: 0,
            };
            kernel.plugins.run(&tree, &plugin, job).await.unwrap();
            tree.commit(Vec::new()).await.unwrap();
        }
    })
    .await;
}
