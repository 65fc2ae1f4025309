//! A package: one `.wasm` component with its manifest, migrations, SQL texts and service contracts in custom sections.
//!
//! Reading one runs nothing of it and trusts nothing in it: every section is bounded, every name is checked, and what the
//! component imports and exports is read from the component itself. The SHA-256 of the file is the package's identity.

use std::collections::{BTreeMap, BTreeSet};

use commerce_contract::{Manifest, sections};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use wasmparser::{Encoding, Parser, Payload};

use super::names;
use super::services::Contract;

/// JavaScript and Python guests carry their interpreter: 12 to 18 MB.
const MAX_PACKAGE_BYTES: usize = 64 << 20;
const MAX_MANIFEST_BYTES: usize = 64 << 10;
const MAX_SECTION_BYTES: usize = 4 << 20;
const MAX_MIGRATIONS: usize = 1_000;
const MAX_SQL_TEXTS: usize = 4_000;

/// The versions of `commerce:kernel` this kernel can run.
const CONTRACT: semver::Version = semver::Version::new(0, 1, 0);

/// Interfaces that only carry types or that every plugin has, and the capabilities.
const IMPORTS: [&str; 12] = [
    "types", "sql", "plugins", "events", "jobs", "cache", "http", "settings", "secrets", "log", "clock", "ids",
];
const EXPORTS: [&str; 6] = ["types", "describe", "handle", "call", "consume", "run"];

#[derive(Clone, Debug)]
pub struct Package {
    /// SHA-256 of the file, lower-case hex.
    pub digest: String,
    pub bytes: Vec<u8>,
    pub manifest: Manifest,
    pub version: semver::Version,
    /// In the order of their file names.
    pub migrations: Vec<Migration>,
    /// Static SQL texts, without duplicates.
    pub sql: Vec<String>,
    /// Service contracts that it provides or calls, by `name@version`.
    pub contracts: BTreeMap<String, Contract>,
    /// Capability interfaces that the component really imports: `sql`, `http`, …
    pub imports: BTreeSet<String>,
    /// Kinds that it really exports: `describe`, `handle`, …
    pub exports: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Migration {
    pub file: String,
    pub text: String,
}

impl Migration {
    /// What the registry remembers, so that a file that was applied can never be edited afterwards.
    pub fn checksum(&self) -> String {
        sha256(self.text.as_bytes())
    }
}

/// Why a file is not a package. The text is for the plugin's author.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PackageError {
    #[error("the package has {0} bytes; at most {MAX_PACKAGE_BYTES} are allowed")]
    TooLarge(usize),
    #[error("this is a core module, not a component; build it with `commerce plugin build`")]
    NotAComponent,
    #[error("not a readable WebAssembly component: {0}")]
    Malformed(String),
    #[error("the package has no section `{0}`; build it with `commerce plugin build`")]
    MissingSection(&'static str),
    #[error("section `{section}`: {reason}")]
    Section { section: &'static str, reason: String },
    #[error("plugin.toml: {0}")]
    Manifest(String),
    #[error("it imports `{0}`, which commerce:kernel@0.1 does not have")]
    UnknownImport(String),
    #[error("it exports `{0}`, which commerce:kernel@0.1 does not know")]
    UnknownExport(String),
    #[error("it does not export commerce:kernel/describe")]
    NoDescribe,
}

impl Package {
    pub fn read(bytes: Vec<u8>) -> Result<Self, PackageError> {
        if bytes.len() > MAX_PACKAGE_BYTES {
            return Err(PackageError::TooLarge(bytes.len()));
        }
        let outline = Outline::read(&bytes)?;
        let manifest = read_manifest(outline.section(sections::MANIFEST)?)?;
        let version = check_manifest(&manifest)?;
        let package = Self {
            digest: sha256(&bytes),
            migrations: read_migrations(outline.optional(sections::MIGRATIONS)?)?,
            sql: read_sql(outline.optional(sections::SQL)?)?,
            contracts: read_contracts(outline.optional(sections::CONTRACTS)?)?,
            imports: outline.imports,
            exports: outline.exports,
            manifest,
            version,
            bytes,
        };
        if !package.exports.contains("describe") {
            return Err(PackageError::NoDescribe);
        }
        package.check_services()?;
        Ok(package)
    }

    pub fn name(&self) -> &str {
        &self.manifest.plugin.name
    }

    /// A contract rides in every package that provides or calls its service, so that the kernel can compare them.
    fn check_services(&self) -> Result<(), PackageError> {
        let capabilities = &self.manifest.capabilities;
        match capabilities
            .services
            .iter()
            .chain(&capabilities.provides)
            .find(|name| !self.contracts.contains_key(*name))
        {
            Some(name) => Err(PackageError::Section {
                section: sections::CONTRACTS,
                reason: format!("the contract of `{name}`, named in plugin.toml, is missing"),
            }),
            None => Ok(()),
        }
    }
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// What the outermost layer of the component says; nested modules and components are not looked into.
struct Outline<'a> {
    sections: BTreeMap<&'static str, &'a [u8]>,
    imports: BTreeSet<String>,
    exports: BTreeSet<String>,
}

impl<'a> Outline<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, PackageError> {
        let malformed = |error: wasmparser::BinaryReaderError| PackageError::Malformed(error.to_string());
        let mut outline = Self {
            sections: BTreeMap::new(),
            imports: BTreeSet::new(),
            exports: BTreeSet::new(),
        };
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(malformed)? {
                Payload::Version { encoding, .. } if depth == 0 && encoding != Encoding::Component => {
                    return Err(PackageError::NotAComponent);
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                _ if depth > 0 => {}
                Payload::ComponentImportSection(imports) => {
                    for import in imports {
                        let name = import.map_err(malformed)?.name.name;
                        let interface = interface(name).filter(|interface| IMPORTS.contains(interface));
                        let interface = interface.ok_or_else(|| PackageError::UnknownImport(shorten(name)))?;
                        outline.imports.insert(interface.to_owned());
                    }
                }
                Payload::ComponentExportSection(exports) => {
                    for export in exports {
                        let name = export.map_err(malformed)?.name.name;
                        let interface = interface(name).filter(|interface| EXPORTS.contains(interface));
                        let interface = interface.ok_or_else(|| PackageError::UnknownExport(shorten(name)))?;
                        outline.exports.insert(interface.to_owned());
                    }
                }
                Payload::CustomSection(section) => outline.keep(section.name(), section.data())?,
                _ => {}
            }
        }
        Ok(outline)
    }

    fn keep(&mut self, name: &str, data: &'a [u8]) -> Result<(), PackageError> {
        let known = [
            sections::MANIFEST,
            sections::MIGRATIONS,
            sections::SQL,
            sections::CONTRACTS,
        ];
        let Some(section) = known.into_iter().find(|known| *known == name) else {
            return Ok(());
        };
        let most = if section == sections::MANIFEST {
            MAX_MANIFEST_BYTES
        } else {
            MAX_SECTION_BYTES
        };
        if data.len() > most {
            return Err(PackageError::Section {
                section,
                reason: format!("larger than {most} bytes"),
            });
        }
        // A second one could show the operator another manifest than the one that counts.
        if self.sections.insert(section, data).is_some() {
            return Err(PackageError::Section {
                section,
                reason: "appears twice".to_owned(),
            });
        }
        Ok(())
    }

    fn optional(&self, section: &'static str) -> Result<Option<&'a str>, PackageError> {
        let Some(data) = self.sections.get(section) else {
            return Ok(None);
        };
        let text = std::str::from_utf8(data);
        text.map(Some).map_err(|_| PackageError::Section {
            section,
            reason: "not UTF-8".to_owned(),
        })
    }

    fn section(&self, section: &'static str) -> Result<&'a str, PackageError> {
        self.optional(section)?.ok_or(PackageError::MissingSection(section))
    }
}

/// `commerce:kernel/sql@0.1.0` gives `sql`, if this kernel is compatible with that version.
fn interface(name: &str) -> Option<&str> {
    let (interface, version) = name.strip_prefix("commerce:kernel/")?.split_once('@')?;
    let version = semver::Version::parse(version).ok()?;
    (version.major == CONTRACT.major && version.minor == CONTRACT.minor && version <= CONTRACT).then_some(interface)
}

fn shorten(name: &str) -> String {
    name.chars().take(200).collect()
}

fn read_manifest(text: &str) -> Result<Manifest, PackageError> {
    toml::from_str(text).map_err(|error| PackageError::Manifest(error.to_string()))
}

fn check_manifest(manifest: &Manifest) -> Result<semver::Version, PackageError> {
    let refuse = |reason: String| Err(PackageError::Manifest(reason));
    let plugin = &manifest.plugin;
    if !names::is_plugin(&plugin.name) {
        return refuse(format!(
            "`{}` can't be a plugin's name: [a-z][a-z0-9_]{{0,30}}, and not a reserved word",
            shorten(&plugin.name)
        ));
    }
    if !matches!(plugin.contract.as_str(), "0.1" | "0.1.0") {
        return refuse(format!(
            "contract `{}` is not offered by this kernel; it has 0.1",
            shorten(&plugin.contract)
        ));
    }
    let asked = &manifest.capabilities;
    type IsValid = fn(&str) -> bool;
    let lists: [(&str, &[String], IsValid); 8] = [
        ("views", &asked.views, names::is_qualified),
        ("call", &asked.call, names::is_qualified),
        ("subscribe", &asked.subscribe, names::is_qualified),
        ("services", &asked.services, names::is_service),
        ("provides", &asked.provides, names::is_service),
        ("publish", &asked.publish, names::is_name),
        ("http", &asked.http, names::is_host),
        ("secrets", &asked.secrets, names::is_name),
    ];
    for (key, values, is_valid) in lists {
        if let Some(value) = values.iter().find(|value| !is_valid(value)) {
            return refuse(format!(
                "`{}` is not a valid entry of `capabilities.{key}`",
                shorten(value)
            ));
        }
    }
    if let Some(view) = manifest.views.keys().find(|view| !names::is_name(view)) {
        return refuse(format!("`{}` can't be a view's name", shorten(view)));
    }
    semver::Version::parse(&plugin.version)
        .map_err(|error| PackageError::Manifest(format!("version `{}`: {error}", shorten(&plugin.version))))
}

fn read_migrations(text: Option<&str>) -> Result<Vec<Migration>, PackageError> {
    let refuse = |reason: String| {
        Err(PackageError::Section {
            section: sections::MIGRATIONS,
            reason,
        })
    };
    let Some(text) = text else { return Ok(Vec::new()) };
    let migrations: Vec<Migration> = match serde_json::from_str(text) {
        Ok(migrations) => migrations,
        Err(error) => return refuse(error.to_string()),
    };
    if migrations.len() > MAX_MIGRATIONS {
        return refuse(format!("more than {MAX_MIGRATIONS} files"));
    }
    if let Some(migration) = migrations
        .iter()
        .find(|migration| !names::is_migration_file(&migration.file))
    {
        return refuse(format!(
            "`{}` is not a file name such as `0001_notes.sql`",
            shorten(&migration.file)
        ));
    }
    if !migrations.is_sorted_by(|one, next| one.file < next.file) {
        return refuse("the files are not in the order of their names".to_owned());
    }
    Ok(migrations)
}

fn read_sql(text: Option<&str>) -> Result<Vec<String>, PackageError> {
    let texts: BTreeSet<&str> = text
        .unwrap_or_default()
        .split('\0')
        .filter(|text| !text.trim().is_empty())
        .collect();
    if texts.len() > MAX_SQL_TEXTS {
        let reason = format!("more than {MAX_SQL_TEXTS} statements");
        return Err(PackageError::Section {
            section: sections::SQL,
            reason,
        });
    }
    Ok(texts.into_iter().map(str::to_owned).collect())
}

fn read_contracts(text: Option<&str>) -> Result<BTreeMap<String, Contract>, PackageError> {
    let refuse = |reason: String| PackageError::Section {
        section: sections::CONTRACTS,
        reason,
    };
    let Some(text) = text else { return Ok(BTreeMap::new()) };
    let files: Vec<String> = serde_json::from_str(text).map_err(|error| refuse(error.to_string()))?;
    let mut contracts = BTreeMap::new();
    for file in files {
        let contract = Contract::read(&file).map_err(refuse)?;
        let name = contract.name().to_owned();
        if contracts.insert(name.clone(), contract).is_some() {
            return Err(refuse(format!("`{name}` appears twice")));
        }
    }
    Ok(contracts)
}
