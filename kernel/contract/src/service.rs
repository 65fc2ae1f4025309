use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::JsonSchema;

/// A service contract such as `shipping@1`: a data file that everybody who provides or calls the service carries.
/// Once published it never changes; another shape is another version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceContract {
    /// `shipping@1`
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    pub functions: BTreeMap<String, ServiceFunction>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceFunction {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Each schema is complete in itself: references stay within it.
    pub payload: JsonSchema,
    pub answer: JsonSchema,
}

/// The text of a JSON value with its members sorted and no space between them. The SHA-256 of a contract file's
/// canonical text is the contract's identity, however the file is laid out.
pub fn canonical_json(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            // Whether serde_json keeps members sorted depends on a feature that any crate of a build may switch.
            let sorted: BTreeMap<_, _> = members.iter().collect();
            let members: Vec<_> = sorted
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical_json(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical_json).collect::<Vec<_>>().join(",")),
        scalar => scalar.to_string(),
    }
}
