//! What things are called in the document: a plugin's names behind its own, so that no two meet.

use std::collections::BTreeSet;

use commerce_contract::{Answer, Descriptor, JsonSchema, Route};
use serde_json::{Map, Value, json};

use crate::http::kernel_routes;
use crate::http::problem::Code;

/// One plugin, or the kernel, as the document names it.
pub(super) struct Part<'a> {
    pub name: &'a str,
    pub descriptor: &'a Descriptor,
    pub is_kernel: bool,
}

/// What the schemas of a plugin are called in the document; a name that is there twice would be two things.
pub fn schema_names(plugin: &str, descriptor: &Descriptor) -> Vec<String> {
    names_of(&Part {
        name: plugin,
        descriptor,
        is_kernel: false,
    })
}

/// The names that no plugin's schema can have.
pub fn kernel_schema_names() -> BTreeSet<String> {
    let kernel = kernel_routes::descriptor();
    let part = Part {
        name: "kernel",
        descriptor: &kernel,
        is_kernel: true,
    };
    let own = ["Problem", "ProblemCode", "FieldError"].map(str::to_owned);
    let problems = Code::ALL.iter().map(|code| problem_name(code.as_str()));
    names_of(&part).into_iter().chain(own).chain(problems).collect()
}

fn names_of(part: &Part<'_>) -> Vec<String> {
    let is_nameless = |schema: &JsonSchema| schema.get("$ref").is_none();
    let named = part.descriptor.schemas.keys().map(|name| part.schema_name(name));
    let of_routes = part.descriptor.routes.iter().flat_map(|route| {
        let body = route
            .body
            .iter()
            .filter(|schema| is_nameless(schema))
            .map(|_| body_name(route));
        let answers = route
            .answers
            .iter()
            .filter(|answer| answer.schema.as_ref().is_some_and(is_nameless))
            .map(|answer| answer_name(route, answer));
        body.chain(answers)
    });
    named.chain(of_routes).collect()
}

pub(super) fn body_name(route: &Route) -> String {
    format!("{}Body", pascal(&route.operation))
}

pub(super) fn answer_name(route: &Route, answer: &Answer) -> String {
    let several = route.answers.iter().filter(|answer| answer.schema.is_some()).count() > 1;
    let status = if several {
        answer.status.to_string()
    } else {
        String::new()
    };
    format!("{}Answer{status}", pascal(&route.operation))
}

impl Part<'_> {
    pub fn schema_name(&self, name: &str) -> String {
        let own = pascal(self.name);
        if self.is_kernel || name.starts_with(&own) {
            name.to_owned()
        } else {
            format!("{own}{name}")
        }
    }

    /// The schema with the plugin's references renamed, and without what only stands at the root of a document of its own.
    pub fn rename(&self, schema: &Value) -> Value {
        match schema {
            Value::Object(members) => members
                .iter()
                .filter(|(name, _)| *name != "$schema")
                .map(|(name, member)| {
                    let target = member
                        .as_str()
                        .filter(|_| name == "$ref")
                        .and_then(|text| text.strip_prefix(SCHEMAS));
                    let renamed = target.map_or_else(
                        || self.rename(member),
                        |target| format!("{SCHEMAS}{}", self.schema_name(target)).into(),
                    );
                    (name.clone(), renamed)
                })
                .collect::<Map<_, _>>()
                .into(),
            Value::Array(items) => items.iter().map(|item| self.rename(item)).collect(),
            other => other.clone(),
        }
    }
}

const SCHEMAS: &str = "#/components/schemas/";

pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("{SCHEMAS}{name}") })
}

pub(super) fn problem_name(code: &str) -> String {
    format!("Problem{}", pascal(code))
}

/// `notes.list_items` and `x-note-token` as type names: `NotesListItems`, `XNoteToken`.
pub(super) fn pascal(name: &str) -> String {
    name.split(['.', '_', '-', ' '])
        .map(|word| {
            let mut word = word.to_owned();
            if let Some(first) = word.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            word
        })
        .collect()
}
