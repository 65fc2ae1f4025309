//! A plugin's settings: its schema, the defaults in it, and what a store's staff set.

use std::sync::Arc;

use commerce_contract::Descriptor;
use jsonschema::Validator;
use serde_json::{Map, Value};

use super::descriptor::with_components;
use super::services;
use crate::http::problem::FieldError;

/// How one plugin's settings are filled in and checked.
pub struct Form {
    /// The top-level defaults of the schema.
    filled: Map<String, Value>,
    /// The same as JSON text: what a store has that set nothing.
    pub defaults: Arc<str>,
    check: Option<Validator>,
}

impl Form {
    pub fn new(descriptor: &Descriptor) -> Result<Self, String> {
        let schema = descriptor.settings.as_ref();
        let properties = schema
            .and_then(|schema| schema.get("properties"))
            .and_then(Value::as_object);
        let defaults = properties.into_iter().flatten();
        let defaults = defaults.filter_map(|(name, schema)| Some((name.clone(), schema.get("default")?.clone())));
        let filled: Map<String, Value> = defaults.collect();
        let check = schema
            .map(|schema| services::compile(&with_components(schema, &descriptor.schemas)))
            .transpose()?;
        Ok(Self {
            defaults: Value::Object(filled.clone()).to_string().into(),
            filled,
            check,
        })
    }

    /// The values with the defaults of what they leave out.
    pub fn fill(&self, values: &Value) -> Value {
        let mut filled = self.filled.clone();
        if let Value::Object(values) = values {
            filled.extend(values.clone());
        }
        Value::Object(filled)
    }

    /// What is wrong with the values, as the staff who entered them can mend it.
    pub fn check(&self, values: &Value) -> Vec<FieldError> {
        let error = |pointer: String, message: String| FieldError { pointer, message };
        if !values.is_object() {
            return vec![error(String::new(), "settings are a JSON object".to_owned())];
        }
        let Some(check) = &self.check else {
            let empty = values.as_object().is_some_and(Map::is_empty);
            return if empty {
                Vec::new()
            } else {
                vec![error(String::new(), "this plugin has no settings".to_owned())]
            };
        };
        let filled = self.fill(values);
        check
            .iter_errors(&filled)
            .map(|found| error(found.instance_path().to_string(), found.to_string()))
            .collect()
    }
}
