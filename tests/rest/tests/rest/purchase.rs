//! The whole way of one purchase.

use commerce_harness::on_both_engines;
use commerce_harness::store::address;
use serde_json::json;

on_both_engines! {
    async fn a_customer_registers_browses_fills_a_cart_checks_out_and_sees_it_paid(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let bicycle = store.goods(&owner, "Bicycle", 1_500_000, 5).await;
        let customer = store.customer().await;

        let listed = customer.client.get("/api/products?limit=10").await;
        listed.expect(200);
        assert_eq!(listed.text_at("/items/0/id"), bicycle.product_id);
        assert_eq!(listed.body["items"][0]["variants"][0]["price"], store.money(1_500_000));
        assert_eq!(listed.body["items"][0]["variants"][0]["available"], 5);

        let cart = customer.client.post("/api/carts", json!({})).await;
        cart.expect(201);
        let path = format!("/api/carts/{}", cart.text_at("/id"));
        let line = json!({ "variant_id": bicycle.variant_id, "quantity": 2 });
        let filled = customer.client.post(&format!("{path}/items"), line).await;
        assert_eq!(filled.body["totals"]["subtotal"], store.money(3_000_000), "{}", filled.text);
        customer.client.put(&format!("{path}/shipping-address"), address()).await.expect(200);
        let rates = customer.client.get(&format!("{path}/shipping-rates")).await;
        let rate = json!({ "rate_id": rates.text_at("/items/0/id") });
        let ready = customer.client.put(&format!("{path}/shipping-rate"), rate).await;
        let total = ready.expect(200)["totals"]["total"]["amount"].as_i64().unwrap();
        let sum = |key: &str| ready.body["totals"][key]["amount"].as_i64().unwrap();
        assert_eq!(total, sum("subtotal") - sum("discount") + sum("shipping") + sum("tax"));

        let body = json!({ "cart_id": cart.text_at("/id"), "email": customer.email, "payment": { "provider": "manual" } });
        let placed = customer.client.post("/api/transactions", body).await;
        placed.expect(201);
        assert_eq!(placed.body["status"], "open");
        assert_eq!(placed.body["payment_status"], "awaiting");
        assert_eq!(placed.body["fulfilment_status"], "unfulfilled");
        assert_eq!(placed.body["totals"]["total"], store.money(total));
        let id = placed.text_at("/id");
        let product = customer.client.get(&format!("/api/products/{}", bicycle.product_id)).await;
        assert_eq!(product.body["variants"][0]["available"], 3, "reserved at checkout");

        let payment = placed.text_at("/payments/0/id");
        let confirmed =
            owner.client.post(&format!("/api/transactions/{id}/payments/{payment}/confirm"), json!({})).await;
        confirmed.expect(200);
        let seen = customer.client.get(&format!("/api/transactions/{id}")).await;
        assert_eq!(seen.expect(200)["payment_status"], "paid");
        let product = customer.client.get(&format!("/api/products/{}", bicycle.product_id)).await;
        assert_eq!(product.body["variants"][0]["available"], 3, "committed at payment, not taken twice");
    }
}

on_both_engines! {
    async fn a_guest_buys_with_nothing_but_the_carts_token(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let lamp = store.goods(&owner, "Lamp", 90_000, 3).await;
        let cart = store.cart_with(&[(&lamp, 1)]).await;
        let placed = cart.client.post("/api/transactions", cart.checkout_body()).await;
        placed.expect(201);
        let path = format!("/api/transactions/{}", placed.text_at("/id"));
        cart.client.get(&path).await.expect(200);
        store.guest().get(&path).await.expect_problem(404, "not_found");
        store.customer().await.client.get(&path).await.expect_problem(404, "not_found");
        owner.client.get(&path).await.expect(200);
    }
}
