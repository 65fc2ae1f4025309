//! Writing and compiling plugins: needs no kernel.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Context;
use crate::exit::{Exit, Failure};

pub(super) fn new(name: &str, dir: Option<PathBuf>, context: &Context) -> Result<Exit, Failure> {
    let dir = dir.unwrap_or_else(|| PathBuf::from(name));
    commerce_build::new(name, &dir).map_err(build_failure)?;
    let answer = json!({ "name": name, "folder": dir });
    if context.output.json {
        context.output.value(&answer);
    } else {
        context.output.text(&format!(
            "wrote {}\n\nnext:\n  cd {}\n  commerce plugin install . --yes",
            dir.display(),
            dir.display()
        ));
    }
    Ok(Exit::Ok)
}

pub(super) fn build(folders: Vec<PathBuf>, all: bool, context: &Context) -> Result<Exit, Failure> {
    let folders = match folders {
        _ if all => plugins_of_project(),
        none if none.is_empty() => vec![PathBuf::from(".")],
        some => some,
    };
    let built = build_packages(&folders, context)?;
    let items: Vec<Value> = built
        .iter()
        .map(|path| json!({ "package": path, "bytes": size(path) }))
        .collect();
    context.output.list(
        &json!({ "items": items }),
        &[("package", "package"), ("bytes", "bytes")],
    );
    Ok(Exit::Ok)
}

/// The plugins of this repository: those that ship first, then examples and what only tests install.
fn plugins_of_project() -> Vec<PathBuf> {
    ["plugins", "examples", "tests/hostile"]
        .iter()
        .flat_map(|folder| plugin_folders(Path::new(folder)))
        .collect()
}

/// The folders directly inside of this one that hold a plugin, by name.
pub fn plugin_folders(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.join("plugin.toml").exists())
        .collect();
    folders.sort();
    folders
}

fn build_failure(error: commerce_build::BuildError) -> Failure {
    Failure::new(Exit::Failed, error.to_string())
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Compiles plugins of one workspace; the compiler's own progress goes to standard error.
pub fn build_packages(folders: &[PathBuf], context: &Context) -> Result<Vec<PathBuf>, Failure> {
    commerce_build::build(folders, &Default::default(), &mut |line| context.output.note(line)).map_err(build_failure)
}

pub fn read_package(path: &Path, context: &Context) -> Result<Vec<u8>, Failure> {
    let file = if path.is_dir() {
        build_packages(&[path.to_owned()], context)?.swap_remove(0)
    } else {
        path.to_owned()
    };
    std::fs::read(&file).map_err(|error| {
        Failure::new(Exit::NotFound, format!("can't read {}: {error}", file.display()))
            .remedy("name a .wasm package or a plugin's folder")
    })
}
