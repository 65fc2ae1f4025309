//! Puts the sources that a plugin elsewhere needs into this crate: SDK, macros, contract and WIT.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Folders and files of the repository, as paths from its root.
const VENDORED: [&str; 4] = ["Cargo.toml", "kernel/contract", "kernel/wit", "plugins/sdk"];

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../..");
    let root = root.canonicalize().expect("this crate lies two folders below the root");
    let mut files = Vec::new();
    for vendored in VENDORED {
        println!("cargo:rerun-if-changed={}", root.join(vendored).display());
        collect(&root.join(vendored), &mut files);
    }
    files.sort();
    let mut source = String::from("pub const FILES: &[(&str, &str)] = &[\n");
    for file in files {
        let relative = file
            .strip_prefix(&root)
            .expect("found below the root")
            .display()
            .to_string();
        writeln!(
            source,
            "    ({relative:?}, include_str!({:?})),",
            file.display().to_string()
        )
        .expect("writes to memory");
    }
    source.push_str("];\n");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it")).join("vendored.rs");
    fs::write(out, source).expect("cargo's output folder is writable");
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    if !path.is_dir() {
        files.push(path.to_owned());
        return;
    }
    for entry in fs::read_dir(path).expect("part of the repository") {
        collect(&entry.expect("part of the repository").path(), files);
    }
}
