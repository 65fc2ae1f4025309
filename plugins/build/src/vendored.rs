//! SDK, macros, contract and WIT, as they were when `commerce` was built, for plugins that live elsewhere.

use std::fs;
use std::path::Path;

use toml::{Table, Value};

use crate::BuildError;

include!(concat!(env!("OUT_DIR"), "/vendored.rs"));

/// A service contract published with the SDK.
pub fn contract(service: &str) -> Option<&'static str> {
    let path = format!("plugins/sdk/contracts/{service}.json");
    FILES.iter().find(|(file, _)| *file == path).map(|(_, text)| *text)
}

/// Writes everything below `folder`, in the repository's layout. Manifests that inherit from the repository's
/// workspace get what they inherit written out.
pub fn unpack(folder: &Path) -> Result<(), BuildError> {
    let workspace = FILES
        .iter()
        .find(|(file, _)| *file == "Cargo.toml")
        .map_or("", |(_, text)| text);
    let workspace = parse(workspace, "Cargo.toml")?;
    for (file, text) in FILES.iter().filter(|(file, _)| *file != "Cargo.toml") {
        let path = folder.join(file);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(BuildError::file(parent))?;
        }
        let written = if file.ends_with("/Cargo.toml") {
            let depth = file.matches('/').count();
            standalone(parse(text, file)?, &workspace, depth).to_string()
        } else {
            (*text).to_owned()
        };
        fs::write(&path, written).map_err(BuildError::file(&path))?;
    }
    Ok(())
}

fn parse(manifest: &str, file: &str) -> Result<Table, BuildError> {
    manifest.parse().map_err(|error| BuildError::Source {
        path: file.into(),
        reason: format!("{error}"),
    })
}

/// The manifest without `workspace = true`; `depth` folders below the root, where inherited paths begin.
fn standalone(mut manifest: Table, workspace: &Table, depth: usize) -> Table {
    let shared = |section: &str, key: &str| workspace.get("workspace")?.get(section)?.get(key).cloned();
    for (section, own) in &mut manifest {
        let source = if section == "package" {
            "package"
        } else {
            "dependencies"
        };
        let Value::Table(own) = own else { continue };
        for (key, value) in own.iter_mut().filter(|(_, value)| inherits(value)) {
            if let Some(inherited) = shared(source, key) {
                *value = from_root(inherited, depth);
            }
        }
    }
    manifest
}

fn inherits(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

fn from_root(mut dependency: Value, depth: usize) -> Value {
    if let Some(Value::String(path)) = dependency.get_mut("path") {
        path.insert_str(0, &"../".repeat(depth));
    }
    dependency
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_unpacked_needs_the_repository() {
        let folder = tempfile::tempdir().unwrap();
        unpack(folder.path()).unwrap();
        let manifest = fs::read_to_string(folder.path().join("plugins/sdk/Cargo.toml")).unwrap();
        assert!(!manifest.contains("workspace"), "{manifest}");
        assert!(manifest.contains("path = \"../../kernel/contract\""), "{manifest}");
        assert!(folder.path().join("kernel/wit/world.wit").exists());
    }
}
