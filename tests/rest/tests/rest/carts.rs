//! Carts: totals, quantities, merging.

use commerce_harness::on_both_engines;
use serde_json::json;

on_both_engines! {
    async fn totals_follow_the_source_of_prices(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let lamp = store.goods(&owner, "Lamp", 1_000, 5).await;
        let cart = store.cart_with(&[(&lamp, 2)]).await;
        let path = format!("/api/carts/{}", cart.id);
        assert_eq!(cart.client.get(&path).await.expect(200)["totals"]["subtotal"], store.money(2_000));
        let variant = format!("/api/variants/{}", lamp.variant_id);
        owner.client.patch(&variant, json!({ "price": store.money(1_500) })).await.expect(200);
        assert_eq!(cart.client.get(&path).await.expect(200)["totals"]["subtotal"], store.money(3_000));
    }
}

on_both_engines! {
    async fn the_same_variant_twice_is_one_line_and_zero_removes_it(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let lamp = store.goods(&store.owner().await, "Lamp", 1_000, 50).await;
        let cart = store.empty_cart().await;
        let items = format!("/api/carts/{}/items", cart.id);
        let line = json!({ "variant_id": lamp.variant_id, "quantity": 1 });
        cart.client.post(&items, line.clone()).await;
        let twice = cart.client.post(&items, line).await;
        assert_eq!(twice.body["items"].as_array().unwrap().len(), 1, "{}", twice.text);
        assert_eq!(twice.body["items"][0]["quantity"], 2);
        let item = format!("{items}/{}", twice.text_at("/items/0/id"));
        assert_eq!(cart.client.patch(&item, json!({ "quantity": 7 })).await.expect(200)["items"][0]["quantity"], 7);
        assert_eq!(cart.client.patch(&item, json!({ "quantity": -1 })).await.status, 422);
        let emptied = cart.client.delete(&item).await;
        assert_eq!(emptied.expect(200)["items"], json!([]));
    }
}

on_both_engines! {
    async fn a_guests_cart_becomes_the_customers_at_sign_in(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let lamp = store.goods(&owner, "Lamp", 1_000, 50).await;
        let chair = store.goods(&owner, "Chair", 2_000, 50).await;
        let customer = store.customer().await;
        let own = customer.client.post("/api/carts", json!({})).await;
        let add = |path: String, client: commerce_harness::Client, variant: String, quantity: i64| async move {
            client.post(&path, json!({ "variant_id": variant, "quantity": quantity })).await
        };
        let own_items = format!("/api/carts/{}/items", own.text_at("/id"));
        add(own_items, customer.client.clone(), lamp.variant_id.clone(), 1).await;
        let guest = store.empty_cart().await;
        let guest_items = format!("/api/carts/{}/items", guest.id);
        add(guest_items.clone(), guest.client.clone(), lamp.variant_id.clone(), 2).await;
        add(guest_items, guest.client.clone(), chair.variant_id.clone(), 1).await;

        let merged = customer.client.with("x-cart-token", &guest.token).post("/api/carts", json!({})).await;
        assert!(merged.status == 200 || merged.status == 201, "{}", merged.text);
        let quantity = |variant: &str| {
            merged.body["items"].as_array().unwrap().iter().find(|i| i["variant_id"] == variant).unwrap()["quantity"].clone()
        };
        assert_eq!((quantity(&lamp.variant_id), quantity(&chair.variant_id)), (json!(3), json!(1)));
        let over = guest.client.get(&format!("/api/carts/{}", guest.id)).await;
        assert!(over.status == 404 || over.body["items"] == json!([]), "{}", over.text);
    }
}

on_both_engines! {
    async fn coupons_reduce_the_total_within_their_limits(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let lamp = store.goods(&owner, "Lamp", 1_000, 50).await;
        let coupon = owner.client
            .post("/api/coupons", json!({ "code": "TEN", "kind": "percent", "percent": 10, "limit_total": 1 }))
            .await;
        coupon.expect(201);
        let redeem = async || {
            let cart = store.cart_with(&[(&lamp, 3)]).await;
            (cart.client.post(&format!("/api/carts/{}/coupons", cart.id), json!({ "code": "ten" })).await, cart)
        };
        let (applied, cart) = redeem().await;
        assert_eq!(applied.expect(200)["totals"]["discount"], store.money(300));
        let (also_applied, second) = redeem().await;
        also_applied.expect(200);
        cart.client.post("/api/transactions", cart.checkout_body()).await.expect(201);
        let exhausted = second.client.post("/api/transactions", second.checkout_body()).await;
        assert_eq!(exhausted.status, 422, "{}", exhausted.text);
        let expired = owner.client
            .post("/api/coupons", json!({ "code": "OLD", "kind": "percent", "percent": 10,
                                          "ends_at": "2020-01-01T00:00:00Z" }))
            .await;
        expired.expect(201);
        let cart = store.cart_with(&[(&lamp, 1)]).await;
        let refused = cart.client.post(&format!("/api/carts/{}/coupons", cart.id), json!({ "code": "OLD" })).await;
        refused.expect_problem(422, "coupon_expired");
    }
}

on_both_engines! {
    async fn an_ordered_cart_is_closed(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let lamp = store.goods(&store.owner().await, "Lamp", 1_000, 5).await;
        let cart = store.cart_with(&[(&lamp, 1)]).await;
        cart.client.post("/api/transactions", cart.checkout_body()).await.expect(201);
        let items = format!("/api/carts/{}/items", cart.id);
        let line = json!({ "variant_id": lamp.variant_id, "quantity": 1 });
        cart.client.post(&items, line).await.expect_problem(409, "cart_closed");
        cart.client.post("/api/transactions", cart.checkout_body()).await.expect_problem(409, "cart_closed");
    }
}
