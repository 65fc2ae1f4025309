//! `/openapi.json`: what the kernel and the plugins of a store answer, as OpenAPI 3.1.
//!
//! Built from the same descriptors as the route table and the checks, so it cannot promise what they do not keep. Every
//! body, answer and problem has a name. A plugin's names are put behind its own unless they begin with it (`Page` of plugin
//! `item` is `ItemPage`), so that installing a plugin renames nothing of another; where two would meet under one name, the
//! plugin is refused at its installation. The order is always the same: a
//! committed copy can be compared.

mod names;
mod operation;
mod problems;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use self::names::{Part, pascal};
pub use self::names::{kernel_schema_names, schema_names};
pub(super) use self::operation::is_proof;
use self::problems::{base_problem, field_error};
use super::cors::capitalised;
use super::kernel_routes;
use super::problem::Code;
use crate::plugins::Plugin;

/// Of the kernel and these plugins: all that are installed, or those enabled in a store.
pub fn of_plugins<'a>(plugins: impl Iterator<Item = &'a Arc<Plugin>>) -> Value {
    let kernel = kernel_routes::descriptor();
    let mut parts = vec![Part {
        name: "kernel",
        descriptor: &kernel,
        is_kernel: true,
    }];
    parts.extend(plugins.map(|plugin| Part {
        name: &plugin.name,
        descriptor: &plugin.descriptor,
        is_kernel: false,
    }));
    document("Store API", &parts)
}

fn document(title: &str, parts: &[Part<'_>]) -> Value {
    let mut document = Document {
        paths: BTreeMap::new(),
        schemas: BTreeMap::new(),
        codes: BTreeSet::new(),
        proofs: BTreeSet::new(),
    };
    for part in parts {
        document.add(part);
    }
    document.finish(title)
}

struct Document {
    paths: BTreeMap<String, BTreeMap<String, Value>>,
    schemas: BTreeMap<String, Value>,
    codes: BTreeSet<String>,
    /// Declared headers that prove something, such as `x-note-token`.
    proofs: BTreeSet<String>,
}

impl Document {
    fn add(&mut self, part: &Part<'_>) {
        for (name, schema) in &part.descriptor.schemas {
            self.schemas.insert(part.schema_name(name), part.rename(schema));
        }
        for route in &part.descriptor.routes {
            let operation = self.operation(part, route);
            self.paths
                .entry(route.path.clone())
                .or_default()
                .insert(route.method.to_lowercase(), operation);
        }
    }

    fn finish(mut self, title: &str) -> Value {
        self.codes.extend(Code::ALL.iter().map(|code| code.as_str().to_owned()));
        self.schemas.insert(
            "ProblemCode".to_owned(),
            json!({ "type": "string", "enum": self.codes }),
        );
        self.schemas.insert("Problem".to_owned(), base_problem());
        self.schemas.insert("FieldError".to_owned(), field_error());
        let mut security = json!({
            "accessToken": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
            "apiKey": { "type": "apiKey", "in": "header", "name": "X-Api-Key" },
        });
        for name in &self.proofs {
            security[pascal(name)] = json!({ "type": "apiKey", "in": "header", "name": capitalised(name) });
        }
        json!({
            "openapi": "3.1.0",
            "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
            "info": { "title": title, "version": env!("CARGO_PKG_VERSION") },
            "servers": [{ "url": "/" }],
            "paths": self.paths,
            "components": {
                "schemas": self.schemas,
                "securitySchemes": security,
                "parameters": {
                    "Store": { "name": "X-Store", "in": "header", "required": false, "schema": { "type": "string" },
                        "description": "The slug of the store, where the host does not name it." },
                    "IdempotencyKey": { "name": "Idempotency-Key", "in": "header", "required": false,
                        "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
                        "description": "The same key with the same body gets the first answer again." },
                },
            },
        })
    }
}
