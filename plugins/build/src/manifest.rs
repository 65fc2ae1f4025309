//! `plugin.toml`, checked as far as it can be without knowing what else is installed. Every error names its line.

use std::path::Path;

use commerce_contract::Manifest;

use crate::BuildError;

/// The versions of `commerce:kernel` that this SDK can be compiled for.
pub const CONTRACT: &str = "0.1";

pub fn parse(text: &str, path: &Path) -> Result<Manifest, BuildError> {
    let manifest: Manifest = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_at(text, span.start));
        BuildError::Manifest(format!("{}:{line}: {}", path.display(), error.message()))
    })?;
    match Check::of(&manifest) {
        Ok(()) => Ok(manifest),
        Err(Fault { value, reason }) => {
            let line = text.find(&value).map_or(1, |at| line_at(text, at));
            Err(BuildError::Manifest(format!(
                "{}:{line}: `{value}`: {reason}",
                path.display()
            )))
        }
    }
}

fn line_at(text: &str, at: usize) -> usize {
    1 + text[..at].matches('\n').count()
}

/// `[a-z][a-z0-9_]{0,30}`: it names a schema, a role and a part of URLs. The reserved ones are the databases' own.
pub fn is_plugin_name(name: &str) -> bool {
    let reserved = matches!(name, "kernel" | "public" | "information_schema")
        || name.starts_with("pg_")
        || name.starts_with("sqlite_");
    is_name(name) && !reserved
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && name.len() <= 31
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// `product.reserve`
fn is_qualified(name: &str) -> bool {
    name.split_once('.')
        .is_some_and(|(plugin, rest)| is_plugin_name(plugin) && is_name(rest))
}

/// `shipping@1`
fn is_service(name: &str) -> bool {
    name.split_once('@')
        .is_some_and(|(name, version)| is_name(name) && version.parse::<u16>().is_ok_and(|version| version > 0))
}

/// A name and perhaps a port; neither an address nor a pattern.
fn is_host(host: &str) -> bool {
    let (name, port) = host
        .split_once(':')
        .map_or((host, None), |(name, port)| (name, Some(port)));
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let is_address = name
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    name.contains('.')
        && name.split('.').all(label)
        && !is_address
        && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

struct Fault {
    value: String,
    reason: &'static str,
}

struct Check;

impl Check {
    fn of(manifest: &Manifest) -> Result<(), Fault> {
        let plugin = &manifest.plugin;
        let name = "a plugin's name is a lower-case letter, then up to 30 lower-case letters, digits or underscores, and not reserved";
        Self::each([&plugin.name], is_plugin_name, name)?;
        Self::each(
            [&plugin.version],
            |version| semver::Version::parse(version).is_ok(),
            "write a semantic version: \"1.0.0\"",
        )?;
        Self::each(
            [&plugin.contract],
            |contract| contract == CONTRACT,
            "this SDK is for contract \"0.1\"",
        )?;

        let asked = &manifest.capabilities;
        let qualified = "name the plugin and its part: \"product.reserve\"";
        Self::each(&asked.views, is_qualified, qualified)?;
        Self::each(&asked.call, is_qualified, qualified)?;
        Self::each(&asked.subscribe, is_qualified, qualified)?;
        Self::each(
            &asked.publish,
            is_name,
            "name an event of this plugin without its prefix: \"completed\"",
        )?;
        let service = "name a service and its version: \"shipping@1\"";
        Self::each(&asked.services, is_service, service)?;
        Self::each(&asked.provides, is_service, service)?;
        Self::each(
            &asked.http,
            is_host,
            "name a host, with a port where it is not 443; no wildcard, no address: \"api.example.com\"",
        )?;
        Self::each(
            &asked.secrets,
            is_name,
            "a secret's name is lower-case letters, digits and underscores",
        )?;
        Self::each(
            manifest.views.keys(),
            is_name,
            "a view's name is lower-case letters, digits and underscores",
        )
    }

    fn each<'a>(
        values: impl IntoIterator<Item = &'a String>,
        fits: impl Fn(&str) -> bool,
        reason: &'static str,
    ) -> Result<(), Fault> {
        match values.into_iter().find(|value| !fits(value)) {
            Some(value) => Err(Fault {
                value: value.clone(),
                reason,
            }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "[plugin]\nname = \"hello\"\nversion = \"0.1.0\"\ncontract = \"0.1\"\n\n";

    fn refusal(text: &str) -> String {
        parse(text, Path::new("plugin.toml")).unwrap_err().to_string()
    }

    #[test]
    fn a_plain_manifest_is_accepted() {
        let text = format!(
            "{HEAD}[capabilities]\nsql = true\nhttp = [\"api.example.com:8443\"]\ncall = [\"product.reserve\"]\n"
        );
        let manifest = parse(&text, Path::new("plugin.toml")).unwrap();
        assert_eq!(manifest.plugin.name, "hello");
        assert!(manifest.capabilities.sql);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let refusal = refusal(&format!("{HEAD}[capabilities]\nsqll = true\n"));
        assert!(refusal.starts_with("plugin.toml:7: unknown field `sqll`"), "{refusal}");
    }

    #[test]
    fn what_is_misnamed_is_refused_with_its_line_and_the_remedy() {
        for (line, wrong) in [
            ("http = [\"*.example.com\"]", "*.example.com"),
            ("http = [\"10.0.0.1\"]", "10.0.0.1"),
            ("http = [\"localhost\"]", "localhost"),
            ("call = [\"reserve\"]", "reserve"),
            ("services = [\"shipping\"]", "shipping"),
            ("provides = [\"shipping@0\"]", "shipping@0"),
            ("publish = [\"hello.made\"]", "hello.made"),
            ("secrets = [\"API_KEY\"]", "API_KEY"),
        ] {
            let refusal = refusal(&format!("{HEAD}[capabilities]\n{line}\n"));
            assert!(refusal.starts_with(&format!("plugin.toml:7: `{wrong}`: ")), "{refusal}");
        }
    }

    #[test]
    fn names_that_a_database_keeps_for_itself_are_refused() {
        for name in [
            "pg_catalog",
            "kernel",
            "public",
            "sqlite_master",
            "Hello",
            "1st",
            "he-llo",
            "",
            &"a".repeat(32),
        ] {
            assert!(!is_plugin_name(name), "{name}");
        }
        assert!(is_plugin_name(&"a".repeat(31)));
    }
}
