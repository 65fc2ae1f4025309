use std::collections::{BTreeMap, BTreeSet};

use commerce_contract::{Access, Answer, Descriptor, ProblemKind, Route};
use serde_json::{Value, json};

use super::names::{Part, reference};
use super::*;

fn things() -> Descriptor {
    let route = Route {
        operation: "things.create".into(),
        method: "POST".into(),
        path: "/api/things/{id}".into(),
        summary: "Makes a thing".into(),
        access: Access::Public,
        cacheable: false,
        staged: false,
        headers: vec!["x-thing-token".into(), "if-match".into()],
        query: Some(json!({ "type": "object", "properties": { "dry": { "type": "boolean" } } })),
        body: Some(json!({ "type": "object", "properties": { "part": { "$ref": "#/components/schemas/Part" } } })),
        body_kib: None,
        answers: vec![Answer {
            status: 201,
            description: "Made".into(),
            schema: Some(json!({ "$ref": "#/components/schemas/ThingsOne" })),
        }],
        problems: vec![ProblemKind {
            status: 409,
            code: "too_many_things".into(),
        }],
    };
    let schemas = BTreeMap::from([
        ("Part".to_owned(), json!({ "type": "string" })),
        ("ThingsOne".to_owned(), json!({ "type": "object" })),
    ]);
    Descriptor {
        routes: vec![route],
        schemas,
        ..Descriptor::default()
    }
}

fn both() -> Value {
    let (kernel, things) = (kernel_routes::descriptor(), things());
    let kernel = Part {
        name: "kernel",
        descriptor: &kernel,
        is_kernel: true,
    };
    document(
        "Test",
        &[
            kernel,
            Part {
                name: "things",
                descriptor: &things,
                is_kernel: false,
            },
        ],
    )
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(document: &Value, value: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(target)) = members.get("$ref") {
                    assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target}");
                }
                members.values().for_each(|member| walk(document, member));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(document, item)),
            _ => {}
        }
    }
    let document = both();
    walk(&document, &document);
}

#[test]
fn bodies_answers_and_problems_have_names_that_no_other_plugin_can_take() {
    let document = both();
    let operation = &document["paths"]["/api/things/{id}"]["post"];
    assert_eq!(
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/ThingsCreateBody"
    );
    assert_eq!(
        operation["responses"]["201"]["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/ThingsOne"
    );
    assert_eq!(
        document["components"]["schemas"]["ThingsCreateBody"]["properties"]["part"]["$ref"],
        "#/components/schemas/ThingsPart"
    );
    let conflicts = &operation["responses"]["409"]["content"]["application/problem+json"]["schema"]["oneOf"];
    assert!(
        conflicts
            .as_array()
            .unwrap()
            .contains(&reference("ProblemTooManyThings"))
    );
    let codes = document["components"]["schemas"]["ProblemCode"]["enum"]
        .as_array()
        .unwrap();
    assert!(codes.contains(&json!("too_many_things")) && codes.contains(&json!("invalid_body")));
    assert_eq!(
        document["components"]["securitySchemes"]["XThingToken"]["name"],
        "X-Thing-Token"
    );
}

#[test]
fn the_names_are_known_before_there_is_a_document() {
    let document = both();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let names = schema_names("things", &things());
    assert_eq!(names, ["ThingsPart", "ThingsOne", "ThingsCreateBody"]);
    assert!(names.iter().all(|name| schemas.contains_key(name)));
    let kernel = kernel_schema_names();
    assert!(kernel.contains("Problem") && kernel.contains("ProblemNotFound") && kernel.contains("KernelDocsAnswer"));
    assert!(kernel.iter().all(|name| !names.contains(name)));
}

#[test]
fn operation_ids_are_unique_and_the_order_never_changes() {
    let document = both();
    let mut ids = BTreeSet::new();
    for operation in document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
    {
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()));
    }
    assert_eq!(document.to_string(), both().to_string());
}
