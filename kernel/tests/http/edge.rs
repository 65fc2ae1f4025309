//! What one connection may cost, and how the server lets go.

use std::time::{Duration, Instant};

use crate::served::{Answer, Served};

const HURRIED: [(&str, &str); 3] = [
    ("COMMERCE_HTTP_HEADER_TIMEOUT_MS", "300"),
    ("COMMERCE_HTTP_BODY_TIMEOUT_MS", "300"),
    ("COMMERCE_HTTP_IDLE_TIMEOUT_MS", "900"),
];

#[tokio::test]
async fn a_head_sent_byte_by_byte_is_cut_off() {
    let served = Served::with(&HURRIED).await;
    let mut client = served.connect().await;
    let began = Instant::now();
    let mut sent = 0;
    for byte in b"GET /healthz HTTP/1.1\r\nx-slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        .iter()
        .cycle()
    {
        if !client.try_write(&[*byte]).await || began.elapsed() > Duration::from_secs(5) {
            break;
        }
        sent += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{sent} bytes in {:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_preface_of_http_2_that_never_ends_is_cut_off_too() {
    let served = Served::with(&HURRIED).await;
    let mut client = served.connect().await;
    client.write("PRI * HTTP/2.0\r\n").await;
    let began = Instant::now();
    client.read_to_end().await;
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_408() {
    let served = Served::with(&HURRIED).await;
    served.store("jakarta").await;
    let mut client = served.connect().await;
    client.write("POST /api/auth/logout HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{").await;
    let answer = Answer::parse(&client.read_to_end().await);
    assert_eq!((answer.status, answer.code().as_str()), (408, "request_timeout"));
}

#[tokio::test]
async fn a_quiet_connection_is_kept_for_a_while_and_then_closed() {
    let served = Served::with(&HURRIED).await;
    let mut client = served.connect().await;
    for _ in 0..2 {
        client.write("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        assert_eq!(client.read_answer().await.status, 200);
        // Longer than a head may take: waiting between requests is not sending slowly.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let began = Instant::now();
    client.read_to_end().await;
    assert!(began.elapsed() < Duration::from_secs(3));
}

/// Answering pings is no use of a connection: a client could hold all of them by that.
#[tokio::test]
async fn a_connection_of_http_2_that_only_pings_is_closed_as_well() {
    let served = Served::with(&HURRIED).await;
    let mut client = served.connect().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    // One whole request, GET http://localhost/, so that the connection is no longer one whose head is awaited.
    let head = [0x82, 0x84, 0x86, 0x41, 9];
    let request = [&[0, 0, 14, 1, 5, 0, 0, 0, 1], &head[..], b"localhost"].concat();
    assert!(client.try_write(&[&preface[..], &settings, &request].concat()).await);
    let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    let began = Instant::now();
    while client.try_write(&ping).await {
        assert!(began.elapsed() < Duration::from_secs(5), "it is still open");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        began.elapsed() > Duration::from_millis(500),
        "the request was not understood"
    );
}

#[tokio::test]
async fn giant_and_countless_headers_are_refused() {
    let served = Served::start().await;
    for bytes in [40, 200] {
        let giant = "a".repeat(bytes * 1024);
        let answer = served.send("GET", "/healthz", &[("x-giant", &giant)], "").await;
        assert_eq!(answer.status, 431);
        let query = served.get(&format!("/healthz?{giant}")).await;
        // Far beyond every limit there is no word more than the status.
        if bytes == 40 {
            assert_eq!(
                (answer.code().as_str(), query.code().as_str()),
                ("headers_too_large", "headers_too_large")
            );
            assert!(answer.header("x-request-id").is_some());
        }
    }
    for count in [150, 500] {
        let names: Vec<String> = (0..count).map(|number| format!("x-{number}")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
        let answer = served.send("GET", "/healthz", &many, "").await;
        assert_eq!(answer.status, 431);
        assert!(count > 200 || answer.code() == "headers_too_large");
    }
    assert_eq!(served.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_declared_or_not() {
    let served = Served::with(&[("COMMERCE_HTTP_BODY_KIB", "8")]).await;
    served.store("jakarta").await;
    let mut client = served.connect().await;
    client.write("POST /api/auth/logout HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 99999999\r\n\r\n").await;
    assert_eq!(client.read_answer().await.code(), "body_too_large");
    let mut client = served.connect().await;
    client.write("POST /api/auth/logout HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let chunk = format!("1000\r\n{}\r\n", "a".repeat(4096));
    for _ in 0..64 {
        if !client.try_write(chunk.as_bytes()).await {
            break;
        }
    }
    assert_eq!(Answer::parse(&client.read_to_end().await).code(), "body_too_large");
}

/// What two servers could read differently is answered at most once, and the connection ends.
#[tokio::test]
async fn a_second_request_cannot_be_smuggled_in_a_body() {
    let served = Served::start().await;
    let hidden = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nx-request-id: hidden\r\n\r\n";
    let shapes = [
        // Both lengths.
        format!(
            "POST /healthz HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
        ),
        // Two different lengths.
        format!(
            "POST /healthz HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\ncontent-length: {}\r\n\r\n{hidden}",
            hidden.len()
        ),
        // A length that is no number to everybody.
        format!("POST /healthz HTTP/1.1\r\nhost: localhost\r\ncontent-length: +0\r\n\r\n{hidden}"),
        // Transfer codings that hide `chunked`.
        format!(
            "POST /healthz HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}"
        ),
        format!("POST /healthz HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n{hidden}"),
        // A folded header.
        format!("POST /healthz HTTP/1.1\r\nhost: localhost\r\nx: a\r\n transfer-encoding: chunked\r\n\r\n{hidden}"),
        // A chunk whose length is too large to be one.
        format!(
            "POST /healthz HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n1000000000000000000000\r\n{hidden}"
        ),
    ];
    for shape in shapes {
        let mut client = served.connect().await;
        client.write(&shape).await;
        // So that a connection which is still open is closed by us.
        client.finish_writing().await;
        let answers = client.read_to_end().await;
        assert!(!answers.contains("x-request-id: hidden"), "{shape:?}\n{answers}");
    }
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let served = Served::with(&[("COMMERCE_HTTP_CONNECTIONS_PER_ADDRESS", "3")]).await;
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut client = served.connect().await;
        client.write("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        assert_eq!(client.read_answer().await.status, 200);
        kept.push(client);
    }
    let mut fourth = served.connect().await;
    assert_eq!(fourth.read_to_end().await, "");
    kept.pop();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(served.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_stopping_server_says_so_first_and_closes_quiet_connections() {
    let mut served = Served::with(&[("COMMERCE_HTTP_SHUTDOWN_DELAY_MS", "400")]).await;
    let mut quiet = served.connect().await;
    quiet.write("GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(quiet.read_answer().await.status, 200);
    served.stop();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let answer = served.get("/readyz").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "stopping"));
    assert_eq!(served.get("/healthz").await.status, 200);
    assert_eq!(quiet.read_to_end().await, "");
    served.stopped().await;
}

#[tokio::test]
async fn http_2_without_tls_is_spoken() {
    let served = Served::start().await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let answer = client
        .get(format!("http://{}/healthz", served.address))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.version()),
        (200, reqwest::Version::HTTP_2)
    );
}

/// A store is named by the host: whoever sees another one than we do must not be in between.
#[tokio::test]
async fn a_request_has_one_host() {
    let served = Served::start().await;
    for hosts in ["", "host: a.example\r\nhost: b.example\r\n"] {
        let mut client = served.connect().await;
        client.write(&format!("GET /healthz HTTP/1.1\r\n{hosts}\r\n")).await;
        let answer = client.read_answer().await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "invalid_header"),
            "{hosts:?}"
        );
    }
}

/// What is refused before its body was read: a client that keeps its connection would send its next request into a closed one.
#[tokio::test]
async fn an_unread_body_does_not_take_the_connection_away_without_a_word() {
    let served = Served::start().await;
    let next = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let head = |length: usize, more: &str| {
        format!("POST /nowhere HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n{more}\r\n")
    };
    let mut client = served.connect().await;
    client.write(&head(4, "")).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    client.write("1234").await;
    let answer = client.read_answer().await;
    assert_eq!((answer.status, answer.header("connection")), (404, None));
    client.write(next).await;
    assert_eq!(client.read_answer().await.status, 200);

    for (length, more) in [(10_000_000, ""), (4, ""), (4, "expect: 100-continue\r\n")] {
        let mut client = served.connect().await;
        client.write(&head(length, more)).await;
        let answers = client.read_to_end().await;
        assert!(!answers.contains("100 Continue"), "{answers}");
        assert_eq!(
            Answer::parse(&answers).header("connection"),
            Some("close"),
            "{length} {more:?}"
        );
    }
}
