//! Carts: totals, quantities, merging.

use commerce_harness::kernel::{OWNER_EMAIL, PASSWORD};
use commerce_harness::{Client, GuestCart, Store, on_both_engines};
use serde_json::{Value, json};

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
        let add = |path: String, client: Client, variant: String, quantity: i64| async move {
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

on_both_engines! {
    async fn merging_again_and_again_fills_a_cart_no_further_than_its_rule(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let mut variants = Vec::new();
        for batch in 0..3 {
            let options: Vec<Value> = (0..50).map(|n| json!({
                "option_values": [format!("{n}")], "price": store.money(1_000), "stock": 5,
            })).collect();
            let body = json!({ "title": format!("Lamp {batch}"), "status": "active", "options": [{ "name": "Kind" }],
                               "variants": options });
            let made = owner.client.post("/api/products", body).await;
            let ids = made.expect(201)["variants"].as_array().unwrap().clone();
            variants.extend(ids.into_iter().map(|variant| variant["id"].as_str().unwrap().to_owned()));
        }
        let customer = store.customer().await;
        let own = customer.client.post("/api/carts", json!({})).await;
        let fill = async |client: &Client, cart: &str, variants: &[String]| {
            for variant in variants {
                client.post(&format!("/api/carts/{cart}/items"), json!({ "variant_id": variant, "quantity": 1 }))
                    .await.expect(200);
            }
        };
        fill(&customer.client, &own.text_at("/id"), &variants[..60]).await;
        let guest = store.empty_cart().await;
        fill(&guest.client, &guest.id, &variants[50..]).await;
        let merged = customer.client.with("x-cart-token", &guest.token).post("/api/carts", json!({})).await;
        assert_eq!(merged.expect(201)["items"].as_array().unwrap().len(), 100);
    }
}

on_both_engines! {
    async fn a_coupon_for_one_use_is_not_used_again_as_a_guest(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let lamp = store.goods(&owner, "Lamp", 1_000, 50).await;
        let coupon = json!({ "code": "ONCE", "kind": "percent", "percent": 10, "limit_per_customer": 1 });
        owner.client.post("/api/coupons", coupon).await.expect(201);
        let buy = async |client: Option<&Client>, email: &str| {
            let cart = store.cart_with(&[(&lamp, 1)]).await;
            cart.client.post(&format!("/api/carts/{}/coupons", cart.id), json!({ "code": "once" })).await.expect(200);
            let mut body = cart.checkout_body();
            body["email"] = json!(email);
            let client = client.map_or(cart.client.clone(), |client| client.with("x-cart-token", &cart.token));
            client.post("/api/transactions", body).await
        };
        let customer = store.customer().await;
        let bought = buy(Some(&customer.client), &customer.email).await;
        assert_eq!(bought.expect(201)["account"], customer.id, "signed in, a guest's cart is bought for the account");
        for (client, email) in [
            (None, customer.email.to_uppercase()),
            (Some(&customer.client), "another@example.com".to_owned()),
        ] {
            buy(client, &email).await.expect_problem(422, "coupon_exhausted");
        }
        buy(None, "somebody.else@example.com").await.expect(201);
        let history = customer.client.get("/api/transactions").await;
        assert_eq!(history.expect(200)["items"].as_array().unwrap().len(), 1);
    }
}

on_both_engines! {
    async fn a_used_coupon_comes_back_when_the_purchase_is_cancelled(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let lamp = store.goods(&owner, "Lamp", 1_000, 50).await;
        let coupon = json!({ "code": "FREIGHT", "kind": "free_shipping", "limit_total": 1 });
        owner.client.post("/api/coupons", coupon).await.expect(201);
        let apply = async |cart: &GuestCart| {
            cart.client.post(&format!("/api/carts/{}/coupons", cart.id), json!({ "code": "FREIGHT" })).await
        };
        let cart = store.cart_with(&[(&lamp, 1)]).await;
        let totals = apply(&cart).await.expect(200)["totals"].clone();
        assert_eq!((&totals["discount"], &totals["total"]), (&totals["shipping"], &store.money(1_000)));
        let transaction = cart.client.post("/api/transactions", cart.checkout_body()).await.expect(201).clone();
        let next = store.cart_with(&[(&lamp, 1)]).await;
        apply(&next).await.expect_problem(422, "coupon_exhausted");
        let cancel = format!("/api/transactions/{}/cancel", transaction["id"].as_str().unwrap());
        cart.client.post(&cancel, json!({})).await.expect(200);
        apply(&next).await.expect(200);
    }
}

on_both_engines! {
    async fn what_left_the_catalogue_stops_the_checkout_and_not_the_cart(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let lamp = store.goods(&owner, "Lamp", 1_000, 5).await;
        let chair = store.goods(&owner, "Chair", 2_000, 5).await;
        let cart = store.cart_with(&[(&lamp, 1), (&chair, 1)]).await;
        owner.client.delete(&format!("/api/products/{}", chair.product_id)).await.expect(204);
        let path = format!("/api/carts/{}", cart.id);
        let left = cart.client.get(&path).await;
        assert_eq!(left.expect(200)["unavailable"][0]["variant_id"], json!(chair.variant_id));
        assert_eq!(left.body["totals"]["subtotal"], store.money(1_000));
        cart.client.post("/api/transactions", cart.checkout_body()).await.expect_problem(422, "variant_unavailable");
        let line = left.text_at("/unavailable/0/id");
        cart.client.delete(&format!("{path}/items/{line}")).await.expect(200);
        let bought = cart.client.post("/api/transactions", cart.checkout_body()).await;
        let bought = bought.expect(201);
        owner.client.delete(&format!("/api/products/{}", lamp.product_id)).await.expect_problem(409, "stock_reserved");
        assert_eq!(bought["items"][0]["title"], "Lamp");
    }
}

on_both_engines! {
    async fn nobody_pays_another_total_than_the_one_they_were_shown(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let lamp = store.goods(&owner, "Lamp", 1_000, 5).await;
        let cart = store.cart_with(&[(&lamp, 1)]).await;
        let path = format!("/api/carts/{}", cart.id);
        let mut body = cart.checkout_body();
        body["expected_total"] = cart.client.get(&path).await.expect(200)["totals"]["total"].clone();
        let variant = format!("/api/variants/{}", lamp.variant_id);
        owner.client.patch(&variant, json!({ "price": store.money(9_000) })).await.expect(200);
        let refused = cart.client.post("/api/transactions", body.clone()).await;
        let now = refused.expect_problem(409, "total_changed")["total"].clone();
        assert_eq!(cart.client.get(&path).await.expect(200)["status"], "open", "nothing has happened");
        body["expected_total"] = now.clone();
        assert_eq!(cart.client.post("/api/transactions", body).await.expect(201)["totals"]["total"], now);
    }
}

on_both_engines! {
    async fn a_cart_of_no_chosen_currency_takes_that_of_the_first_thing_put_in(kernel: TestKernel) {
        let created = kernel.commerce(&["store", "create", "bali", "--name", "Bali", "--currency", "IDR", "--also-currency", "USD",
            "--owner-email", OWNER_EMAIL, "--owner-password", PASSWORD, "--json"]).await.json();
        let store = Store::new(kernel.client().await, "bali".to_owned(), "USD".to_owned(), created);
        let owner = store.owner().await;
        let stem = store.goods(&owner, "Stem", 2_400, 5).await;
        let cart = store.cart_with(&[(&stem, 1)]).await;
        let read = cart.client.get(&format!("/api/carts/{}", cart.id)).await;
        assert_eq!((&read.body["currency"], &read.body["totals"]["subtotal"]), (&json!("USD"), &store.money(2_400)));
        cart.client.post("/api/transactions", cart.checkout_body()).await.expect(201);

        let lamp = json!({ "title": "Lamp", "status": "active",
                           "variants": [{ "price": { "amount": 15_000, "currency": "IDR" }, "stock": 5 }] });
        let lamp = owner.client.post("/api/products", lamp).await.text_at("/variants/0/id");
        let put_in = async |cart: &str, client: &Client, variant: &str| {
            client.post(&format!("/api/carts/{cart}/items"), json!({ "variant_id": variant, "quantity": 1 })).await
        };
        let mixed = store.empty_cart().await;
        put_in(&mixed.id, &mixed.client, &lamp).await.expect(200);
        put_in(&mixed.id, &mixed.client, &stem.variant_id).await.expect_problem(422, "variant_unavailable");
        let chosen = store.guest().post("/api/carts", json!({ "currency": "IDR" })).await;
        let client = store.guest().with("x-cart-token", &chosen.text_at("/token"));
        put_in(&chosen.text_at("/id"), &client, &stem.variant_id).await.expect_problem(422, "variant_unavailable");
    }
}

on_both_engines! {
    async fn a_coupon_that_could_never_be_used_is_not_made(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let make = |coupon: Value| owner.client.post("/api/coupons", coupon);
        make(json!({ "code": "TEN", "kind": "percent", "percent": 10 })).await.expect(201);
        make(json!({ "code": " ten ", "kind": "percent", "percent": 20 })).await.expect_problem(409, "code_taken");
        for coupon in [
            json!({ "code": "..", "kind": "percent", "percent": 10 }),
            json!({ "code": "a/b", "kind": "percent", "percent": 10 }),
            json!({ "code": "NONE", "kind": "percent" }),
            json!({ "code": "EURO", "kind": "fixed", "amount": { "amount": 5, "currency": "EUR" } }),
            json!({ "code": "PAST", "kind": "free_shipping", "starts_at": "2026-02-01T00:00:00Z",
                    "ends_at": "2026-01-01T00:00:00Z" }),
        ] {
            make(coupon).await.expect_problem(422, "invalid_coupon");
        }
    }
}
