//! Service contracts: how plugins extend each other without the kernel or each other's code knowing what it is about.
//!
//! A contract is a data file, published with the SDK and carried byte for byte by every package that provides or calls the
//! service. Two packages mean the same service if and only if their contracts have one digest.

use std::collections::BTreeMap;

use commerce_contract::Descriptor;
use jsonschema::Validator;
use serde::Deserialize;
use serde_json::Value;

use super::names;
use super::package::sha256;

#[derive(Clone, Debug)]
pub struct Contract {
    /// `shipping@1`
    pub name: String,
    pub digest: String,
    /// The file, byte for byte.
    pub text: String,
    pub functions: BTreeMap<String, ContractFunction>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ContractFunction {
    pub payload: Value,
    pub answer: Value,
}

#[derive(Deserialize)]
struct File {
    service: String,
    functions: BTreeMap<String, ContractFunction>,
}

impl Contract {
    pub fn read(text: &str) -> Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|error| format!("not a service contract: {error}"))?;
        if !names::is_service(&file.service) {
            return Err(format!("`{}` is not a service's name such as `shipping@1`", file.service));
        }
        for (name, function) in &file.functions {
            if !names::is_name(name) {
                return Err(format!("`{}`: `{name}` can't be a function's name", file.service));
            }
            for schema in [&function.payload, &function.answer] {
                compile(schema).map_err(|error| format!("`{}`, function `{name}`: {error}", file.service))?;
            }
        }
        Ok(Self { name: file.service, digest: sha256(text.as_bytes()), text: text.to_owned(), functions: file.functions })
    }

    /// Whether a plugin that says it provides this service has the functions for it.
    pub fn check_provider(&self, descriptor: &Descriptor) -> Result<(), String> {
        let provided = descriptor.provides.get(&self.name).map(Vec::as_slice).unwrap_or_default();
        for function in self.functions.keys() {
            let exists = descriptor.functions.iter().any(|offered| offered.name == *function);
            if !exists || !provided.contains(function) {
                return Err(format!("it provides `{}` without its function `{function}`", self.name));
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
        .functions
        .iter()
        .map(|(name, function)| {
            let checks = Checks { payload: compile(&function.payload)?, answer: compile(&function.answer)? };
            Ok((name.clone(), checks))
        })
        .collect()
}
