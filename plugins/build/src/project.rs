//! `commerce plugin new`: a plugin that builds, installs and answers, in a folder of its own.

use std::fs;
use std::path::Path;

use crate::{BuildError, manifest, vendored};

/// Files of the new project; `{{name}}` stands for the plugin's name.
const TEMPLATE: [(&str, &str); 6] = [
    ("Cargo.toml", include_str!("../template/Cargo.toml.in")),
    ("plugin.toml", include_str!("../template/plugin.toml.in")),
    (
        "migrations/0001_greetings.sql",
        include_str!("../template/0001_greetings.sql"),
    ),
    ("src/lib.rs", include_str!("../template/lib.rs.in")),
    ("README.md", include_str!("../template/README.md.in")),
    (".gitignore", "/target/\n"),
];

/// Where SDK, macros, contract and WIT go. They belong to the project and are committed with it, so that it builds on
/// any machine, with or without `commerce`.
const VENDORED: &str = "vendor/commerce";

/// Writes a plugin project into `folder`, which must be empty or not there yet.
pub fn new(name: &str, folder: &Path) -> Result<(), BuildError> {
    if !manifest::is_plugin_name(name) {
        return Err(BuildError::Name(name.to_owned()));
    }
    fs::create_dir_all(folder).map_err(BuildError::file(folder))?;
    let mut present = fs::read_dir(folder).map_err(BuildError::file(folder))?;
    // A fresh repository is as good as an empty folder.
    if present.any(|entry| !entry.is_ok_and(|entry| entry.file_name() == ".git")) {
        return Err(BuildError::NotEmpty(folder.to_owned()));
    }
    for (file, text) in TEMPLATE {
        let path = folder.join(file);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(BuildError::file(parent))?;
        }
        fs::write(&path, text.replace("{{name}}", name)).map_err(BuildError::file(&path))?;
    }
    vendored::unpack(&folder.join(VENDORED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();
        assert!(matches!(new("hello", folder.path()), Err(BuildError::NotEmpty(_))));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_name_that_no_plugin_may_have_is_refused_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            new("My-Plugin", &folder.path().join("x")),
            Err(BuildError::Name(_))
        ));
        assert!(!folder.path().join("x").exists());
    }
}
