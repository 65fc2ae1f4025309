//! Calls of one tree share one unit of work, what they announce included.

use serde_json::json;

use crate::kernel::TestKernel;
use crate::packages;

async fn kernel() -> TestKernel {
    let kernel = TestKernel::start().await;
    kernel.install(packages::misbehaving()).await;
    kernel.install(packages::relay()).await;
    kernel
}

#[tokio::test(flavor = "multi_thread")]
async fn a_joined_call_that_fails_takes_the_whole_unit_with_it() {
    let kernel = kernel().await;
    for how in ["panic", "odd_problem", "loop"] {
        let error = kernel.post("/api/relay/pass-on", json!({ "how": how })).await;
        assert!(
            error.is_err(),
            "{how}: the caller answered well, and yet it must not commit"
        );
        assert_eq!(kernel.marks("before").await, 0, "{how}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nested_transaction_survives_the_callees_failure() {
    let kernel = kernel().await;
    let answer = kernel
        .post("/api/relay/survive", json!({ "how": "panic" }))
        .await
        .unwrap();
    assert_eq!(
        String::from_utf8(answer.body).unwrap(),
        "\"1, then Some(\\\"plugin_failed\\\")\""
    );
    assert_eq!(kernel.marks("before").await, 1);
    assert_eq!(kernel.marks("panic").await, 0);
    let announced: Vec<_> = kernel
        .announced
        .events
        .lock()
        .iter()
        .map(|event| event.payload.clone())
        .collect();
    assert_eq!(
        announced,
        ["\"kept\""],
        "what was announced in the rolled-back part is taken back"
    );
}
