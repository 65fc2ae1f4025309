use serde_json::json;

use super::errors::MOST_ERRORS;
use super::*;

fn signing_up() -> BodySchema {
    let named = BTreeMap::from([("Secret".to_owned(), json!({ "type": "string", "minLength": 10 }))]);
    let schema = json!({
        "type": "object", "required": ["email", "password"], "additionalProperties": false,
        "properties": { "email": { "type": "string", "format": "email" }, "password": { "$ref": "#/components/schemas/Secret" } },
    });
    BodySchema::compile(&schema, &named).unwrap()
}

#[test]
fn errors_point_to_members_and_never_repeat_a_password() {
    let problem = signing_up()
        .check(&json!({ "password": "hunter2", "role": "owner" }))
        .unwrap_err();
    let text = String::from_utf8(problem.to_json("req_1")).unwrap();
    assert!(!text.contains("hunter2") && !text.contains("\"owner\""), "{text}");
    let mut pointers: Vec<_> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/email", "/password", "/role"]);
}

#[test]
fn a_member_given_twice_cannot_slip_past_the_check() {
    assert_eq!(
        parse_json(br#"{"quantity": -5, "quantity": 1}"#).unwrap_err().status,
        400
    );
    assert_eq!(parse_json(br#"{"a": [{"b": 1, "b": 2}]}"#).unwrap_err().status, 400);
    assert_eq!(parse_json(br#"{"a": 1} x"#).unwrap_err().status, 400);
    assert_eq!(parse_json("[".repeat(100_000).as_bytes()).unwrap_err().status, 400);
    assert_eq!(
        parse_json(br#"{"a": [1, 2.5, "x", null, true]}"#).unwrap(),
        json!({ "a": [1, 2.5, "x", null, true] })
    );
}

fn listing() -> QuerySchema {
    let schema = json!({
        "type": "object", "additionalProperties": false,
        "properties": {
            "limit": { "type": ["integer", "null"], "minimum": 1, "maximum": 100 },
            "finished": { "anyOf": [{ "type": "boolean" }, { "type": "null" }] },
            "tag": { "type": "array", "items": { "type": "string" } },
            "q": { "type": "string" },
        },
    });
    QuerySchema::compile(&schema, &BTreeMap::new()).unwrap()
}

#[test]
fn parameters_are_checked_as_the_types_that_the_schema_names() {
    assert!(listing().check("limit=20&finished=true&tag=a&tag=b&q=12").is_ok());
    for (query, pointer) in [
        ("limit=twenty", "?limit"),
        ("limit=101", "?limit"),
        ("finished=maybe", "?finished"),
        ("sort=size", "?sort"),
        ("q=a&q=b", "?q"),
    ] {
        let problem = listing().check(query).unwrap_err();
        assert_eq!(
            (problem.code.as_str(), problem.errors[0].pointer.as_str()),
            ("invalid_query", pointer),
            "{query}"
        );
    }
    assert_eq!(listing().check("q=%ff").unwrap_err().status, 422);
}

#[test]
fn a_million_wrong_items_give_a_short_answer() {
    let schema = BodySchema::compile(
        &json!({ "type": "array", "items": { "type": "string" } }),
        &BTreeMap::new(),
    )
    .unwrap();
    let problem = schema.check(&json!(vec![1; 1_000_000])).unwrap_err();
    assert_eq!(problem.errors.len(), MOST_ERRORS);
}

#[test]
fn a_nul_is_found_wherever_it_hides() {
    let pointer = |value: Value| {
        refuse_nul(&value)
            .err()
            .map(|problem| problem.errors[0].pointer.clone())
    };
    assert_eq!(pointer(json!({ "a": [1, "x", null], "b": "\\u0000" })), None);
    assert_eq!(
        pointer(json!({ "a": ["x", { "b/c": "y\0" }] })).as_deref(),
        Some("/a/1/b~1c")
    );
    assert_eq!(
        pointer(json!({ "a": ["x"], "b": [{ "c\0": 1 }] })).as_deref(),
        Some("/b/0")
    );
    assert_eq!(pointer(json!("\0")).as_deref(), Some(""));
    assert!(refuse_nul_in_query("q=%2500&limit=1").is_ok());
    let problem = refuse_nul_in_query("limit=1&q=a%00").unwrap_err();
    assert_eq!((problem.status, problem.errors[0].pointer.as_str()), (422, "?q"));
}

#[test]
fn of_several_forms_the_one_that_was_meant_is_told() {
    let amount = json!({ "type": "object", "required": ["amount", "currency"], "properties": {
        "amount": { "type": "integer", "maximum": 9007199254740991_i64 }, "currency": { "type": "string" } } });
    let schema = json!({ "type": "object", "properties": {
        "price": { "anyOf": [{ "$ref": "#/components/schemas/Money" }, { "type": "null" }] },
        "weight": { "anyOf": [{ "type": "null" }, { "type": "integer", "minimum": 0 }] },
        "status": { "oneOf": [{ "const": "draft" }, { "const": "active" }] } } });
    let schema = BodySchema::compile(&schema, &BTreeMap::from([("Money".to_owned(), amount)])).unwrap();
    let told = |body: Value| {
        let problem = schema.check(&body).unwrap_err();
        let error = &problem.errors[0];
        assert_eq!(problem.errors.len(), 1, "{problem:?}");
        (error.pointer.clone(), error.message.clone())
    };
    assert_eq!(
        told(json!({ "price": { "amount": 1.5, "currency": "USD" } })).0,
        "/price/amount"
    );
    assert_eq!(
        told(json!({ "price": { "amount": 1 } })),
        ("/price/currency".to_owned(), "is required".to_owned())
    );
    assert_eq!(told(json!({ "weight": -1 })).0, "/weight");
    assert!(told(json!({ "weight": -1 })).1.contains("minimum"));
    assert_eq!(
        told(json!({ "status": "gone" })),
        ("/status".to_owned(), r#"must be one of "draft", "active""#.to_owned())
    );
}
