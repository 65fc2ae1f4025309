//! A real export of another shop, through the command line.

use std::path::PathBuf;

use commerce_harness::{kernel::repository, on_both_engines};

/// 284 products in 1,399 rows, prices in USD.
fn export() -> PathBuf {
    repository().join("tests/rest/data/shopify-bicycles.csv")
}

on_both_engines! {
    async fn an_export_is_imported_and_again_without_duplicates(kernel: TestKernel) {
        kernel.store("bikes", "USD").await;
        let file = export().display().to_string();
        let arguments = ["import", "products", &file, "--store", "bikes", "--currency", "USD", "--json"];
        let first = kernel.commerce(&arguments).await.json();
        assert_eq!(first["errors"].as_array().unwrap().len(), 0, "{first}");
        assert_eq!(first["created"], 284, "{first}");
        let again = kernel.commerce(&arguments).await.json();
        assert_eq!(again["created"], 0, "{again}");
    }
}

on_both_engines! {
    async fn a_price_that_does_not_fit_the_currency_is_a_row_error(kernel: TestKernel) {
        let store = kernel.store("bikes", "IDR").await;
        let file = kernel.data_dir().join("wrong.csv");
        std::fs::write(&file, "Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Variant SKU,\
            Variant Grams,Variant Inventory Tracker,Variant Inventory Qty,Variant Inventory Policy,Variant Price\n\
            good,Good,,,,,true,Title,Default Title,g-1,10,shopify,5,deny,15000\n\
            bad,Bad,,,,,true,Title,Default Title,b-1,10,shopify,5,deny,10.99\n").unwrap();
        let file = file.display().to_string();
        let skip = kernel.commerce(&["import", "products", &file, "--store", "bikes", "--json"]).await;
        assert_eq!(skip.code, 8, "{}", skip.stderr);
        let report: serde_json::Value = serde_json::from_str(&skip.stdout).unwrap();
        assert_eq!((report["created"].as_u64(), report["errors"][0]["line"].as_u64()), (Some(1), Some(3)), "{report}");
        let stop = kernel.commerce(&["import", "products", &file, "--store", "bikes", "--on-error", "stop", "--json"]).await;
        assert_eq!(stop.code, 1);
        let listed = store.guest().get("/api/products").await;
        assert_eq!(listed.body["items"].as_array().unwrap().len(), 1);
    }
}
