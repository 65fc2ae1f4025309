//! What is wrong with a value, as its sender can mend it. Messages never repeat what was sent.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use crate::http::problem::FieldError;

/// More than this helps nobody, and an array of a million wrong items is cheap to send.
pub(super) const MOST_ERRORS: usize = 20;

pub(super) fn errors(validator: &Validator, value: &Value, pointer: impl Fn(&str) -> String) -> Vec<FieldError> {
    if validator.is_valid(value) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for error in validator.iter_errors(value) {
        collect(&error, &pointer, &mut found);
        if found.len() >= MOST_ERRORS {
            found.truncate(MOST_ERRORS);
            break;
        }
    }
    found
}

fn collect(error: &ValidationError<'_>, pointer: &impl Fn(&str) -> String, found: &mut Vec<FieldError>) {
    let path = error.instance_path().as_str();
    let mut push = |path: &str, message: String| {
        found.push(FieldError {
            pointer: pointer(path),
            message,
        })
    };
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            push(
                &member(path, property.as_str().unwrap_or_default()),
                "is required".to_owned(),
            );
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            for name in unexpected {
                push(&member(path, name), "is not known here".to_owned());
            }
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            match (constants(context), meant(context, path)) {
                (Some(allowed), _) => push(path, format!("must be one of {allowed}")),
                (None, Some(branch)) => branch.iter().for_each(|error| collect(error, pointer, found)),
                (None, None) => push(path, error.masked().to_string()),
            }
        }
        _ => push(path, error.masked().to_string()),
    }
}

/// The allowed values, where every branch is one: an enum whose cases have descriptions.
fn constants(branches: &[Vec<ValidationError<'_>>]) -> Option<String> {
    let values: Option<Vec<String>> = branches
        .iter()
        .map(|errors| match errors.as_slice() {
            [error] => match error.kind() {
                ValidationErrorKind::Constant { expected_value } => Some(expected_value.to_string()),
                _ => None,
            },
            _ => None,
        })
        .collect();
    values
        .filter(|values| !values.is_empty())
        .map(|values| values.join(", "))
}

/// The branch that the client most likely meant: one for the type of value that was sent, rather than the `null` that
/// stands for "may be absent"; of several the one with the least wrong.
fn meant<'b, 'e>(branches: &'b [Vec<ValidationError<'e>>], path: &str) -> Option<&'b Vec<ValidationError<'e>>> {
    let is_other_type = |errors: &&Vec<ValidationError<'_>>| {
        errors.iter().any(|error| {
            matches!(error.kind(), ValidationErrorKind::Type { .. }) && error.instance_path().as_str() == path
        })
    };
    let of_that_type = branches.iter().filter(|errors| !is_other_type(errors));
    of_that_type.min_by_key(|errors| errors.len()).or(branches.first())
}

pub(super) fn member(path: &str, name: &str) -> String {
    format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"))
}
