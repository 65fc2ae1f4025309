//! What a store's staff sets of a plugin, and what it may be.

use serde_json::{Value, json};

use super::refused;
use crate::control::Operator;
use crate::http::problem::{Code, Problem};
use crate::plugins::InstallError;

impl Operator {
    pub(super) async fn settings(&self, plugin: &str, store: &str, values: Option<Value>) -> Result<Value, Problem> {
        let number = self.store(store)?.number;
        let plugins = &self.kernel.plugins;
        let installed = plugins.installed();
        let known = installed
            .plugin(plugin)
            .ok_or_else(|| refused(InstallError::NotInstalled(plugin.to_owned())))?;
        let schema = known.descriptor.settings.as_ref();
        if let Some(values) = values {
            refuse_unknown(&values, schema)?;
            plugins.set_settings(plugin, number, &values).await.map_err(refused)?;
        }
        let values = plugins.settings(plugin, number).map_err(refused)?;
        Ok(json!({ "values": values, "schema": schema }))
    }
}

/// A misspelt key would be kept, and mean nothing to anybody. A schema may say that it takes further ones.
fn refuse_unknown(values: &Value, schema: Option<&Value>) -> Result<(), Problem> {
    let Some(schema) = schema else { return Ok(()) };
    let takes_more = |key: &str| schema.get(key).is_some_and(|rule| *rule != json!(false));
    if takes_more("additionalProperties") || takes_more("patternProperties") {
        return Ok(());
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let names: Vec<&str> = properties
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    let mut problem = Problem::new(
        Code::InvalidBody,
        format!("These settings are not valid. There are: {}.", names.join(", ")),
    );
    for name in values.as_object().into_iter().flatten().map(|(name, _)| name) {
        if !names.contains(&name.as_str()) {
            problem = problem.with_error(format!("/{name}"), "is not known here");
        }
    }
    if problem.errors.is_empty() {
        Ok(())
    } else {
        Err(problem)
    }
}
