//! Service contracts: how plugins extend each other without the kernel or each other's code knowing what it is about.
//!
//! A contract is a data file, published with the SDK and carried by every package that provides or calls the service. Two
//! packages mean the same service if and only if their contracts have one digest.

use std::collections::BTreeMap;

use commerce_contract::{Descriptor, ServiceContract, canonical_json};
use jsonschema::Validator;
use serde_json::Value;

use super::names;
use super::package::sha256;

#[derive(Clone, Debug)]
pub struct Contract {
    /// SHA-256 of the canonical text.
    pub digest: String,
    /// The file as the package has it.
    pub text: String,
    pub contract: ServiceContract,
}

impl Contract {
    pub fn read(text: &str) -> Result<Self, String> {
        let not_one = |error: serde_json::Error| format!("not a service contract: {error}");
        let value: Value = serde_json::from_str(text).map_err(not_one)?;
        let digest = sha256(canonical_json(&value).as_bytes());
        let contract: ServiceContract = serde_json::from_value(value).map_err(not_one)?;
        if !names::is_service(&contract.name) {
            return Err(format!(
                "`{}` is not a service's name such as `greeting@1`",
                contract.name
            ));
        }
        for (name, function) in &contract.functions {
            if !names::is_name(name) {
                return Err(format!("`{}`: `{name}` can't be a function's name", contract.name));
            }
            for schema in [&function.payload, &function.answer] {
                compile(schema).map_err(|error| format!("`{}`, function `{name}`: {error}", contract.name))?;
            }
        }
        Ok(Self {
            digest,
            text: text.to_owned(),
            contract,
        })
    }

    pub fn name(&self) -> &str {
        &self.contract.name
    }

    /// Whether a plugin that says it provides this service has the functions for it.
    pub fn check_provider(&self, descriptor: &Descriptor) -> Result<(), String> {
        let provided = descriptor
            .provides
            .get(self.name())
            .map(Vec::as_slice)
            .unwrap_or_default();
        for function in self.contract.functions.keys() {
            let exists = descriptor.functions.iter().any(|offered| offered.name == *function);
            if !exists || !provided.contains(function) {
                return Err(format!(
                    "it provides `{}` without its function `{function}`",
                    self.name()
                ));
            }
        }
        Ok(())
    }
}

/// Compiles a schema without ever fetching what it refers to.
pub(super) fn compile(schema: &Value) -> Result<Validator, String> {
    jsonschema::draft202012::new(schema).map_err(|error| format!("not a JSON Schema 2020-12: {error}"))
}

/// What was sent through a service must be what its contract says, in both directions: a caller relies on it without
/// knowing the provider.
#[derive(Debug)]
pub struct Checks {
    pub payload: Validator,
    pub answer: Validator,
}

/// The compiled checks of one contract, made when a plugin that calls it is loaded.
pub fn checks(contract: &Contract) -> Result<BTreeMap<String, Checks>, String> {
    contract
        .contract
        .functions
        .iter()
        .map(|(name, function)| {
            let checks = Checks {
                payload: compile(&function.payload)?,
                answer: compile(&function.answer)?,
            };
            Ok((name.clone(), checks))
        })
        .collect()
}
