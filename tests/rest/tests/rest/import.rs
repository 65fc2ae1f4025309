//! A real export of another shop, through the command line.

use std::path::PathBuf;

use commerce_harness::kernel::repository;
use commerce_harness::postgres::programs;
use commerce_harness::{Engine, on_both_engines};

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
        // At once, and not when the server next thinks of it: until then it plans for empty tables.
        if kernel.ground.engine == Engine::Postgres {
            assert_eq!(planned_rows(&kernel.database_url(), "product.products"), 284.0);
        }
        let again = kernel.commerce(&arguments).await.json();
        assert_eq!(again["created"], 0, "{again}");
    }
}

/// How many rows the planner believes a table has.
fn planned_rows(url: &str, table: &str) -> f64 {
    let question = format!("select reltuples from pg_class where oid = '{table}'::regclass");
    let psql = std::process::Command::new(programs().join("psql"))
        .args(["-XAtqc", &question, url])
        .output()
        .unwrap();
    String::from_utf8(psql.stdout).unwrap().trim().parse().unwrap()
}

on_both_engines! {
    async fn a_currency_that_an_import_names_becomes_one_of_the_store(kernel: TestKernel) {
        let store = kernel.store("bikes", "IDR").await;
        let file = export().display().to_string();
        let import = async |more: &[&str]| {
            kernel.commerce(&[&["import", "products", &file, "--store", "bikes", "--json", "--currency"], more].concat()).await
        };
        let codes = async || {
            let shown = store.guest().get("/api/store").await;
            shown.body["currencies"].as_array().unwrap().iter().map(|one| one["code"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(import(&["USX"]).await.code, 1);
        assert_eq!(import(&["USD", "--dry-run"]).await.json()["created"], 284);
        assert_eq!(codes().await, ["IDR"]);
        assert_eq!(import(&["USD"]).await.json()["created"], 284);
        assert_eq!(codes().await, ["IDR", "USD"]);
    }
}

on_both_engines! {
    async fn rows_of_a_file_from_windows_have_the_lines_of_its_editor(kernel: TestKernel) {
        kernel.store("bikes", "IDR").await;
        let file = kernel.data_dir().join("windows.csv");
        let rows = "Handle,Title,Variant SKU,Variant Price\r\nlamp,Lamp,lamp-1,15000\r\n\r\nvase,Vase,vase-1,cheap\r\n";
        std::fs::write(&file, rows).unwrap();
        let file = file.display().to_string();
        let output = kernel.commerce(&["import", "products", &file, "--store", "bikes", "--json"]).await;
        assert_eq!(output.code, 8, "{output:?}");
        let report: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
        assert_eq!((report["errors"][0]["line"].as_u64(), report["skipped"].as_u64()), (Some(4), Some(1)), "{report}");
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
