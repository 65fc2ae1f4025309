//! Service contracts: which ones a package carries, and what identifies one.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use commerce_contract::{Manifest, ServiceContract, canonical_json};
use sha2::{Digest, Sha256};

use crate::{BuildError, vendored};

/// The contracts of the services that the plugin provides or calls: from the plugin's own `contracts/<service>.json`,
/// else those published with the SDK.
pub(crate) fn carried(manifest: &Manifest, folder: &Path) -> Result<Vec<String>, BuildError> {
    let asked = &manifest.capabilities;
    let services: BTreeSet<&String> = asked.provides.iter().chain(&asked.services).collect();
    services.into_iter().map(|service| contract(service, folder)).collect()
}

fn contract(service: &str, folder: &Path) -> Result<String, BuildError> {
    let path = folder.join(format!("{service}.json"));
    let text = if path.exists() {
        fs::read_to_string(&path).map_err(BuildError::file(&path))?
    } else {
        let published = vendored::contract(service);
        published
            .ok_or_else(|| BuildError::UnknownService {
                service: service.to_owned(),
                path: path.clone(),
            })?
            .to_owned()
    };
    match serde_json::from_str::<ServiceContract>(&text) {
        Ok(contract) if contract.name == service => Ok(text),
        Ok(contract) => Err(BuildError::Source {
            path,
            reason: format!("is the contract of {}", contract.name),
        }),
        Err(error) => Err(BuildError::Source {
            path,
            reason: format!("is not a service contract: {error}"),
        }),
    }
}

/// SHA-256 of a contract file's canonical JSON, in hexadecimal.
pub fn digest(text: &str) -> Result<String, serde_json::Error> {
    let value = serde_json::from_str(text)?;
    Ok(hex::encode(Sha256::digest(canonical_json(&value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_and_order_of_members_do_not_change_a_contracts_digest() {
        let one = digest(r#"{"name": "a@1", "functions": {"x": [1, "é"]}}"#).unwrap();
        assert_eq!(digest(r#"{"functions":{"x":[1,"é"]},"name":"a@1"}"#).unwrap(), one);
        assert_ne!(digest(r#"{"functions":{"x":["é",1]},"name":"a@1"}"#).unwrap(), one);
    }

    #[test]
    fn every_published_contract_is_one() {
        for service in ["shipping@1", "pricing@1", "payment@1", "tax@1", "notification@1"] {
            contract(service, Path::new("none")).unwrap();
        }
    }
}
