//! Reads the sources in their order and refuses what no key takes. All faults of a start are told at once.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::keys::{KEYS, Key, OTHER_VARIABLES, SECTIONS, TEST_VARIABLE_PREFIX, UNDER_CAPS, VARIABLE_PREFIX, find};
use super::{Config, Origin, Setting, value};

/// Why the kernel does not start: everything that is wrong with its configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<ConfigFault>);

#[derive(Debug, PartialEq, Eq)]
pub struct ConfigFault {
    /// `commerce.toml:12`, or the variable's name.
    pub place: String,
    pub message: String,
    pub remedy: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let line_end = if index == 0 { "" } else { "\n" };
            write!(
                formatter,
                "{line_end}{}: {}; {}",
                fault.place, fault.message, fault.remedy
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// As a process has it: the file that was named, else `commerce.toml` in the working directory where there is one, and
    /// the environment.
    pub fn of_process(named: Option<&Path>) -> Result<Self, ConfigError> {
        let here = Path::new("commerce.toml");
        let file = named.or_else(|| here.exists().then_some(here));
        Self::load(file, texts(std::env::vars_os()))
    }

    /// `file`: `commerce.toml`, or none for the defaults alone. `variables`: the environment, from which those of ours are taken.
    pub fn load(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut sources = Sources::default();
        sources.defaults();
        if let Some(path) = file {
            sources.file(path);
        }
        sources.variables(
            variables
                .into_iter()
                .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX))
                .collect(),
        );
        sources.assemble()
    }
}

/// Variables may hold what is no text. Of others that is not our concern; in one of ours it fits no key and is told.
pub(super) fn texts(variables: impl Iterator<Item = (OsString, OsString)>) -> impl Iterator<Item = (String, String)> {
    variables.map(|(name, value)| {
        (
            name.to_string_lossy().into_owned(),
            value.to_string_lossy().into_owned(),
        )
    })
}

#[derive(Default)]
struct Sources {
    chosen: BTreeMap<&'static str, (Value, Origin)>,
    faults: Vec<ConfigFault>,
}

impl Sources {
    fn defaults(&mut self) {
        for key in KEYS {
            if let Some(default) = key.default.and_then(|text| DeValue::parse(text).ok()) {
                self.choose(key, value::from_toml(key, default.get_ref()), Origin::Default);
            }
        }
    }

    fn file(&mut self, path: &Path) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                return self.fault(
                    path.display(),
                    format!("cannot be read ({error})"),
                    "give a readable file, or none to use the defaults",
                );
            }
        };
        let place = |offset: usize| {
            (
                path.to_owned(),
                text.get(..offset).unwrap_or(&text).matches('\n').count() + 1,
            )
        };
        match DeTable::parse(&text) {
            Ok(table) => self.section("", table.get_ref(), &place),
            Err(error) => {
                let (path, line) = place(error.span().map_or(0, |span| span.start));
                self.fault(
                    format!("{}:{line}", path.display()),
                    format!("is not TOML ({})", error.message()),
                    "correct this line",
                );
            }
        }
    }

    /// `above`: the section's path and a dot, or nothing at the top.
    fn section(&mut self, above: &str, table: &DeTable<'_>, place: &dyn Fn(usize) -> (PathBuf, usize)) {
        for (name, given) in table {
            let path = format!("{above}{}", name.get_ref());
            match given.get_ref() {
                DeValue::Table(inner) if SECTIONS.iter().any(|(known, _)| *known == path) => {
                    self.section(&format!("{path}."), inner, place);
                }
                _ => self.entry(&path, name.span().start, given, place),
            }
        }
    }

    fn entry(
        &mut self,
        path: &str,
        offset: usize,
        given: &Spanned<DeValue<'_>>,
        place: &dyn Fn(usize) -> (PathBuf, usize),
    ) {
        let (file, line) = place(offset);
        match find(path) {
            Some(key) => self.choose(
                key,
                value::from_toml(key, given.get_ref()),
                Origin::File { path: file, line },
            ),
            None if given.get_ref().is_table() => {
                let remedy = remedy(path, SECTIONS.iter().map(|(name, _)| (*name).to_owned()));
                self.fault(
                    format!("{}:{line}", file.display()),
                    format!("unknown section [{path}]"),
                    remedy,
                );
            }
            None => {
                let remedy = remedy(path, KEYS.iter().map(|key| key.path.to_owned()));
                self.fault(
                    format!("{}:{line}", file.display()),
                    format!("unknown key {path}"),
                    remedy,
                );
            }
        }
    }

    fn variables(&mut self, variables: BTreeMap<String, String>) {
        for (name, given) in &variables {
            if OTHER_VARIABLES.contains(&name.as_str()) || name.starts_with(TEST_VARIABLE_PREFIX) {
                continue;
            }
            if let Some(key) = KEYS.iter().find(|key| key.variable() == *name) {
                self.choose(key, value::from_text(key, given), Origin::Variable(name.clone()));
            } else if let Some(key) = name
                .strip_suffix("_FILE")
                .and_then(|name| KEYS.iter().find(|key| key.variable() == name))
            {
                self.variable_file(key, name, given, variables.contains_key(&key.variable()));
            } else {
                let known = KEYS
                    .iter()
                    .map(Key::variable)
                    .chain(OTHER_VARIABLES.iter().map(|name| (*name).to_owned()));
                self.fault(name, "unknown variable", remedy(name, known));
            }
        }
    }

    fn variable_file(&mut self, key: &'static Key, name: &str, path: &str, given_twice: bool) {
        if given_twice {
            return self.fault(name, format!("{} is set too", key.variable()), "unset one of the two");
        }
        match std::fs::read_to_string(path) {
            // Editors and `echo` end a file with a line break that nobody means.
            Ok(text) => self.choose(
                key,
                value::from_text(key, text.trim_end_matches(['\r', '\n'])),
                Origin::Variable(name.to_owned()),
            ),
            Err(error) => self.fault(name, format!("{path} cannot be read ({error})"), "name a readable file"),
        }
    }

    fn choose(&mut self, key: &'static Key, given: Result<Value, value::Misfit>, origin: Origin) {
        match given {
            Ok(value) => _ = self.chosen.insert(key.path, (value, origin)),
            Err(misfit) => {
                let remedy = match key.default {
                    Some(default) => format!("the default is {default}"),
                    None => "leave it out to use the default".to_owned(),
                };
                self.fault(origin, format!("{} {misfit}", key.path), remedy);
            }
        }
    }

    fn fault(&mut self, place: impl ToString, message: impl Into<String>, remedy: impl Into<String>) {
        self.faults.push(ConfigFault {
            place: place.to_string(),
            message: message.into(),
            remedy: remedy.into(),
        });
    }

    /// A default above its cap that somebody wrote down is a mistake in one of the two.
    fn check_caps(&mut self) {
        for (path, cap) in UNDER_CAPS {
            let chosen = |path| {
                self.chosen
                    .get(path)
                    .map(|(value, origin)| (value.as_integer(), origin.clone()))
            };
            if let (Some((value, origin)), Some((most, _))) = (chosen(*path), chosen(*cap))
                && value > most
                && origin != Origin::Default
            {
                self.fault(
                    origin,
                    format!("{path} is above {cap}"),
                    format!("lower it, or raise {cap}"),
                );
            }
        }
    }

    fn assemble(mut self) -> Result<Config, ConfigError> {
        self.check_caps();
        if !self.faults.is_empty() {
            return Err(ConfigError(self.faults));
        }
        let settings = KEYS.iter().map(|key| self.setting(key)).collect();
        let mut table = Table::new();
        for (section, _) in SECTIONS {
            _ = inner(&mut table, Some(section));
        }
        for key in KEYS {
            let chosen = self.chosen.get(key.path);
            if let (Some((value, _)), Some(section)) = (chosen, inner(&mut table, key.section())) {
                section.insert(key.name().to_owned(), value.clone());
            }
        }
        match Config::deserialize(table) {
            Ok(config) => Ok(Config { settings, ..config }),
            Err(error) => {
                // Only what a section's own type refuses, such as a network that is none: its message names the field's type.
                self.fault("configuration", error.message().to_owned(), "see docs/configuration.md");
                Err(ConfigError(self.faults))
            }
        }
    }

    fn setting(&self, key: &'static Key) -> Setting {
        match self.chosen.get(key.path) {
            Some((value, origin)) => Setting {
                key: key.path,
                value: Some(value::shown(key, value)),
                origin: origin.clone(),
            },
            None => Setting {
                key: key.path,
                value: None,
                origin: Origin::Default,
            },
        }
    }
}

/// The table of a section, made where there is none yet. None only where a key bears the name of a section.
fn inner<'t>(table: &'t mut Table, section: Option<&str>) -> Option<&'t mut Table> {
    let mut names = section.into_iter().flat_map(|section| section.split('.'));
    names.try_fold(table, |table, name| {
        table
            .entry(name)
            .or_insert_with(|| Value::Table(Table::new()))
            .as_table_mut()
    })
}

/// Names the nearest known name when it is near enough to be what was meant.
fn remedy(given: &str, known: impl Iterator<Item = String>) -> String {
    let nearest = known
        .map(|name| (strsim::damerau_levenshtein(given, &name), name))
        .min();
    match nearest {
        Some((distance, name)) if distance <= given.len().div_ceil(3) => {
            format!("did you mean {name}?")
        }
        _ => "every key is in docs/configuration.md".to_owned(),
    }
}
