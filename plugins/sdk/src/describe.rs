//! JSON Schemas of the plugin's types. Only `describe` comes here, once at install, so what it costs does not matter.

use std::collections::BTreeMap;

use commerce_contract::JsonSchema as SchemaText;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

/// Where the OpenAPI document keeps named schemas.
const NAMED: &str = "#/components/schemas/";

/// Collects the schemas that a descriptor refers to.
///
/// A type that is both taken and answered has two schemas: a field with a default may be left out on the way in and is
/// always there on the way out. Where they differ, the one taken is named `NameInput`.
pub struct Schemas {
    taken: SchemaGenerator,
    answered: SchemaGenerator,
}

impl Schemas {
    pub(crate) fn new() -> Self {
        let settings =
            || SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = "/components/schemas".into());
        Self {
            taken: settings().for_deserialize().into_generator(),
            answered: settings().for_serialize().into_generator(),
        }
    }

    /// Of what comes in: bodies, payloads, settings.
    pub fn taken<T: JsonSchema>(&mut self) -> SchemaText {
        self.taken.subschema_for::<T>().to_value()
    }

    /// As [`Schemas::taken`], written in place: a query's properties must be readable without following a reference.
    pub fn taken_inline<T: JsonSchema>(&mut self) -> SchemaText {
        T::json_schema(&mut self.taken).to_value()
    }

    /// Of what goes out: answers and events.
    pub fn answered<T: JsonSchema>(&mut self) -> SchemaText {
        self.answered.subschema_for::<T>().to_value()
    }

    /// The named schemas, and how to rewrite those schemas in the descriptor that were [`Schemas::taken`].
    pub(crate) fn finish(mut self) -> (BTreeMap<String, SchemaText>, Renames) {
        let mut named: BTreeMap<_, _> = self.answered.take_definitions(true).into_iter().collect();
        let taken: BTreeMap<_, _> = self.taken.take_definitions(true).into_iter().collect();
        let renames = Renames::between(&taken, &named);
        for (name, mut schema) in taken {
            renames.apply(&mut schema);
            named.insert(renames.name(&name), schema);
        }
        (named, renames)
    }
}

/// Names of taken schemas that differ from the answered schema of the same name, by themselves or by what they refer to.
pub(crate) struct Renames(Vec<String>);

impl Renames {
    fn between(taken: &BTreeMap<String, Value>, answered: &BTreeMap<String, Value>) -> Self {
        let shared = |name: &String| answered.contains_key(name);
        let mut renames = Self(
            taken
                .iter()
                .filter(|(name, schema)| shared(name) && answered[*name] != **schema)
                .map(|(name, _)| name.clone())
                .collect(),
        );
        while let Some(name) = taken.iter().find_map(|(name, schema)| {
            (shared(name) && !renames.0.contains(name) && renames.concern(schema)).then(|| name.clone())
        }) {
            renames.0.push(name);
        }
        renames
    }

    fn name(&self, name: &str) -> String {
        if self.0.iter().any(|renamed| renamed == name) {
            format!("{name}Input")
        } else {
            name.to_owned()
        }
    }

    fn concern(&self, schema: &Value) -> bool {
        let mut rewritten = schema.clone();
        self.apply(&mut rewritten);
        rewritten != *schema
    }

    pub(crate) fn apply(&self, schema: &mut Value) {
        match schema {
            Value::Object(members) => {
                for (key, value) in members {
                    match value {
                        Value::String(target) if key == "$ref" => {
                            if let Some(name) = target.strip_prefix(NAMED) {
                                *target = format!("{NAMED}{}", self.name(name));
                            }
                        }
                        value => self.apply(value),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.apply(item)),
            _ => {}
        }
    }
}
