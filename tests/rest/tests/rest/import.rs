//! A real export of another shop, through the command line.

use std::path::PathBuf;

use commerce_harness::kernel::{CommandOutput, repository};
use commerce_harness::postgres::programs;
use commerce_harness::{Engine, TestKernel, on_both_engines};
use serde_json::{Value, json};

/// Imports a file of these bytes.
async fn import(kernel: &TestKernel, bytes: impl AsRef<[u8]>, more: &[&str]) -> CommandOutput {
    let file = kernel.data_dir().join("products.csv");
    std::fs::write(&file, bytes).unwrap();
    let file = file.display().to_string();
    let arguments = [&["import", "products", &file, "--json"], more].concat();
    kernel.commerce(&arguments).await
}

/// What was printed, also where the command did not end well.
fn printed(output: &CommandOutput) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn lines(remarks: &Value) -> Vec<u64> {
    let remarks = remarks.as_array().unwrap();
    remarks.iter().map(|remark| remark["line"].as_u64().unwrap()).collect()
}

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

on_both_engines! {
    async fn a_windows_file_has_each_wrong_row_named_once_by_its_line(kernel: TestKernel) {
        let store = kernel.store("bikes", "USD").await;
        let text = "Handle,Title,Body (HTML),Option1 Name,Option1 Value,Variant SKU,Variant Price\r\n\
            good,Good,\"<p>one</p>\r\n<p>two</p>\",Title,Default Title,g-1,1.50\r\n\
            bad,Bad,,Title,Default Title,b-1,cheap\r\n\
            \r\n\
            shirt,Shirt,,Size,S,s-1,1.00\r\n\
            shirt,,,,s,s-2,1.00\r\n\
            shirt,,,,M,s-1,1.00\r\n\
            lost,,,,M,l-1,1.00\r\n";
        let skip = import(&kernel, text, &["--store", "bikes"]).await;
        assert_eq!(skip.code, 8, "{skip:?}");
        let report = printed(&skip);
        assert_eq!(lines(&report["errors"]), [4, 7, 9], "{report}");
        assert_eq!((&report["rows"], &report["created"], &report["skipped"]), (&json!(6), &json!(2), &json!(3)));
        // The third shirt has the first one's SKU.
        assert_eq!(lines(&report["warnings"]), [8], "{report}");
        let shirt = store.guest().get("/api/products/shirt").await.expect(200).clone();
        assert_eq!(shirt["variants"].as_array().unwrap().len(), 2);
    }
}

on_both_engines! {
    async fn a_row_that_is_no_text_is_skipped_or_stops_the_import(kernel: TestKernel) {
        let store = kernel.store("bikes", "USD").await;
        let mut bytes = b"Handle,Title,Variant Price\n".to_vec();
        for number in 0..600 {
            let title: &[u8] = if number == 550 { b"Caf\xe9" } else { b"Plain" };
            bytes.extend(format!("p-{number},").bytes().chain(title.iter().copied()).chain(*b",1.00\n"));
        }
        let stop = import(&kernel, &bytes, &["--store", "bikes", "--on-error", "stop"]).await;
        assert_eq!(stop.code, 1, "{stop:?}");
        assert_eq!(lines(&printed(&stop)["errors"]), [552]);
        assert_eq!(store.guest().get("/api/products").await.body["items"], json!([]));
        let skip = import(&kernel, &bytes, &["--store", "bikes"]).await;
        assert_eq!(skip.code, 8, "{skip:?}");
        let report = printed(&skip);
        assert_eq!((&report["rows"], &report["created"], &report["skipped"]), (&json!(600), &json!(599), &json!(1)));
        assert_eq!(report["errors"][0], json!({ "line": 552, "message": "is not UTF-8 in \"Title\"" }));
    }
}

on_both_engines! {
    async fn a_file_that_a_spreadsheet_saved_with_other_separators_is_the_same_file(kernel: TestKernel) {
        kernel.store("bikes", "USD").await;
        let text = "Handle,Title,Variant SKU,Variant Price\nmug,\"Mug; red\tand, blue\",m-1,1.00\ncup,Cup,c-1,2.00\n";
        let first = import(&kernel, text, &["--store", "bikes"]).await.json();
        assert_eq!(first["created"], 2, "{first}");
        for text in [
            text.replace(',', ";").replace("; red\tand; blue", "; red\tand, blue"),
            text.replace(',', "\t").replace("; red\tand\t blue", "; red\tand, blue"),
        ] {
            let again = import(&kernel, &text, &["--store", "bikes"]).await.json();
            assert_eq!((&again["unchanged"], &again["errors"]), (&json!(2), &json!([])), "{again}");
        }
    }
}

on_both_engines! {
    async fn an_import_brings_its_currency_to_the_store(kernel: TestKernel) {
        let store = kernel.store("bikes", "IDR").await;
        let currencies = async || {
            let store = store.guest().get("/api/store").await.expect(200).clone();
            let all = store["currencies"].as_array().unwrap().clone();
            all.iter().map(|currency| currency["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let text = "Handle,Title,Variant SKU,Variant Price\nmug,Mug,m-1,10.99\n";
        let usd = ["--store", "bikes", "--currency", "usd"];
        let trial = import(&kernel, text, &[&usd[..], &["--dry-run"]].concat()).await.json();
        assert_eq!((&trial["created"], &trial["errors"]), (&json!(1), &json!([])));
        assert_eq!(import(&kernel, "Name,Price\nmug,1\n", &usd).await.code, 1);
        assert_eq!(import(&kernel, text, &["--store", "bikes", "--currency", "ZZZ"]).await.code, 1);
        assert_eq!(currencies().await, ["IDR"], "nothing was imported yet");
        import(&kernel, text, &usd).await.json();
        assert_eq!(currencies().await, ["IDR", "USD"]);
        let mug = store.guest().get("/api/products/mug").await.expect(200).clone();
        assert_eq!(mug["variants"][0]["price"], json!({ "amount": 1_099, "currency": "USD" }));
    }
}

on_both_engines! {
    /// PostgreSQL knows nothing yet of tables that were never filled, and plans as if they stayed empty.
    async fn the_first_import_of_a_new_database_is_as_quick_as_the_next(kernel: TestKernel) {
        kernel.store("bikes", "USD").await;
        let rows = (0..750).map(|number| {
            format!("p-{number},Product {number},\"a, b, c\",Title,Default Title,SKU-{number},1.00\n")
        });
        let header = "Handle,Title,Tags,Option1 Name,Option1 Value,Variant SKU,Variant Price\n";
        let text: String = std::iter::once(header.to_owned()).chain(rows).collect();
        let report = import(&kernel, text, &["--store", "bikes"]).await.json();
        assert_eq!((&report["rows"], &report["created"]), (&json!(750), &json!(750)), "{report}");
    }
}

on_both_engines! {
    async fn an_operator_lets_a_store_have_prices_in_one_more_currency(kernel: TestKernel) {
        let store = kernel.store("bikes", "IDR").await;
        for _ in 0..2 {
            let shown = kernel.commerce(&["store", "add-currency", "bikes", "usd", "--json"]).await.json();
            assert_eq!(shown["currencies"].as_array().unwrap().len(), 2, "{shown}");
        }
        let known = store.guest().get("/api/store").await.expect(200).clone();
        assert_eq!(known["currencies"][1], json!({ "code": "USD", "exponent": 2 }));
        assert_eq!(kernel.commerce(&["store", "add-currency", "bikes", "XXY"]).await.code, 1);
    }
}
