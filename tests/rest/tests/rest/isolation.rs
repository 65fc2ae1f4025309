//! Nothing of one store is good in another.

use commerce_harness::kernel::PASSWORD;
use commerce_harness::on_both_engines;
use serde_json::json;

on_both_engines! {
    async fn a_token_of_one_store_is_refused_in_another(kernel: TestKernel) {
        let (jakarta, bandung) = kernel.two_stores().await;
        let customer = jakarta.customer().await;
        let foreign = customer.client.with("x-store", "bandung");
        assert_eq!(foreign.get("/api/auth/me").await.status, 401);
        let refreshed = bandung.guest().post("/api/auth/refresh", json!({ "refresh_token": customer.refresh_token })).await;
        assert_eq!(refreshed.status, 401);
        // The same address is another account there.
        let login = bandung.guest().post("/api/auth/login", json!({ "email": customer.email, "password": PASSWORD })).await;
        assert_eq!(login.status, 401);
    }
}

on_both_engines! {
    async fn an_owner_of_one_store_is_nobody_in_another(kernel: TestKernel) {
        let (jakarta, bandung) = kernel.two_stores().await;
        let goods = bandung.goods(&bandung.owner().await, "Lamp", 1_000, 1).await;
        let intruder = jakarta.owner().await.client.with("x-store", "bandung");
        let patch = intruder.patch(&format!("/api/products/{}", goods.product_id), json!({ "title": "Mine" })).await;
        assert_eq!(patch.status, 401);
    }
}

on_both_engines! {
    async fn products_carts_and_transactions_do_not_cross(kernel: TestKernel) {
        let (jakarta, bandung) = kernel.two_stores().await;
        let owner = jakarta.owner().await;
        let lamp = jakarta.goods(&owner, "Lamp", 1_000, 5).await;
        let cart = jakarta.cart_with(&[(&lamp, 1)]).await;
        let crossing = cart.client.with("x-store", "bandung");
        crossing.get(&format!("/api/products/{}", lamp.product_id)).await.expect_problem(404, "unknown_product");
        crossing.get(&format!("/api/carts/{}", cart.id)).await.expect_problem(404, "not_found");
        let checkout = crossing.post("/api/transactions", cart.checkout_body()).await;
        checkout.expect_problem(404, "not_found");
        let theirs = bandung.empty_cart().await;
        let line = json!({ "variant_id": lamp.variant_id, "quantity": 1 });
        let added = theirs.client.post(&format!("/api/carts/{}/items", theirs.id), line).await;
        assert!(matches!(added.status, 404 | 422), "{}", added.text);
        assert_eq!(bandung.guest().get("/api/products").await.expect(200)["items"], json!([]));
    }
}

on_both_engines! {
    async fn another_customers_cart_does_not_exist(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let cart = store.empty_cart().await;
        let path = format!("/api/carts/{}", cart.id);
        store.guest().get(&path).await.expect_problem(404, "not_found");
        store.guest().with("x-cart-token", &"0".repeat(cart.token.len())).get(&path).await.expect_problem(404, "not_found");
        store.customer().await.client.get(&path).await.expect_problem(404, "not_found");
        cart.client.get(&path).await.expect(200);
    }
}
