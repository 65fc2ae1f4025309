//! What happens to a transaction after checkout.

use commerce_harness::{Goods, Person, Store, on_both_engines};
use serde_json::{Value, json};

async fn placed(store: &Store, goods: &Goods, quantity: i64) -> Value {
    let cart = store.cart_with(&[(goods, quantity)]).await;
    let answer = cart.client.post("/api/transactions", cart.checkout_body()).await;
    answer.expect(201).clone()
}

fn path(transaction: &Value) -> String {
    format!("/api/transactions/{}", transaction["id"].as_str().unwrap())
}

async fn available(store: &Store, goods: &Goods) -> i64 {
    let product = store.guest().get(&format!("/api/products/{}", goods.product_id)).await;
    product.expect(200)["variants"][0]["available"].as_i64().unwrap()
}

async fn confirm(owner: &Person, transaction: &Value) -> commerce_harness::Answer {
    let payment = transaction["payments"][0]["id"].as_str().unwrap();
    owner
        .client
        .post(&format!("{}/payments/{payment}/confirm", path(transaction)), json!({}))
        .await
}

on_both_engines! {
    async fn numbers_increase_and_belong_to_the_store(kernel: TestKernel) {
        let (jakarta, bandung) = kernel.two_stores().await;
        let numbers = async |store: &Store, count: usize| {
            let goods = store.goods(&store.owner().await, "Lamp", 1_000, 50).await;
            let mut numbers = Vec::new();
            for _ in 0..count {
                numbers.push(placed(store, &goods, 1).await["number"].as_i64().unwrap());
            }
            numbers
        };
        let first = numbers(&jakarta, 3).await;
        assert!(first.windows(2).all(|w| w[0] < w[1]), "{first:?}");
        assert_eq!(numbers(&bandung, 1).await[0], first[0], "each store counts for itself");
    }
}

on_both_engines! {
    async fn cancelling_releases_the_stock_once(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let lamp = store.goods(&owner, "Lamp", 1_000, 5).await;
        let transaction = placed(&store, &lamp, 2).await;
        assert_eq!(available(&store, &lamp).await, 3);
        let cancel = format!("{}/cancel", path(&transaction));
        let cancelled = owner.client.post(&cancel, json!({ "reason": "changed their mind" })).await;
        assert_eq!(cancelled.expect(200)["status"], "cancelled");
        assert_eq!(available(&store, &lamp).await, 5);
        assert_eq!(owner.client.post(&cancel, json!({})).await.status, 409);
        assert_eq!(available(&store, &lamp).await, 5);
        assert_eq!(confirm(&owner, &transaction).await.status, 409);
    }
}

on_both_engines! {
    async fn a_payment_is_confirmed_by_staff_and_only_once(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let lamp = store.goods(&owner, "Lamp", 1_000, 5).await;
        let transaction = placed(&store, &lamp, 1).await;
        let payment = transaction["payments"][0]["id"].as_str().unwrap();
        let confirm_path = format!("{}/payments/{payment}/confirm", path(&transaction));
        let customer = store.customer().await;
        assert_eq!(customer.client.post(&confirm_path, json!({})).await.status, 403);
        assert_eq!(confirm(&owner, &transaction).await.expect(200)["payment_status"], "paid");
        let again = confirm(&owner, &transaction).await;
        assert!(again.status == 200 || again.status == 409, "{}", again.text);
        let stock = owner.client.get(&format!("/api/variants/{}/stock", lamp.variant_id)).await;
        stock.expect(200);
        assert_eq!(available(&store, &lamp).await, 4);
    }
}

on_both_engines! {
    async fn refunds_never_exceed_what_was_paid(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let lamp = store.goods(&owner, "Lamp", 100_000, 5).await;
        let transaction = placed(&store, &lamp, 1).await;
        let total = transaction["totals"]["total"]["amount"].as_i64().unwrap();
        let refunds = format!("{}/refunds", path(&transaction));
        let refund = |amount: i64| owner.client.post(&refunds, json!({ "amount": amount, "reason": "scratched" }));
        assert_eq!(refund(1).await.status, 409, "nothing was paid yet");
        confirm(&owner, &transaction).await.expect(200);
        assert_eq!(refund(40_000).await.expect(201)["payment_status"], "partially_refunded");
        assert_eq!(refund(total).await.status, 409);
        assert_eq!(refund(total - 40_000).await.expect(201)["payment_status"], "refunded");
    }
}

on_both_engines! {
    async fn cash_on_delivery_is_shipped_unpaid_and_completed_by_payment(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let lamp = store.goods(&owner, "Lamp", 1_000, 5).await;
        let cart = store.cart_with(&[(&lamp, 2)]).await;
        let mut body = cart.checkout_body();
        body["payment"]["method"] = json!("cash_on_delivery");
        let transaction = cart.client.post("/api/transactions", body).await.expect(201).clone();
        let shipments = format!("{}/shipments", path(&transaction));
        let item = transaction["items"][0]["id"].as_str().unwrap();
        let ship = |quantity: i64| {
            owner.client.post(&shipments, json!({ "items": [{ "item_id": item, "quantity": quantity }] }))
        };
        assert_eq!(ship(1).await.expect(201)["fulfilment_status"], "partial");
        assert_eq!(ship(2).await.status, 409, "only one is left");
        assert_eq!(ship(1).await.expect(201)["fulfilment_status"], "shipped");
        let delivered = owner.client.post(&format!("{}/deliver", path(&transaction)), json!({})).await;
        assert_eq!(delivered.expect(200)["fulfilment_status"], "delivered");
        assert_eq!(delivered.body["status"], "open");
        assert_eq!(confirm(&owner, &transaction).await.expect(200)["status"], "completed");
    }
}

on_both_engines! {
    async fn customers_see_their_own_and_staff_see_all(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let lamp = store.goods(&owner, "Lamp", 1_000, 50).await;
        for _ in 0..3 {
            placed(&store, &lamp, 1).await;
        }
        let customer = store.customer().await;
        assert_eq!(customer.client.get("/api/transactions").await.expect(200)["items"], json!([]));
        let staff = owner.client.get("/api/transactions?payment_status=awaiting&limit=2").await;
        assert_eq!(staff.expect(200)["items"].as_array().unwrap().len(), 2);
        assert!(staff.body["next"].is_string());
        let none = owner.client.get("/api/transactions?payment_status=paid").await;
        assert_eq!(none.expect(200)["items"], json!([]));
    }
}

on_both_engines! {
    async fn a_purchase_that_costs_nothing_is_paid_at_once_and_nothing_of_it_can_be_refunded(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let gift = store.goods(&owner, "Gift", 1_000, 5).await;
        for (code, kind) in [("ALL", "percent"), ("FREIGHT", "free_shipping")] {
            let coupon = json!({ "code": code, "kind": kind, "percent": 100 });
            owner.client.post("/api/coupons", coupon).await.expect(201);
        }
        let cart = store.cart_with(&[(&gift, 2)]).await;
        for code in ["ALL", "FREIGHT"] {
            cart.client.post(&format!("/api/carts/{}/coupons", cart.id), json!({ "code": code })).await.expect(200);
        }
        let transaction = cart.client.post("/api/transactions", cart.checkout_body()).await.expect(201).clone();
        assert_eq!(transaction["totals"]["total"], store.money(0));
        assert_eq!(transaction["payment_status"], "paid");
        assert_eq!(transaction["payments"][0]["status"], "paid");
        assert_eq!(available(&store, &gift).await, 3);
        assert_eq!(confirm(&owner, &transaction).await.expect(200)["payment_status"], "paid");
        let refund = json!({ "amount": 1, "reason": "greed" });
        owner.client.post(&format!("{}/refunds", path(&transaction)), refund).await
            .expect_problem(409, "refund_exceeds_payment");
    }
}

on_both_engines! {
    async fn a_parcel_refused_at_the_door_comes_back_and_the_purchase_is_cancelled(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let lamp = store.goods(&owner, "Lamp", 1_000, 5).await;
        let cart = store.cart_with(&[(&lamp, 3)]).await;
        let mut body = cart.checkout_body();
        body["payment"]["method"] = json!("cash_on_delivery");
        let transaction = cart.client.post("/api/transactions", body).await.expect(201).clone();
        let staff = async |step: &str, body: Value| owner.client.post(&format!("{}/{step}", path(&transaction)), body).await;
        let item = transaction["items"][0]["id"].clone();
        let some = |quantity: i64| json!([{ "item_id": item, "quantity": quantity }]);
        staff("shipments", json!({ "items": some(2) })).await.expect(201);
        staff("cancel", json!({})).await.expect_problem(409, "already_shipped");
        let returned = json!({ "items": some(2), "reason": "refused at the door", "restock": true });
        let returned = staff("returns", returned).await;
        assert_eq!(returned.expect(201)["fulfilment_status"], "partial", "one never left");
        assert_eq!(available(&store, &lamp).await, 4);
        let cancelled = staff("cancel", json!({})).await;
        assert_eq!(cancelled.expect(200)["status"], "cancelled");
        assert_eq!(cancelled.body["payments"][0]["status"], "cancelled");
        assert_eq!(available(&store, &lamp).await, 5, "what never left is on the shelf again, and only once");
    }
}

on_both_engines! {
    async fn a_tracking_link_can_not_run_in_the_customers_browser(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let lamp = store.goods(&owner, "Lamp", 1_000, 5).await;
        let transaction = placed(&store, &lamp, 1).await;
        confirm(&owner, &transaction).await.expect(200);
        let shipments = format!("{}/shipments", path(&transaction));
        let ship = |url: &str| owner.client.post(&shipments, json!({ "tracking_url": url }));
        ship("javascript:alert(document.cookie)").await.expect_problem(422, "invalid_body");
        ship("https://courier.example/track?id=1").await.expect(201);
    }
}

on_both_engines! {
    async fn a_guests_purchase_joins_no_account_that_only_claims_the_address(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let lamp = store.goods(&owner, "Lamp", 1_000, 5).await;
        let customer = store.customer().await;
        let cart = store.cart_with(&[(&lamp, 1)]).await;
        let mut body = cart.checkout_body();
        body["email"] = json!(customer.email);
        let transaction = cart.client.post("/api/transactions", body).await.expect(201).clone();
        assert_eq!(transaction["account"], Value::Null);
        assert_eq!(customer.client.get("/api/transactions").await.expect(200)["items"], json!([]));
        assert_eq!(customer.client.get(&path(&transaction)).await.status, 404);
        assert_eq!(customer.client.post(&format!("{}/cancel", path(&transaction)), json!({})).await.status, 404);
        assert_eq!(store.guest().get(&path(&transaction)).await.status, 404);
        cart.client.get(&path(&transaction)).await.expect(200);
    }
}

on_both_engines! {
    async fn numbers_and_cursors_that_somebody_made_up_are_no_server_error(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let lamp = store.goods(&owner, "Lamp", 1_000, 5).await;
        let transaction = placed(&store, &lamp, 2).await;
        confirm(&owner, &transaction).await.expect(200);
        let item = &transaction["items"][0]["id"];
        let shipments = format!("{}/shipments", path(&transaction));
        let ship = |quantity: i64| {
            owner.client.post(&shipments, json!({ "items": [{ "item_id": item, "quantity": quantity }] }))
        };
        ship(1).await.expect(201);
        ship(i64::MAX).await.expect_problem(422, "invalid_body");
        ship(1_000_000).await.expect_problem(409, "quantity_exceeded");
        let refunds = format!("{}/refunds", path(&transaction));
        let refund = owner.client.post(&refunds, json!({ "amount": i64::MAX, "reason": "greed" })).await;
        refund.expect_problem(409, "refund_exceeds_payment");
        // ["yesterday","txn_1"]
        let made_up = "/api/transactions?after=WyJ5ZXN0ZXJkYXkiLCJ0eG5fMSJd";
        owner.client.get(made_up).await.expect_problem(422, "invalid_cursor");
    }
}
