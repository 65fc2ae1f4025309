//! Who may call what, and what a refusal says.

use crate::served::Served;

const JAKARTA: (&str, &str) = ("x-store", "jakarta");

#[tokio::test(flavor = "multi_thread")]
async fn access_is_what_the_route_declares() {
    let served = Served::impolite(&[]).await;
    let stranger = served.send("GET", "/api/impolite/staff", &[JAKARTA], "").await;
    assert_eq!(
        (
            stranger.status,
            stranger.code().as_str(),
            stranger.header("www-authenticate")
        ),
        (401, "unauthenticated", Some("Bearer"))
    );

    let body = r#"{"email": "ann@example.com", "password": "correct horse battery"}"#;
    assert_eq!(
        served.send("POST", "/api/auth/register", &[JAKARTA], body).await.status,
        201
    );
    let customer = format!("Bearer {}", served.login("jakarta", "ann@example.com").await);
    let answer = served
        .send(
            "GET",
            "/api/impolite/staff",
            &[JAKARTA, ("authorization", &customer)],
            "",
        )
        .await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"));
    assert_eq!(
        served
            .send(
                "GET",
                "/api/impolite/customers",
                &[JAKARTA, ("authorization", &customer)],
                ""
            )
            .await
            .status,
        204
    );

    let owner = format!("Bearer {}", served.login("jakarta", "owner@jakarta.example").await);
    assert_eq!(
        served
            .send("GET", "/api/impolite/staff", &[JAKARTA, ("authorization", &owner)], "")
            .await
            .status,
        204
    );
    // Of another store it is nobody's token, also where anyone may come in.
    for path in ["/api/impolite/staff", "/api/impolite/echo"] {
        let foreign = served
            .send("GET", path, &[("x-store", "bandung"), ("authorization", &owner)], "")
            .await;
        assert_eq!(
            (foreign.status, foreign.code().as_str()),
            (401, "invalid_token"),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_works_with_a_token_that_has_to_be_replaced() {
    let served = Served::impolite(&[]).await;
    let body = r#"{"email": "owner@jakarta.example", "password": "correct horse battery"}"#;
    let answer = served
        .send(
            "POST",
            "/api/auth/login",
            &[JAKARTA, ("authorization", "Bearer stale")],
            body,
        )
        .await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_passwords_is_limited_by_address() {
    let served = Served::with(&[("COMMERCE_RATE_LIMITS_SIGN_IN_PER_ADDRESS", "3")]).await;
    served.store("jakarta").await;
    let mut last = None;
    for guess in 0..4 {
        let body = format!(r#"{{"email": "guess{guess}@example.com", "password": "wrong password"}}"#);
        last = Some(served.send("POST", "/api/auth/login", &[], &body).await);
    }
    let last = last.unwrap();
    assert_eq!((last.status, last.code().as_str()), (429, "rate_limited"));
    assert!(last.header("retry-after").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_body_is_said_without_repeating_it() {
    let served = Served::start().await;
    served.store("jakarta").await;
    let cases = [
        (r#"{"email": "a@b.example", "#, 400, "invalid_json"),
        (
            r#"{"email": "a@b.example", "email": "c@d.example", "password": "x"}"#,
            400,
            "invalid_json",
        ),
        (r#"{"email": 7, "password": "a secret of mine"}"#, 422, "invalid_body"),
        (
            r#"{"email": "a@b.example", "password": "a secret of mine", "role": "owner"}"#,
            422,
            "invalid_body",
        ),
    ];
    for (body, status, code) in cases {
        let answer = served.send("POST", "/api/auth/login", &[], body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}");
        assert!(!answer.body.contains("a secret of mine"));
    }
    let form = served
        .send("POST", "/api/auth/login", &[("content-type", "text/plain")], "{}")
        .await;
    assert_eq!((form.status, form.code().as_str()), (415, "unsupported_media_type"));
}

/// What is never looked at proves nothing: no route, no store, or the question of a browser.
#[tokio::test(flavor = "multi_thread")]
async fn a_made_up_token_is_no_way_around_the_limit_of_an_address() {
    let served = Served::with(&[
        ("COMMERCE_RATE_LIMITS_PER_ADDRESS", "2"),
        ("COMMERCE_RATE_LIMITS_SPARED", ""),
    ])
    .await;
    let made_up = ("authorization", "Bearer made.up.token");
    let browsers = [
        made_up,
        ("origin", "https://shop.example"),
        ("access-control-request-method", "GET"),
    ];
    let mut statuses = Vec::new();
    for _ in 0..2 {
        statuses.push(served.send("GET", "/nowhere", &[made_up], "").await.status);
        statuses.push(served.send("GET", "/api/store", &[made_up], "").await.status);
        statuses.push(served.send("OPTIONS", "/healthz", &browsers, "").await.status);
    }
    assert_eq!(statuses, [404, 404, 429, 429, 429, 429]);
}

/// No engine could store it, and one answers 500 where the other cuts the text.
#[tokio::test(flavor = "multi_thread")]
async fn no_text_with_a_nul_gets_as_far_as_a_statement() {
    let served = Served::impolite(&[]).await;
    let knocked = served
        .send("POST", "/api/impolite/knocks", &[JAKARTA], r#"{"who": "a\u0000b"}"#)
        .await;
    assert_eq!((knocked.status, knocked.code().as_str()), (422, "invalid_body"));
    assert_eq!(knocked.json()["errors"][0]["pointer"], "/who");
    for path in ["/api/impolite/kept?colour=a%00", "/api/impolite/echo?unknown%00=1"] {
        let asked = served.send("GET", path, &[JAKARTA], "").await;
        assert_eq!((asked.status, asked.code().as_str()), (422, "invalid_query"), "{path}");
    }
    let told = served.send("GET", "/api/impolite/rude/a%00b", &[JAKARTA], "").await;
    assert_eq!(told.status, 400);
}
