//! The kernel's own routes and what every answer carries.

use crate::served::Served;

#[tokio::test]
async fn every_answer_has_the_security_headers_and_an_id() {
    let served = Served::start().await;
    for (path, status) in [("/healthz", 200), ("/nowhere", 404), ("/docs", 200)] {
        let answer = served.get(path).await;
        assert_eq!(answer.status, status);
        for name in [
            "content-security-policy",
            "strict-transport-security",
            "x-content-type-options",
            "x-frame-options",
            "referrer-policy",
        ] {
            assert!(answer.header(name).is_some(), "{path} lacks {name}");
        }
        assert!(answer.header("x-request-id").unwrap().starts_with("req_"));
    }
    let answer = served.send("GET", "/healthz", &[("x-request-id", "mine-1")], "").await;
    assert_eq!(answer.header("x-request-id"), Some("mine-1"));
    let answer = served
        .send("GET", "/healthz", &[("x-request-id", "<script>")], "")
        .await;
    assert!(answer.header("x-request-id").unwrap().starts_with("req_"));
}

#[tokio::test]
async fn methods_are_told_and_head_is_get_without_its_body() {
    let served = Served::start().await;
    let wrong = served.send("DELETE", "/healthz", &[], "").await;
    assert_eq!(
        (wrong.status, wrong.code().as_str(), wrong.header("allow")),
        (405, "method_not_allowed", Some("GET, HEAD, OPTIONS"))
    );
    let get = served.get("/healthz").await;
    let head = served.send("HEAD", "/healthz", &[], "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), get.header("content-length"));
    assert_eq!(head.header("etag"), get.header("etag"));
    served.store("jakarta").await;
    let options = served.send("OPTIONS", "/api/auth/me", &[], "").await;
    assert_eq!(
        (options.status, options.header("allow")),
        (204, Some("GET, HEAD, PATCH, OPTIONS"))
    );
}

#[tokio::test]
async fn a_browser_is_told_what_it_may_send_and_read() {
    let served = Served::start().await;
    let asked = [
        ("origin", "https://shop.example"),
        ("access-control-request-method", "POST"),
    ];
    let preflight = served.send("OPTIONS", "/api/auth/login", &asked, "").await;
    assert_eq!(
        (preflight.status, preflight.header("access-control-allow-origin")),
        (204, Some("*"))
    );
    for name in [
        "X-Store",
        "Idempotency-Key",
        "If-Match",
        "Authorization",
        "Content-Type",
    ] {
        assert!(
            preflight.header("access-control-allow-headers").unwrap().contains(name),
            "{name}"
        );
    }
    let answer = served.send("GET", "/nowhere", &asked[..1], "").await;
    for name in ["ETag", "Retry-After", "X-Request-Id"] {
        assert!(
            answer.header("access-control-expose-headers").unwrap().contains(name),
            "{name}"
        );
    }
}

#[tokio::test]
async fn what_the_client_has_is_not_sent_again_and_the_rest_is_compressed() {
    let served = Served::start().await;
    let full = served.get("/docs/page.js").await;
    let tag = full.header("etag").unwrap().to_owned();
    let again = served
        .send("GET", "/docs/page.js", &[("if-none-match", &tag)], "")
        .await;
    assert_eq!(
        (again.status, again.body.as_str(), again.header("etag")),
        (304, "", Some(tag.as_str()))
    );
    let compressed = served
        .send("GET", "/docs/page.js", &[("accept-encoding", "gzip")], "")
        .await;
    assert_eq!(compressed.header("content-encoding"), Some("gzip"));
    assert!(compressed.header("vary").unwrap().contains("Accept-Encoding"));
    assert!(compressed.body.len() < full.body.len());
}

#[tokio::test]
async fn a_problem_leads_to_its_explanation() {
    let served = Served::start().await;
    let problem = served.get("/nowhere").await;
    assert_eq!(problem.code(), "not_found");
    let explained = served.get(problem.json()["type"].as_str().unwrap()).await;
    assert_eq!(
        (explained.status, explained.json()["code"].as_str()),
        (200, Some("not_found"))
    );
}
