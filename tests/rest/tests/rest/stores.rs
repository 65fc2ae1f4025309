//! How a request names its store, and what an operator does to one.

use commerce_harness::on_both_engines;
use serde_json::json;

on_both_engines! {
    async fn a_running_kernel_serves_a_new_store_at_once(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        let answer = store.guest().get("/api/store").await;
        assert_eq!(answer.expect(200)["slug"], "jakarta");
        assert_eq!(answer.body["currencies"][0], json!({ "code": "IDR", "exponent": 0 }));
    }
}

on_both_engines! {
    async fn an_unknown_store_is_404_and_two_names_for_two_stores_are_400(kernel: TestKernel) {
        let (_, bandung) = kernel.two_stores().await;
        let nobody = kernel.client().await;
        nobody.with("x-store", "surabaya").get("/api/store").await.expect_problem(404, "unknown_store");
        let key = kernel
            .commerce(&["key", "create", "--store", "jakarta", "--kind", "publishable", "--name", "web", "--json"])
            .await
            .json();
        let both = bandung.guest().with("x-api-key", key["key"].as_str().unwrap()).get("/api/store").await;
        both.expect_problem(400, "store_mismatch");
    }
}

on_both_engines! {
    async fn a_suspended_store_answers_nobody_until_it_is_resumed(kernel: TestKernel) {
        let store = kernel.store("jakarta", "IDR").await;
        kernel.commerce(&["store", "suspend", "jakarta", "--json"]).await.json();
        let refused = store.guest().get("/api/store").await;
        assert!(matches!(refused.status, 403 | 503), "{}", refused.text);
        kernel.commerce(&["store", "resume", "jakarta", "--json"]).await.json();
        store.guest().get("/api/store").await.expect(200);
    }
}

on_both_engines! {
    async fn a_deleted_store_leaves_nothing_and_takes_nothing_from_others(kernel: TestKernel) {
        let (jakarta, bandung) = kernel.two_stores().await;
        let owner = bandung.owner().await;
        jakarta.goods(&jakarta.owner().await, "Lamp", 1_000, 1).await;
        let kept = bandung.goods(&owner, "Lamp", 1_000, 1).await;
        kernel.commerce(&["store", "delete", "jakarta", "--yes", "--json"]).await.json();
        jakarta.guest().get("/api/store").await.expect_problem(404, "unknown_store");
        bandung.guest().get(&format!("/api/products/{}", kept.product_id)).await.expect(200);
    }
}
