//! What a plugin can do to hurt others, and how each of it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use commerce_kernel::http::problem::Problem;
use serde_json::json;

use crate::kernel::TestKernel;
use crate::packages;

async fn kernel() -> Arc<TestKernel> {
    let kernel = TestKernel::start().await;
    kernel.install(packages::hello()).await;
    kernel.install(packages::misbehaving()).await;
    kernel.install(packages::relay()).await;
    Arc::new(kernel)
}

async fn misdeed(kernel: &TestKernel, how: &str) -> Problem {
    kernel.get(&format!("/api/misbehaving/{how}")).await.expect_err(how)
}

fn told(problem: &Problem) -> (u16, &str) {
    (problem.status, problem.code.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_ends_at_its_deadline() {
    let kernel = kernel().await;
    let begun = Instant::now();
    assert_eq!(told(&misdeed(&kernel, "loop").await), (504, "timeout"));
    assert!(begun.elapsed() < Duration::from_millis(3_000), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_bomb_a_recursion_and_a_panic_are_one_failed_request_each() {
    let kernel = kernel().await;
    for how in ["bomb", "recursion", "panic", "bad_prefix"] {
        assert_eq!(told(&misdeed(&kernel, how).await), (500, "plugin_failed"), "{how}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_beyond_its_limit_is_a_failure() {
    let kernel = kernel().await;
    for how in ["huge_answer", "huge_headers"] {
        assert_eq!(told(&misdeed(&kernel, how).await), (500, "plugin_failed"), "{how}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_problem_is_cut_to_what_a_client_can_be_sent() {
    let kernel = kernel().await;
    let problem = misdeed(&kernel, "huge_problem").await;
    assert_eq!(told(&problem), (409, "huge"));
    assert!(problem.detail.len() <= 2_000);
    assert_eq!(told(&misdeed(&kernel, "odd_problem").await), (500, "plugin_failed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn chatter_is_dropped_and_the_call_answered() {
    let kernel = kernel().await;
    assert_eq!(kernel.read("/api/misbehaving/chatter").await, json!(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_request_changed_is_gone() {
    let kernel = kernel().await;
    for how in ["loop", "bomb", "recursion", "panic", "huge_answer", "odd_problem"] {
        kernel
            .post(&format!("/api/misbehaving/{how}"), json!(null))
            .await
            .expect_err(how);
        assert_eq!(kernel.marks(how).await, 0, "{how}");
    }
    kernel.post("/api/misbehaving/nothing", json!(null)).await.unwrap();
    assert_eq!(kernel.marks("nothing").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_may_not_do_is_told_to_it_with_the_line_to_write() {
    let kernel = kernel().await;
    for (what, answer) in [
        ("function_not_asked", "call = [\"misbehaving.read\"]"),
        ("function_of_nobody", "call = [\"nobody.count\"]"),
        ("function_that_writes", "can't be called from a GET"),
        ("providers", "services = [\"shipping@1\"]"),
        ("secret", "secrets = [\"not_mine\"]"),
        ("cache", "cache = true"),
        ("foreign_event", "publish = [\"paid\"]"),
        ("event_from_get", "a GET changes nothing"),
        ("host_not_asked", "http = [\"example.com\"]"),
        ("metadata_service", "private network"),
        ("plain_http", "https://"),
        ("credentials", "credentials"),
    ] {
        let told = kernel.read(&format!("/api/relay/reach/{what}")).await;
        let told = told.as_str().unwrap().replace("\\\"", "\"");
        assert!(told.contains(answer), "{what}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_granted_name_does_not_lead_to_this_machine() {
    let kernel = kernel().await;
    let answer = kernel
        .post("/api/relay/reach/loopback_by_name", json!(null))
        .await
        .unwrap();
    let told = String::from_utf8(answer.body).unwrap();
    assert!(told.contains("no public address"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_calls_itself_comes_to_an_end() {
    let kernel = kernel().await;
    assert_eq!(kernel.read("/api/relay/reach/again").await, json!("depth 7"));
}

/// The neighbour must not notice: no error, and a p99 not far from what it is without them.
#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_of_each_misdeed_at_once_leave_a_neighbour_in_peace() {
    let kernel = kernel().await;
    kernel.post("/api/hello", json!({ "name": "Ani" })).await.unwrap();
    neighbour(&kernel, 500).await;
    let idle = neighbour(&kernel, 2_000).await;
    let attacks: Vec<_> = ["loop", "bomb", "recursion", "panic", "huge_answer", "chatter"]
        .into_iter()
        .flat_map(|how| (0..64).map(move |_| how))
        .map(|how| {
            let kernel = kernel.clone();
            tokio::spawn(async move {
                let until = Instant::now() + Duration::from_secs(4);
                while Instant::now() < until {
                    let _ = kernel.get(&format!("/api/misbehaving/{how}")).await;
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let attacked = neighbour(&kernel, 2_000).await;
    for attack in attacks {
        attack.await.unwrap();
    }
    println!("p99 idle {idle:?}, attacked {attacked:?}");
    assert!(
        attacked < Duration::from_millis(1_000),
        "idle {idle:?}, attacked {attacked:?}"
    );
}

async fn neighbour(kernel: &TestKernel, requests: usize) -> Duration {
    let mut times = Vec::with_capacity(requests);
    for _ in 0..requests {
        let begun = Instant::now();
        kernel.read("/api/hello/Ani").await;
        times.push(begun.elapsed());
    }
    times.sort();
    times[requests * 99 / 100]
}
