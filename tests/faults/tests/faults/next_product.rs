//! The next version of the product plugin, made from this one's source: it adds a column, reads it, and says so in what
//! it answers.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use commerce_build::Options;
use commerce_harness::kernel::repository;

/// What vendors begin with in the next version's listing.
pub const MARKER: &str = "next: ";

const MIGRATION: &str = "alter table products add column imprint text;\n";

/// One change of the source: this text becomes that.
const CHANGES: [(&str, &str, &str); 2] = [
    (
        "src/listing/texts.rs",
        "'vendor', p.vendor,",
        "'vendor', coalesce(p.imprint, 'next: ' || p.vendor),",
    ),
    ("plugin.toml", "version = \"0.1.0\"", "version = \"0.2.0\""),
];

/// Its package. Built once per test process, from what an earlier one left where the source is the same.
pub fn package() -> PathBuf {
    static PACKAGE: LazyLock<PathBuf> = LazyLock::new(|| {
        let workspace = repository().join("target/faults/next");
        let folder = workspace.join("product");
        write_workspace(&workspace);
        copy_changed(&repository().join("plugins/product"), &folder);
        // A target folder of its own: in the others' this product would pass for the real one at their next build.
        let options = Options {
            target_dir: Some(workspace.join("wasm")),
            output_dir: Some(workspace.join("packages")),
        };
        commerce_build::build(&[folder], &options, &mut |_| {})
            .unwrap_or_else(|error| panic!("{error}"))
            .swap_remove(0)
    });
    PACKAGE.clone()
}

/// A workspace beside the repository's, of the copy alone, which depends on the repository's own SDK.
fn write_workspace(workspace: &Path) {
    let root = repository();
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("the workspace's manifest");
    let mut manifest: toml::Table = manifest.parse().expect("a manifest");
    let table = manifest["workspace"].as_table_mut().expect("a workspace");
    table.insert("members".to_owned(), toml::Value::Array(vec!["product".into()]));
    let dependencies = table["dependencies"].as_table_mut().expect("its dependencies");
    for (_, dependency) in dependencies.iter_mut() {
        if let Some(path) = dependency.get_mut("path") {
            *path = root.join(path.as_str().expect("a path")).display().to_string().into();
        }
    }
    write_if_new(
        &workspace.join("Cargo.toml"),
        &toml::to_string(&manifest).expect("a manifest"),
    );
    let lock = fs::read_to_string(root.join("Cargo.lock")).expect("the lock file");
    let target = workspace.join("Cargo.lock");
    // cargo leaves only the packages of the copy in it.
    if !target.exists() {
        write_if_new(&target, &lock);
    }
}

fn copy_changed(from: &Path, to: &Path) {
    let mut missing: Vec<&str> = CHANGES.iter().map(|(file, ..)| *file).collect();
    for file in files(from) {
        let name = file.strip_prefix(from).expect("a file below").display().to_string();
        // Attachments may be pictures: only what is text is looked at.
        let Ok(mut text) = fs::read_to_string(&file) else {
            copy_if_new(&file, &to.join(&name));
            continue;
        };
        for (changed, before, after) in CHANGES {
            if name == changed {
                assert!(text.contains(before), "{changed} no longer says {before}");
                text = text.replace(before, after);
                missing.retain(|file| *file != changed);
            }
        }
        write_if_new(&to.join(&name), &text);
    }
    assert!(missing.is_empty(), "the product plugin has no {missing:?} any more");
    write_if_new(&to.join("migrations/0099_imprint.sql"), MIGRATION);
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

/// Files that did not change keep their time, so that cargo finds nothing to do.
fn write_if_new(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|present| present == text) {
        return;
    }
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("a file");
}

fn copy_if_new(from: &Path, to: &Path) {
    if fs::read(to).ok() != fs::read(from).ok() {
        fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        fs::copy(from, to).expect("a copy");
    }
}
