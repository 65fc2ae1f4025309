//! What the pipeline refuses before a plugin sees it, and what it adds to an answer.

use commerce_harness::on_both_engines;
use reqwest::Method;
use serde_json::json;

on_both_engines! {
    async fn malformed_json_is_400_and_a_wrong_shape_is_422_with_pointers(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let raw = reqwest::Client::new()
            .post(format!("{}/api/auth/login", kernel.url))
            .header("x-store", "jakarta")
            .header("content-type", "application/json")
            .body("{\"email\": ")
            .send()
            .await
            .unwrap();
        assert_eq!(raw.status(), 400);
        let wrong = store.guest().post("/api/auth/login", json!({ "email": 7, "password": "a password" })).await;
        let problem = wrong.expect_problem(422, "invalid_body");
        assert_eq!(problem["errors"][0]["pointer"], "/email");
        assert!(!wrong.text.contains("a password"), "a password is never echoed");
        assert_eq!(problem["request_id"].as_str(), wrong.header("x-request-id"));
    }
}

on_both_engines! {
    async fn a_body_over_the_limit_is_413_and_a_wrong_method_405(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let large = json!({ "email": "a@example.com", "password": "x".repeat(3 << 20) });
        assert_eq!(store.guest().post("/api/auth/login", large).await.status, 413);
        let answer = store.guest().delete("/api/products").await;
        assert_eq!(answer.status, 405);
        assert!(answer.header("allow").unwrap().contains("GET"));
    }
}

on_both_engines! {
    async fn an_unchanged_page_is_304(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let goods = store.goods(&store.owner().await, "Lamp", 1_000, 5).await;
        let path = format!("/api/products/{}", goods.product_id);
        let first = store.guest().get(&path).await;
        let etag = first.header("etag").expect("an ETag").to_owned();
        let again = store.guest().with("if-none-match", &etag).get(&path).await;
        assert_eq!(again.status, 304);
        assert!(again.text.is_empty());
    }
}

on_both_engines! {
    async fn a_browser_may_send_and_read_the_headers_it_needs(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let preflight = store
            .guest()
            .send(
                Method::OPTIONS,
                "/api/carts",
                None,
                &[
                    ("origin", "https://shop.example.com"),
                    ("access-control-request-method", "POST"),
                    ("access-control-request-headers", "x-store,x-cart-token,idempotency-key,if-match"),
                ],
            )
            .await;
        assert!(matches!(preflight.status, 200 | 204), "{}", preflight.text);
        let allowed = preflight.header("access-control-allow-headers").unwrap().to_ascii_lowercase();
        for name in ["x-store", "x-cart-token", "idempotency-key", "if-match"] {
            assert!(allowed.contains(name), "{name} is missing in {allowed}");
        }
        let answer = store.guest().with("origin", "https://shop.example.com").get("/api/store").await;
        let exposed = answer.header("access-control-expose-headers").unwrap().to_ascii_lowercase();
        for name in ["etag", "retry-after", "x-request-id"] {
            assert!(exposed.contains(name), "{name} is missing in {exposed}");
        }
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
}

on_both_engines! {
    async fn a_changed_price_is_seen_at_once_through_the_response_cache(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let goods = store.goods(&owner, "Lamp", 1_000, 5).await;
        let path = format!("/api/products/{}", goods.product_id);
        for _ in 0..3 {
            store.guest().get(&path).await.expect(200);
        }
        let variant = format!("/api/variants/{}", goods.variant_id);
        owner.client.patch(&variant, json!({ "price": store.money(2_000) })).await.expect(200);
        assert_eq!(store.guest().get(&path).await.body["variants"][0]["price"], store.money(2_000));
    }
}
