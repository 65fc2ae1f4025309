//! What there is to know of a plugin before it is trusted, in sections for people.

use serde_json::{Value, json};

use crate::Context;
use crate::output::Output;

/// Of an installed plugin, or of a package with what its installation would change.
pub(super) fn show(sheet: &Value, context: &Context) {
    let output = &context.output;
    if output.json {
        return output.value(sheet);
    }
    let text = |key: &str| sheet[key].as_str().unwrap_or_default();
    output.text(&format!(
        "{} {}: {}",
        text("name"),
        text("version"),
        text("description")
    ));
    output.text(&format!("digest {}", text("digest")));
    show_change(sheet, output);
    output.section("rights", words(&sheet["rights"]));
    output.section("hosts", words(&sheet["hosts"]));
    output.section("limits", limits(&sheet["limits"]));
    output.heading("routes");
    let routes = list(&sheet["routes"]).map(|route| {
        json!({ "method": route["method"], "path": route["path"], "access": access(&route["access"]),
            "operation": route["operation"] })
    });
    let columns = [
        ("method", "method"),
        ("path", "path"),
        ("access", "access"),
        ("operation", "operation"),
    ];
    output.list(&json!({ "items": routes.collect::<Vec<_>>() }), &columns);
    output.section("functions for other plugins", words(&sheet["functions"]));
    output.section("tables", list(&sheet["tables"]).map(table).collect());
    let statements = list(&sheet["sql"]).filter_map(Value::as_str).map(one_line);
    output.section("SQL", statements.collect());
}

fn show_change(sheet: &Value, output: &Output) {
    if let Some(installed) = sheet["installed"].as_str() {
        output.text(&format!("replaces {installed}"));
    }
    let Some(change) = sheet["upgrade"].as_object() else {
        return;
    };
    output.section("rights that come", words(&change["rights_added"]));
    output.section("rights that go", words(&change["rights_removed"]));
    output.section("migrations that run", words(&sheet["migrations"]));
    output.text(if change["rollback_possible"] == true {
        "a rollback stays possible"
    } else {
        "there is no way back by rollback"
    });
}

fn limits(limits: &Value) -> Vec<String> {
    let line = |key: &str, words: &str| format!("{} {words}", limits[key]);
    vec![
        line("deadline_ms", "ms until a call is ended"),
        line("memory_mib", "MiB of memory for a call"),
        line("answer_kib", "KiB of answer from a call"),
        line("instances", "calls of the plugin at once"),
        line("connections", "database connections of the plugin"),
    ]
}

/// `public`, or `staff: product.write`.
fn access(access: &Value) -> String {
    match access {
        Value::String(name) => name.clone(),
        other => format!("staff: {}", other["staff"].as_str().unwrap_or_default()),
    }
}

/// Its name, with its columns where they are known: those of a package are not made yet.
fn table(table: &Value) -> String {
    let Some(name) = table["name"].as_str() else {
        return table.as_str().unwrap_or_default().to_owned();
    };
    let columns: Vec<&str> = list(&table["columns"])
        .filter_map(|column| column["name"].as_str())
        .collect();
    format!("{name} ({})", columns.join(", "))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn words(items: &Value) -> Vec<String> {
    list(items).filter_map(Value::as_str).map(str::to_owned).collect()
}

fn list(items: &Value) -> impl Iterator<Item = &Value> {
    items.as_array().into_iter().flatten()
}
