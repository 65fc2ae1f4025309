//! The same request twice does one thing.

use commerce_harness::on_both_engines;
use reqwest::Method;
use serde_json::json;

on_both_engines! {
    async fn the_same_key_gives_the_first_answer_again(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let lamp = store.goods(&store.owner().await, "Lamp", 1_000, 5).await;
        let cart = store.cart_with(&[(&lamp, 1)]).await;
        let send = || cart.client.send(
            Method::POST, "/api/transactions", Some(cart.checkout_body()), &[("idempotency-key", "checkout-1")],
        );
        let first = send().await;
        first.expect(201);
        let second = send().await;
        assert_eq!(second.expect(201), &first.body);
        let product = store.guest().get(&format!("/api/products/{}", lamp.product_id)).await;
        assert_eq!(product.body["variants"][0]["available"], 4, "reserved once");
    }
}

on_both_engines! {
    async fn the_same_key_with_another_body_is_refused(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let client = store.customer().await.client.with("idempotency-key", "one");
        client.post("/api/carts", json!({})).await.expect(201);
        let other = client.post("/api/carts", json!({ "currency": "IDR" })).await;
        other.expect_problem(422, "idempotency_key_reused");
    }
}

on_both_engines! {
    async fn a_key_belongs_to_its_caller_and_its_store(kernel: TestKernel) {
        let (jakarta, bandung) = kernel.two_stores().await;
        let cart = async |client: commerce_harness::Client| {
            let answer = client.with("idempotency-key", "shared").post("/api/carts", json!({})).await;
            answer.expect(201);
            answer.text_at("/id")
        };
        let ana = cart(jakarta.customer().await.client).await;
        let budi = cart(jakarta.customer().await.client).await;
        let citra = cart(bandung.customer().await.client).await;
        assert!(ana != budi && budi != citra);
    }
}

on_both_engines! {
    async fn thirty_two_at_once_with_one_key_make_one_transaction(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let lamp = store.goods(&store.owner().await, "Lamp", 1_000, 50).await;
        let cart = store.cart_with(&[(&lamp, 1)]).await;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..32 {
            let cart = cart.clone();
            tasks.spawn(async move {
                let headers = [("idempotency-key", "same")];
                cart.client.send(Method::POST, "/api/transactions", Some(cart.checkout_body()), &headers).await
            });
        }
        let mut ids = std::collections::BTreeSet::new();
        while let Some(answer) = tasks.join_next().await {
            let answer = answer.unwrap();
            match answer.status {
                201 => { ids.insert(answer.text_at("/id")); }
                409 => { answer.expect_problem(409, "request_in_flight"); }
                other => panic!("{other}: {}", answer.text),
            }
        }
        assert_eq!(ids.len(), 1);
        let product = store.guest().get(&format!("/api/products/{}", lamp.product_id)).await;
        assert_eq!(product.body["variants"][0]["available"], 49);
    }
}
