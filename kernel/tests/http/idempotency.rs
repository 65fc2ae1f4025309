//! A change that is sent again has one effect.

use std::sync::Arc;

use crate::served::{Answer, Served};

const KNOCKS: &str = "/api/impolite/knocks";
const STAGED: &str = "/api/impolite/staged-knocks";

async fn knock(served: &Served, path: &str, key: &str, who: &str, more: &[(&str, &str)]) -> Answer {
    let mut headers = vec![("idempotency-key", key)];
    headers.extend_from_slice(more);
    if !more.iter().any(|(name, _)| *name == "x-store") {
        headers.push(("x-store", "jakarta"));
    }
    served
        .send("POST", path, &headers, &format!(r#"{{"who": "{who}"}}"#))
        .await
}

fn count(answer: &Answer) -> i64 {
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["count"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_answer_comes_again_and_nothing_is_done_twice() {
    let served = Served::impolite(&[]).await;
    for path in [KNOCKS, STAGED] {
        let first = knock(&served, path, "a-key-of-ann-0001", "ann", &[]).await;
        let again = knock(&served, path, "a-key-of-ann-0001", "ann", &[]).await;
        assert_eq!(
            (again.status, &again.body, again.header("location")),
            (201, &first.body, first.header("location")),
            "{path}"
        );
        assert_eq!(
            (
                first.header("idempotency-replayed"),
                again.header("idempotency-replayed")
            ),
            (None, Some("true"))
        );
        assert_eq!(
            count(&knock(&served, path, "a-key-of-ann-0002", "ann", &[]).await),
            count(&first) + 1
        );
        let other = knock(&served, path, "a-key-of-ann-0001", "ben", &[]).await;
        assert_eq!((other.status, other.code().as_str()), (422, "idempotency_key_reused"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_good_for_one_caller_in_one_store() {
    let served = Served::impolite(&[]).await;
    let first = count(&knock(&served, KNOCKS, "a-key-of-ann-0001", "ann", &[]).await);
    let owner = format!("Bearer {}", served.login("jakarta", "owner@jakarta.example").await);
    let owners = knock(
        &served,
        KNOCKS,
        "a-key-of-ann-0001",
        "ann",
        &[("authorization", &owner)],
    )
    .await;
    assert_eq!(count(&owners), first + 1);
    // Who shows another proof is somebody else, from the same address too.
    for (token, expected) in [("door-a", first + 2), ("door-b", first + 3), ("door-a", first + 2)] {
        assert_eq!(
            count(&knock(&served, KNOCKS, "a-key-of-ann-0001", "ann", &[("x-door-token", token)]).await),
            expected
        );
    }
    let elsewhere = knock(&served, KNOCKS, "a-key-of-ann-0001", "ann", &[("x-store", "bandung")]).await;
    assert_eq!((count(&elsewhere), elsewhere.header("idempotency-replayed")), (1, None));
}

/// All who share an address are one caller to a key: what one of them was answered may hold a token.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_who_guesses_a_key_is_not_given_another_guests_answer() {
    let served = Served::impolite(&[]).await;
    for path in [KNOCKS, STAGED] {
        let first = count(&knock(&served, path, "order-1", "ann", &[]).await);
        let guessed = knock(&served, path, "order-1", "ann", &[]).await;
        assert_eq!(
            (guessed.status, guessed.code().as_str()),
            (422, "idempotency_key_reused"),
            "{path}"
        );
        assert_eq!(
            count(&knock(&served, path, "order-2", "ann", &[]).await),
            first + 1,
            "done once"
        );
        // Whoever shows a proof is told apart by it.
        for replayed in [None, Some("true")] {
            let proven = knock(&served, path, "order-1", "ann", &[("x-door-token", "door-a")]).await;
            let seen = proven.header("idempotency-replayed");
            assert!(path == STAGED || seen == replayed, "{seen:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_leaves_nothing_and_frees_its_key() {
    let served = Served::impolite(&[]).await;
    for (path, already) in [(KNOCKS, 0), (STAGED, 1)] {
        for _ in 0..2 {
            let refused = knock(&served, path, "a-key-of-ann-0001", "nobody", &[]).await;
            assert_eq!(
                (refused.code().as_str(), refused.header("idempotency-replayed")),
                ("nobody_there", None),
                "{path}"
            );
        }
        assert_eq!(
            count(&knock(&served, path, "a-key-of-ann-0001", "ann", &[]).await),
            already + 1,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_at_once_are_one() {
    let served = Arc::new(Served::impolite(&[]).await);
    for path in [KNOCKS, STAGED] {
        let key = path.replace('/', "-");
        let asked: Vec<_> = (0..20)
            .map(|_| {
                let (served, key) = (served.clone(), key.clone());
                tokio::spawn(async move { knock(&served, path, &key, "ann", &[]).await })
            })
            .collect();
        let mut done = std::collections::BTreeSet::new();
        for answer in asked {
            let answer = answer.await.unwrap();
            match answer.status {
                201 => _ = done.insert(answer.body),
                _ => assert_eq!(
                    (answer.status, answer.code().as_str(), answer.header("retry-after")),
                    (409, "request_in_flight", Some("1"))
                ),
            }
        }
        assert_eq!(done.len(), 1, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_agree_on_who_was_first() {
    let url = commerce_harness::postgres::database().await;
    let one = Served::on(Some(&url), &[]).await;
    one.install("impolite").await;
    one.store("jakarta").await;
    let two = Arc::new(Served::on(Some(&url), &[]).await);
    let one = Arc::new(one);
    for path in [KNOCKS, STAGED] {
        for round in 0..10 {
            let key = format!("{}{round}", path.replace('/', "-"));
            let asked: Vec<_> = [&one, &two, &one, &two]
                .into_iter()
                .map(|node| {
                    let (node, key) = (node.clone(), key.clone());
                    tokio::spawn(async move { knock(&node, path, &key, "ann", &[]).await })
                })
                .collect();
            let mut done = std::collections::BTreeSet::new();
            for answer in asked {
                let answer = answer.await.unwrap();
                match answer.status {
                    201 => _ = done.insert(answer.body),
                    _ => assert_eq!(answer.code(), "request_in_flight"),
                }
            }
            assert_eq!(done.len(), 1, "{path} {round}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_to_be_a_key() {
    let served = Served::impolite(&[]).await;
    let long = "k".repeat(256);
    for key in ["", "two words", long.as_str()] {
        assert_eq!(
            knock(&served, KNOCKS, key, "ann", &[]).await.code(),
            "invalid_header",
            "{key:?}"
        );
    }
    let twice = knock(&served, KNOCKS, "a", "ann", &[("idempotency-key", "b")]).await;
    assert_eq!(twice.code(), "invalid_header");
}
