//! Accounts and tokens.

use commerce_harness::kernel::PASSWORD;
use commerce_harness::on_both_engines;
use serde_json::json;

on_both_engines! {
    async fn an_account_is_registered_signed_in_refreshed_and_signed_out(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let guest = store.guest();
        let registered =
            guest.post("/api/auth/register", json!({ "email": "Ana@Example.com ", "password": PASSWORD })).await;
        registered.expect(201);
        assert_eq!(registered.text_at("/user/email"), "ana@example.com");
        assert!(registered.body["expires_in"].as_i64().unwrap() > 0);
        guest
            .post("/api/auth/register", json!({ "email": "ana@example.com", "password": PASSWORD }))
            .await
            .expect_problem(409, "email_taken");

        let ana = store.login("ana@example.com", PASSWORD).await;
        assert_eq!(ana.client.get("/api/auth/me").await.expect(200)["email"], "ana@example.com");
        let renamed = ana.client.patch("/api/auth/me", json!({ "name": "Ana" })).await;
        assert_eq!(renamed.expect(200)["name"], "Ana");

        let refreshed = guest.post("/api/auth/refresh", json!({ "refresh_token": ana.refresh_token })).await;
        refreshed.expect(200);
        let next = refreshed.text_at("/refresh_token");
        assert_ne!(next, ana.refresh_token);
        guest.post("/api/auth/logout", json!({ "refresh_token": next })).await;
        assert_eq!(guest.post("/api/auth/refresh", json!({ "refresh_token": next })).await.status, 401);
    }
}

on_both_engines! {
    async fn a_wrong_password_and_an_unknown_address_look_the_same(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let customer = store.customer().await;
        let attempt = |email: String| {
            let guest = store.guest();
            async move { guest.post("/api/auth/login", json!({ "email": email, "password": "not the password" })).await }
        };
        let wrong = attempt(customer.email.clone()).await;
        let unknown = attempt("nobody@example.com".to_owned()).await;
        assert_eq!(wrong.status, 401);
        assert_eq!((wrong.status, &wrong.body["code"], &wrong.body["detail"]),
                   (unknown.status, &unknown.body["code"], &unknown.body["detail"]));
    }
}

on_both_engines! {
    async fn guessing_passwords_is_slowed_down(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let customer = store.customer().await;
        let mut last = 0;
        for _ in 0..40 {
            let body = json!({ "email": customer.email, "password": "not the password" });
            let answer = store.guest().post("/api/auth/login", body).await;
            last = answer.status;
            if last == 429 {
                assert!(answer.header("retry-after").is_some());
                break;
            }
        }
        assert_eq!(last, 429);
    }
}

on_both_engines! {
    async fn staff_routes_are_closed_to_customers_and_to_nobody(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let body = json!({ "title": "Mine", "status": "active", "variants": [] });
        let nobody = store.guest().post("/api/products", body.clone()).await;
        assert_eq!(nobody.status, 401, "{}", nobody.text);
        assert!(nobody.header("www-authenticate").is_some());
        let customer = store.customer().await.client.post("/api/products", body).await;
        assert_eq!(customer.status, 403, "{}", customer.text);
    }
}

on_both_engines! {
    async fn a_secret_key_acts_with_its_permissions_and_no_others(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let made = kernel
            .commerce(&["key", "create", "--store", "jakarta", "--kind", "secret", "--name", "stock", "--permission",
                        "product.write", "--json"])
            .await
            .json();
        let machine = store.guest().bearer(made["key"].as_str().unwrap());
        let product = machine
            .post("/api/products", json!({ "title": "Cup", "status": "active",
                                            "variants": [{ "sku": "cup", "price": store.money(10_000), "stock": 1 }] }))
            .await;
        product.expect(201);
        assert_eq!(machine.get("/api/transactions").await.status, 403);
        kernel.commerce(&["key", "revoke", made["id"].as_str().unwrap(), "--store", "jakarta", "--json"]).await.json();
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        let refused = machine.post("/api/products", json!({ "title": "Cup", "status": "active", "variants": [] })).await;
        assert_eq!(refused.status, 401);
    }
}
