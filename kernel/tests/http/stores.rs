//! Which store a request is for.

use crate::served::Served;

#[tokio::test(flavor = "multi_thread")]
async fn the_only_store_needs_no_name_and_two_do() {
    let served = Served::start().await;
    assert_eq!(served.get("/api/store").await.code(), "unknown_store");
    served.store("jakarta").await;
    assert_eq!(served.get("/api/store").await.json()["slug"], "jakarta");
    served.store("bandung").await;
    let unnamed = served.get("/api/store").await;
    assert_eq!((unnamed.status, unnamed.code().as_str()), (404, "unknown_store"));
    assert_eq!(
        served
            .send("GET", "/api/store", &[("x-store", "bandung")], "")
            .await
            .json()["slug"],
        "bandung"
    );
    assert_eq!(
        served
            .send("GET", "/api/store", &[("host", "Jakarta.Example:8080")], "")
            .await
            .json()["slug"],
        "jakarta"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_disagree_are_refused() {
    let served = Served::start().await;
    served.store("jakarta").await;
    let bandung = served.store("bandung").await;
    let key = served
        .auth
        .create_publishable_key(&bandung.store, "web")
        .await
        .unwrap()
        .key
        .expose()
        .clone();
    let by_key = served.send("GET", "/api/store", &[("x-api-key", &key)], "").await;
    assert_eq!(by_key.json()["slug"], "bandung");
    for other in [("x-store", "jakarta"), ("host", "jakarta.example")] {
        let answer = served
            .send("GET", "/api/store", &[("x-api-key", &key), other], "")
            .await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "store_mismatch"));
    }
    let answer = served
        .send(
            "GET",
            "/api/store",
            &[("host", "jakarta.example"), ("x-store", "bandung")],
            "",
        )
        .await;
    assert_eq!(answer.code(), "store_mismatch");
    assert_eq!(
        served
            .send("GET", "/api/store", &[("x-store", "nowhere")], "")
            .await
            .code(),
        "unknown_store"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_host_is_believed_from_a_trusted_proxy_only() {
    let forwarded = [("host", "jakarta.example"), ("x-forwarded-host", "bandung.example")];
    for (proxies, slug) in [("", "jakarta"), ("127.0.0.1/32", "bandung")] {
        let served = Served::with(&[("COMMERCE_HTTP_TRUSTED_PROXIES", proxies)]).await;
        served.store("jakarta").await;
        served.store("bandung").await;
        assert_eq!(
            served.send("GET", "/api/store", &forwarded, "").await.json()["slug"],
            slug
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_store_answers_nothing() {
    let served = Served::start().await;
    let store = served.store("jakarta").await.store;
    served.stores.suspend(&store).await.unwrap();
    assert_eq!(served.get("/api/store").await.code(), "store_suspended");
    served.stores.resume(&store).await.unwrap();
    assert_eq!(served.get("/api/store").await.status, 200);
}
