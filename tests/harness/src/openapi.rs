//! Checks answers against the kernel's own OpenAPI document: status, content type and schema, for every request that
//! a test makes.

use std::collections::HashMap;
use std::sync::Arc;

use jsonschema::Validator;
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::Answer;

#[derive(Clone)]
pub struct OpenApi {
    inner: Arc<Inner>,
}

struct Inner {
    document: Value,
    /// Path templates, cut at their slashes.
    paths: Vec<(Vec<String>, String)>,
    /// One for each schema that was met: compiling is the expensive part.
    validators: std::sync::Mutex<HashMap<String, Arc<Validator>>>,
}

impl OpenApi {
    pub fn new(document: Value) -> Self {
        let paths = document["paths"].as_object().expect("an OpenAPI document with paths");
        let paths = paths
            .keys()
            .map(|path| (path.split('/').map(str::to_owned).collect(), path.clone()))
            .collect();
        Self {
            inner: Arc::new(Inner {
                document,
                paths,
                validators: Default::default(),
            }),
        }
    }

    pub fn document(&self) -> &Value {
        &self.inner.document
    }

    /// Panics where the answer is not what the document promises.
    pub fn check(&self, method: &Method, path: &str, answer: &Answer) {
        let path = path.split('?').next().unwrap_or(path);
        let Some(template) = self.template(path) else {
            assert!(
                answer.status >= 400,
                "{method} {path} answered {} and is not in the document",
                answer.status
            );
            return;
        };
        let operation = &self.inner.document["paths"][template][method.as_str().to_ascii_lowercase()];
        if operation.is_null() {
            // 405, 404, or a preflight.
            return;
        }
        let responses = &operation["responses"];
        let status = answer.status.to_string();
        let response = match responses.get(&status) {
            Some(response) => response,
            None => match responses.get("default") {
                Some(response) if answer.status >= 400 => response,
                _ => panic!(
                    "{method} {template} answered {status}, which the document does not list:\n{}",
                    answer.text
                ),
            },
        };
        let response = self.resolve(response);
        let content_type = answer.header("content-type").unwrap_or_default();
        let media = content_type.split(';').next().unwrap_or_default().trim();
        let Some(content) = response.get("content") else {
            return;
        };
        if answer.text.is_empty() {
            return;
        }
        let schema = content.get(media).unwrap_or_else(|| {
            panic!("{method} {template} answered {status} as {media:?}, which the document does not list")
        });
        let Some(schema) = schema.get("schema") else { return };
        if !media.ends_with("json") {
            return;
        }
        let validator = self.validator(schema);
        let errors: Vec<String> = validator
            .iter_errors(&answer.body)
            .map(|e| format!("{}: {e}", e.instance_path()))
            .collect();
        assert!(
            errors.is_empty(),
            "{method} {template} {status} is not what the document says:\n{errors:#?}\n{}",
            answer.text
        );
    }

    fn template(&self, path: &str) -> Option<&str> {
        let parts: Vec<&str> = path.split('/').collect();
        let fits = |template: &[String]| {
            template.len() == parts.len() && template.iter().zip(&parts).all(|(t, p)| t.starts_with('{') || t == p)
        };
        // A literal segment wins over a parameter, as it does in the kernel.
        self.inner
            .paths
            .iter()
            .filter(|(template, _)| fits(template))
            .min_by_key(|(template, _)| template.iter().filter(|part| part.starts_with('{')).count())
            .map(|(_, path)| path.as_str())
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self
                .inner
                .document
                .pointer(&reference[1..])
                .expect("a reference that resolves"),
            None => value,
        }
    }

    fn validator(&self, schema: &Value) -> Arc<Validator> {
        let key = schema.to_string();
        let mut validators = self.inner.validators.lock().unwrap();
        validators
            .entry(key)
            .or_insert_with(|| {
                let whole = json!({
                    "$schema": "https://json-schema.org/draft/2020-12/schema",
                    "allOf": [schema],
                    "components": self.inner.document["components"],
                });
                Arc::new(jsonschema::validator_for(&whole).expect("a schema of the document"))
            })
            .clone()
    }
}
