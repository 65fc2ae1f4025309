//! The catalogue as clients and staff see it.

use std::collections::BTreeSet;

use commerce_harness::on_both_engines;
use serde_json::{Value, json};

on_both_engines! {
    async fn paging_shows_every_product_once_in_every_order(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        for number in 0..23 {
            store.goods(&owner, &format!("Lamp {number:02}"), 1_000 + (number % 5) * 100, 1).await;
        }
        for sort in ["newest", "price", "-price", "title"] {
            let mut seen = Vec::new();
            let mut after = String::new();
            loop {
                let page = store.guest().get(&format!("/api/products?limit=5&sort={sort}{after}")).await;
                seen.extend(page.expect(200)["items"].as_array().unwrap().clone());
                match page.body["next"].as_str() {
                    Some(next) => after = format!("&after={next}"),
                    None => break,
                }
            }
            let ids: BTreeSet<&str> = seen.iter().map(|p| p["id"].as_str().unwrap()).collect();
            assert_eq!((seen.len(), ids.len()), (23, 23), "sort={sort}");
            let price = |p: &Value| p["variants"][0]["price"]["amount"].as_i64().unwrap();
            let title = |p: &Value| p["title"].as_str().unwrap().to_owned();
            match sort {
                "price" => assert!(seen.windows(2).all(|w| price(&w[0]) <= price(&w[1]))),
                "-price" => assert!(seen.windows(2).all(|w| price(&w[0]) >= price(&w[1]))),
                "title" => assert!(seen.windows(2).all(|w| title(&w[0]) <= title(&w[1]))),
                _ => assert_eq!(title(&seen[0]), "Lamp 22"),
            }
        }
        store.guest().get("/api/products?after=nonsense").await.expect_problem(422, "invalid_cursor");
    }
}

on_both_engines! {
    async fn filters_narrow_the_list(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        store.goods(&owner, "Red lamp", 1_000, 0).await;
        store.goods(&owner, "Blue lamp", 2_000, 3).await;
        store.goods(&owner, "Chair", 3_000, 3).await;
        let titles = async |query: &str| -> Vec<String> {
            let page = store.guest().get(&format!("/api/products?sort=title&{query}")).await;
            let items = page.expect(200)["items"].as_array().unwrap().clone();
            items.iter().map(|p| p["title"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(titles("q=blue").await, ["Blue lamp"]);
        assert_eq!(titles("q=chai").await, ["Chair"]);
        assert_eq!(titles("in_stock=true").await, ["Blue lamp", "Chair"]);
        assert_eq!(titles("min_price=1500&max_price=2500").await, ["Blue lamp"]);
        assert!(titles("q=nothing").await.is_empty());
    }
}

on_both_engines! {
    async fn drafts_are_for_staff(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let draft = owner.client
            .post("/api/products", json!({ "title": "Secret", "status": "draft",
                  "variants": [{ "sku": "s", "price": store.money(1), "stock": 1 }] }))
            .await;
        draft.expect(201);
        let path = format!("/api/products/{}", draft.text_at("/id"));
        store.guest().get(&path).await.expect_problem(404, "unknown_product");
        assert_eq!(store.guest().get("/api/products").await.body["items"], json!([]));
        owner.client.patch(&path, json!({ "status": "active" })).await.expect(200);
        store.guest().get(&path).await.expect(200);
    }
}

on_both_engines! {
    async fn html_is_sanitised_on_write(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let made = store.owner().await.client
            .post("/api/products", json!({
                "title": "Lamp", "status": "active",
                "description": "<p onclick=\"steal()\">Good<script>steal()</script></p>",
                "variants": [{ "sku": "s", "price": store.money(1), "stock": 1 }],
            }))
            .await;
        made.expect(201);
        assert_eq!(made.text_at("/description_html"), "<p>Good</p>");
    }
}

on_both_engines! {
    async fn stock_never_falls_below_what_is_reserved(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let lamp = store.goods(&owner, "Lamp", 1_000, 5).await;
        let path = format!("/api/variants/{}/stock", lamp.variant_id);
        let change = |delta: i64| owner.client.post(&path, json!({ "delta": delta, "reason": "count" }));
        change(3).await.expect(200);
        assert_eq!(change(-9).await.status, 409);
        let cart = store.cart_with(&[(&lamp, 6)]).await;
        cart.client.post("/api/transactions", cart.checkout_body()).await.expect(201);
        assert_eq!(change(-3).await.status, 409, "six are reserved, two are free");
        change(-2).await.expect(200);
        let product = store.guest().get(&format!("/api/products/{}", lamp.product_id)).await;
        assert_eq!(product.body["variants"][0]["available"], 0);
    }
}

on_both_engines! {
    async fn a_product_may_have_two_thousand_variants(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let variants: Vec<Value> = (0..2_000)
            .map(|n| json!({ "option_values": [format!("Shade of grey number {}", n / 20), format!("Size number {}", n % 20)],
                             "sku": format!("GREY-{n:04}"), "price": store.money(1_000), "stock": 1 }))
            .collect();
        let body = json!({ "title": "Grey", "status": "active", "options": [{ "name": "Shade" }, { "name": "Size" }],
                           "variants": variants });
        let made = owner.client.post("/api/products", body.clone()).await;
        assert_eq!(made.expect(201)["variants"].as_array().unwrap().len(), 2_000);
        let again = json!({ "items": [{ "slug": made.text_at("/slug"), "variants": variants }] });
        let again = owner.client.post("/api/products/bulk", again).await;
        assert_eq!(again.expect(200)["failed"], 0, "{}", again.text);
    }
}

on_both_engines! {
    async fn texts_that_no_index_can_hold_are_no_server_error(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        // Random letters: repeated ones would be compressed and fit.
        let mut state = 1_u64;
        let long: String = (0..4_000).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'a' + (state >> 33) as u8 % 26)
        }).collect();
        for body in [
            json!({ "title": "Tee", "options": [{ "name": "Color" }], "variants": [{ "option_values": [long] }] }),
            json!({ "title": "Tee", "tags": [long] }),
            json!({ "title": "Tee", "slug": long }),
            json!({ "title": "Tee", "variants": [{ "sku": long }] }),
        ] {
            let answer = owner.client.post("/api/products", body).await;
            assert_eq!(answer.status, 422, "{}", answer.text);
        }
        owner.client.post("/api/categories", json!({ "title": "Cups", "slug": long })).await.expect_problem(422, "invalid_body");
        for query in ["q", "category", "tag"] {
            let answer = store.guest().get(&format!("/api/products?{query}={}", &long[..199])).await;
            assert_eq!(answer.expect(200)["items"], json!([]));
        }
    }
}

on_both_engines! {
    async fn what_is_sold_out_can_be_asked_for_and_what_has_no_price_is_in_no_range_of_prices(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        store.goods(&owner, "Full", 1_000, 5).await;
        store.goods(&owner, "Empty", 2_000, 0).await;
        let unpriced = json!({ "title": "On request", "status": "active", "variants": [{ "stock": 5 }] });
        owner.client.post("/api/products", unpriced).await.expect(201);
        for (query, titles) in [
            ("sort=title", vec!["Empty", "Full", "On request"]),
            ("sort=title&in_stock=true", vec!["Full", "On request"]),
            ("sort=title&in_stock=false", vec!["Empty"]),
            ("sort=title&min_price=0", vec!["Empty", "Full"]),
            ("sort=price", vec!["Full", "Empty"]),
            ("sort=-price", vec!["Empty", "Full"]),
            ("sort=-price&min_price=1500", vec!["Empty"]),
        ] {
            let page = store.guest().get(&format!("/api/products?{query}")).await;
            let found: Vec<&str> = page.expect(200)["items"].as_array().unwrap().iter()
                .map(|product| product["title"].as_str().unwrap()).collect();
            assert_eq!(found, titles, "{query}");
        }
    }
}
