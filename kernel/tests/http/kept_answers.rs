//! Answers from the response cache, and attempts to poison it.

use crate::served::{Answer, Served};

const PATH: &str = "/api/impolite/kept";

async fn kept(served: &Served, path: &str, headers: &[(&str, &str)]) -> Answer {
    let headers: Vec<_> = [("x-store", "jakarta")]
        .into_iter()
        .filter(|(name, _)| !headers.iter().any(|(given, _)| given == name))
        .chain(headers.iter().copied())
        .collect();
    let answer = served.send("GET", path, &headers, "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_client_gets_the_same_answer_until_it_is_invalidated() {
    let served = Served::impolite(&[]).await;
    let first = kept(&served, PATH, &[]).await;
    assert!(first.header("cache-tag").is_none());
    let second = kept(&served, PATH, &[]).await;
    assert_eq!(
        (second.body.as_str(), second.header("age")),
        (first.body.as_str(), Some("0"))
    );
    let known = served
        .send(
            "GET",
            PATH,
            &[("x-store", "jakarta"), ("if-none-match", first.header("etag").unwrap())],
            "",
        )
        .await;
    assert_eq!(known.status, 304);
    assert_eq!(
        served
            .send("POST", "/api/impolite/forget", &[("x-store", "bandung")], "")
            .await
            .status,
        204
    );
    assert_eq!(kept(&served, PATH, &[]).await.body, first.body);
    assert_eq!(
        served
            .send("POST", "/api/impolite/forget", &[("x-store", "jakarta")], "")
            .await
            .status,
        204
    );
    assert_ne!(kept(&served, PATH, &[]).await.body, first.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undeclared_header_or_a_token_cannot_poison_what_others_get() {
    let served = Served::impolite(&[]).await;
    let token = format!("Bearer {}", served.login("jakarta", "owner@jakarta.example").await);
    let poisoned = kept(
        &served,
        PATH,
        &[
            ("x-untold", "evil"),
            ("x-forwarded-host", "evil.example"),
            ("authorization", &token),
        ],
    )
    .await
    .json();
    assert_eq!((poisoned[2].as_str(), poisoned[3].as_bool()), (Some(""), Some(false)));
    assert_eq!(kept(&served, PATH, &[]).await.json(), poisoned);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_answer_depends_on_is_in_its_key() {
    let served = Served::impolite(&[]).await;
    let first = kept(&served, PATH, &[]).await.body;
    let declared = kept(&served, PATH, &[("x-told", "red")]).await.json();
    assert_eq!(declared[1], "red");
    assert_ne!(kept(&served, PATH, &[("x-store", "bandung")]).await.body, first);
    let queried = kept(&served, "/api/impolite/kept?colour=blue&other=1", &[]).await.body;
    assert_eq!(
        kept(&served, "/api/impolite/kept?other=1&colour=blue", &[]).await.body,
        queried
    );
    assert_eq!(
        served
            .send(
                "GET",
                "/api/impolite/kept?colour=a&colour=b",
                &[("x-store", "jakarta")],
                ""
            )
            .await
            .code(),
        "invalid_query"
    );
    assert_eq!(kept(&served, PATH, &[]).await.body, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_answer_is_compressed_for_those_who_take_it() {
    let served = Served::impolite(&[]).await;
    let plain = kept(&served, PATH, &[]).await;
    assert_eq!(plain.header("content-encoding"), None);
    let told = "a long word ".repeat(200);
    let long = [("x-told", told.as_str()), ("accept-encoding", "gzip")];
    for _ in 0..2 {
        assert_eq!(
            kept(&served, PATH, &long).await.header("content-encoding"),
            Some("gzip")
        );
    }
    assert_eq!(kept(&served, PATH, &long[..1]).await.header("content-encoding"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_sets_is_seen_at_once() {
    let served = Served::impolite(&[]).await;
    let first = kept(&served, PATH, &[]).await.body;
    let jakarta = served.stores.by_slug("jakarta").unwrap().number;
    let nothing = serde_json::json!({});
    served
        .plugins
        .set_settings("impolite", jakarta, &nothing)
        .await
        .unwrap();
    let mut waited = 0;
    while kept(&served, PATH, &[]).await.body == first {
        waited += 1;
        assert!(waited < 200, "an answer made with the former settings is still given");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
