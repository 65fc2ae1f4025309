//! The OpenAPI document is a promise: it is sound, it keeps what the committed copy says, and a client generated from that
//! copy compiles.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use commerce_harness::kernel::repository;
use commerce_harness::{Engine, TestKernel};
use serde_json::{Value, json};

use crate::compatibility::breaking_changes;

const REFRESH: &str = "COMMERCE_TEST_WRITE=1 cargo test -p commerce-rest-tests --test rest the_document_keeps";

async fn served() -> Value {
    let kernel = TestKernel::start(Engine::Sqlite).await;
    kernel.openapi().await.document().clone()
}

fn folder() -> PathBuf {
    repository().join("tests/openapi")
}

#[tokio::test]
async fn the_document_keeps_what_the_committed_copy_promises() {
    let served = served().await;
    let path = folder().join("openapi.json");
    if std::env::var_os("COMMERCE_TEST_WRITE").is_some() {
        let text = serde_json::to_string_pretty(&served).unwrap() + "\n";
        std::fs::write(&path, text).unwrap();
        return;
    }
    let text = std::fs::read_to_string(&path).expect("tests/openapi/openapi.json");
    let committed: Value = serde_json::from_str(&text).unwrap();
    let broken = breaking_changes(&committed, &served);
    assert!(
        broken.is_empty(),
        "clients written for tests/openapi/openapi.json would break:\n  {}\nIf that is meant: {REFRESH}",
        broken.join("\n  ")
    );
    assert!(
        committed == served,
        "the document changed and breaks no client; bring the committed copy up to date: {REFRESH}"
    );
}

#[tokio::test]
async fn every_operation_has_a_name_and_every_reference_leads_somewhere() {
    let document = served().await;
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap_or_default();
            assert!(!name.is_empty(), "{method} {path} has no operationId");
            assert!(names.insert(name), "two operations are called {name}");
            assert!(operation["security"].is_array(), "{name} does not say who may call it");
        }
    }
    references(&document, &mut |target| {
        let found = document.pointer(target.trim_start_matches('#'));
        assert!(found.is_some(), "{target} leads nowhere");
    });
}

fn references(value: &Value, visit: &mut dyn FnMut(&str)) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get("$ref") {
                visit(target);
            }
            members.values().for_each(|member| references(member, visit));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, visit)),
        _ => {}
    }
}

#[tokio::test]
async fn every_schema_compiles_and_problem_codes_are_an_enum() {
    let document = served().await;
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for name in schemas.keys() {
        let whole = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$ref": format!("#/components/schemas/{name}"),
            "components": document["components"],
        });
        if let Err(error) = jsonschema::validator_for(&whole) {
            panic!("{name}: {error}");
        }
    }
    let codes = schemas["ProblemCode"]["enum"].as_array().unwrap();
    for code in ["invalid_body", "cart_closed", "out_of_stock", "coupon_expired"] {
        assert!(codes.contains(&json!(code)), "{code}");
    }
    // Each problem that an operation lists is one of these.
    for (name, schema) in schemas.iter().filter(|(name, _)| name.starts_with("Problem")) {
        if let Some(code) = schema.pointer("/allOf/1/properties/code/const") {
            assert!(codes.contains(code), "{name}");
        }
    }
}

#[test]
fn a_client_generated_by_openapi_typescript_compiles() {
    let work = repository().join("target/openapi");
    std::fs::create_dir_all(&work).unwrap();
    let files = [
        "package.json",
        "package-lock.json",
        ".npmrc",
        "tsconfig.json",
        "client.ts",
        "openapi.json",
    ];
    for file in files {
        std::fs::copy(folder().join(file), work.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
    for arguments in [&["ci", "--no-audit", "--no-fund"][..], &["run", "check"]] {
        let output = Command::new("npm")
            .args(arguments)
            .current_dir(&work)
            .output()
            .expect("npm, which `tools/setup test` installs");
        assert!(
            output.status.success(),
            "npm {}:\n{}{}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
