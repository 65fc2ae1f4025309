//! One `.wasm` file that is a component and everything that belongs to the plugin.

use std::borrow::Cow;
use std::collections::BTreeSet;

use commerce_contract::sections;
use wasm_encoder::{ComponentSection, CustomSection, Encode, Module, RawSection};
use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

use crate::BuildError;
use crate::sources::Sources;

pub(crate) fn assemble(core: &[u8], sources: &Sources) -> Result<Vec<u8>, BuildError> {
    let (core, sql) = take_sql(core)?;
    if !sql.is_empty() && !sources.manifest.capabilities.sql {
        let reason = "the plugin runs SQL: write `sql = true` under [capabilities] of plugin.toml";
        return Err(BuildError::Manifest(reason.to_owned()));
    }
    let mut package = component(&core)?;
    append(&mut package, sections::MANIFEST, sources.manifest_text.as_bytes());
    append(&mut package, sections::MIGRATIONS, &json(&sources.migrations));
    append(&mut package, sections::CONTRACTS, &json(&sources.contracts));
    append(&mut package, sections::SQL, &nul_terminated(&sql));
    Ok(package)
}

fn component(core: &[u8]) -> Result<Vec<u8>, BuildError> {
    let encode = || ComponentEncoder::default().validate(true).module(core)?.encode();
    encode().map_err(|error| BuildError::Component(format!("{error:#}")))
}

/// The module without its section of SQL texts, and those texts, each once: the section is written by the linker, in
/// an order of its own.
fn take_sql(core: &[u8]) -> Result<(Vec<u8>, BTreeSet<&str>), BuildError> {
    let mut module = Module::new();
    let mut texts = BTreeSet::new();
    for payload in Parser::new(0).parse_all(core) {
        let payload = payload.map_err(|error| BuildError::Component(error.to_string()))?;
        match &payload {
            Payload::CustomSection(section) if section.name() == sections::SQL => {
                let text = str::from_utf8(section.data()).map_err(|error| BuildError::Component(error.to_string()))?;
                texts.extend(text.split_terminator('\0'));
            }
            payload => {
                if let Some((id, range)) = payload.as_section() {
                    module.section(&RawSection { id, data: &core[range] });
                }
            }
        }
    }
    Ok((module.finish(), texts))
}

fn append(package: &mut Vec<u8>, name: &str, data: &[u8]) {
    let section = CustomSection {
        name: Cow::Borrowed(name),
        data: Cow::Borrowed(data),
    };
    package.push(ComponentSection::id(&section));
    section.encode(package);
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("made of texts and lists only")
}

fn nul_terminated(texts: &BTreeSet<&str>) -> Vec<u8> {
    texts.iter().flat_map(|text| text.bytes().chain([0])).collect()
}
