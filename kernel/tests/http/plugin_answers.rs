//! What a plugin may say to a client, and what of a client it is told.

use serde_json::json;

use crate::served::Served;

const JAKARTA: (&str, &str) = ("x-store", "jakarta");

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_cannot_split_an_answer_or_set_what_is_the_kernels() {
    let served = Served::impolite(&[]).await;
    for how in ["split", "cookie", "origin", "frames", "public"] {
        let answer = served
            .send(
                "GET",
                &format!("/api/impolite/rude/{how}"),
                &[JAKARTA, ("origin", "https://shop.example")],
                "",
            )
            .await;
        assert_eq!(answer.status, 200, "{how}: {answer:?}");
        assert!(
            answer.header("set-cookie").is_none() && answer.header("location").is_none(),
            "{how}"
        );
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{how}");
        assert_eq!(answer.header("x-frame-options"), Some("SAMEORIGIN"), "{how}");
        assert!(!answer.header("cache-control").unwrap().contains("public"), "{how}");
    }
    assert_eq!(
        served
            .send("GET", "/api/impolite/rude/error", &[JAKARTA], "")
            .await
            .code(),
        "conflict"
    );
    assert_eq!(
        served
            .send("GET", "/api/impolite/rude/odd", &[JAKARTA], "")
            .await
            .code(),
        "plugin_failed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_told_the_headers_it_declared_and_no_others() {
    let served = Served::impolite(&[]).await;
    let token = format!("Bearer {}", served.login("jakarta", "owner@jakarta.example").await);
    let headers = [
        JAKARTA,
        ("x-told", "a"),
        ("x-untold", "b"),
        ("authorization", token.as_str()),
        ("cookie", "c=d"),
    ];
    let answer = served.send("GET", "/api/impolite/echo", &headers, "").await;
    assert_eq!(answer.json(), json!(["a", null, null, null, null]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_answers_head_and_options_and_refuses_the_rest() {
    let served = Served::impolite(&[]).await;
    let description = served.send("GET", "/openapi.json", &[JAKARTA], "").await.json();
    for (path, item) in description["paths"].as_object().unwrap() {
        let real = path.replace("{how}", "public").replace("{code}", "not_found");
        let options = served.send("OPTIONS", &real, &[JAKARTA], "").await;
        assert_eq!(options.status, 204, "{path}");
        for method in item.as_object().unwrap().keys() {
            assert!(
                options.header("allow").unwrap().contains(&method.to_uppercase()),
                "{path}"
            );
        }
        let wrong = served.send("PROPFIND", &real, &[JAKARTA], "").await;
        assert_eq!(
            (wrong.code().as_str(), wrong.header("allow")),
            ("method_not_allowed", options.header("allow")),
            "{path}"
        );
        if item.get("get").is_some() {
            let (get, head) = (
                served.send("GET", &real, &[JAKARTA], "").await,
                served.send("HEAD", &real, &[JAKARTA], "").await,
            );
            assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_is_switched_off_is_not_there() {
    let served = Served::impolite(&[]).await;
    let number = served.stores.by_slug("bandung").unwrap().number;
    served
        .plugins
        .set_enabled("impolite", Some(number), false)
        .await
        .unwrap();
    assert_eq!(
        served
            .send("GET", "/api/impolite/echo", &[("x-store", "bandung")], "")
            .await
            .code(),
        "not_found"
    );
    assert_eq!(
        served.send("GET", "/api/impolite/echo", &[JAKARTA], "").await.status,
        200
    );
}
