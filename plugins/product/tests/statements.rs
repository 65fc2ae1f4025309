//! Every statement of the plugin, and its views, against the border that will check them at install.

use std::path::Path;
use std::sync::Arc;

use commerce_contract::sections;
use commerce_kernel::storage::sql::border::{Border, Schema, View, plan_migration};

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The tables as the migrations leave them.
fn schema() -> Schema {
    let mut files: Vec<_> = std::fs::read_dir(folder().join("migrations"))
        .expect("the plugin has migrations")
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    let empty = Schema::empty("product").expect("a plain name");
    files.iter().fold(empty, |schema, file| {
        let text = std::fs::read_to_string(file).expect("it can be read");
        let name = file.file_name().expect("a file").to_string_lossy().into_owned();
        plan_migration(&schema, &name, &text)
            .unwrap_or_else(|refusal| panic!("{name}: {refusal:?}"))
            .schema_after
    })
}

fn views() -> Vec<View> {
    let text = std::fs::read_to_string(folder().join("plugin.toml")).expect("it can be read");
    let manifest: commerce_contract::Manifest = toml::from_str(&text).expect("a manifest");
    manifest
        .views
        .into_iter()
        .map(|(name, text)| View { name, text })
        .collect()
}

/// What the macro `sql!` recorded, as install finds it in the package.
fn recorded() -> Vec<String> {
    let bytes = std::fs::read(commerce_harness::kernel::package("product")).expect("the package");
    let mut texts = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(&bytes) {
        if let wasmparser::Payload::CustomSection(section) = payload.expect("a component")
            && section.name() == sections::SQL
        {
            let text = std::str::from_utf8(section.data()).expect("texts");
            texts.extend(text.split_terminator('\0').map(str::to_owned));
        }
    }
    texts
}

#[test]
fn every_statement_passes_the_border_on_both_engines() {
    let border = Border::new(Arc::new(schema()), Vec::new());
    let texts = recorded();
    assert!(texts.len() > 60, "only {} texts are recorded", texts.len());
    let refused: Vec<String> = texts
        .iter()
        .filter_map(|text| {
            border
                .prepare(text)
                .err()
                .map(|refusal| format!("{refusal:?}\n  {text}\n"))
        })
        .collect();
    assert!(refused.is_empty(), "{} refused:\n{}", refused.len(), refused.join("\n"));
}

#[test]
fn the_exported_view_passes_the_border() {
    schema().with_views(views()).expect("it is accepted");
}
