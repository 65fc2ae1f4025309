//! From Rust source to a core module, with whatever this machine has for it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use serde::Deserialize;

use crate::BuildError;

const TARGET: &str = "wasm32-unknown-unknown";

/// One profile and one set of flags for all guests: another set would compile the standard library again. Given on the
/// command line, so that a plugin's `Cargo.toml` need not know it.
const PROFILE: [&str; 7] = [
    "profile.plugin.inherits='release'",
    "profile.plugin.opt-level=3",
    "profile.plugin.lto=true",
    "profile.plugin.codegen-units=1",
    "profile.plugin.panic='abort'",
    "profile.plugin.strip=true",
    "profile.plugin.debug=false",
];

/// A small stack, and memory enough for most calls from the start: the SDK's allocator hands that out before it asks
/// for more, and growing is what makes a fresh instance expensive.
const LINK: [&str; 2] = ["-Clink-arg=-zstack-size=131072", "-Clink-arg=--initial-memory=2097152"];

/// A way to compile for the target.
#[derive(Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// Its standard library is installed, as rustup does.
    Installed { cargo: OsString, rustc: OsString },
    /// Only the library's source is, as Debian's `rust-web-src` does: it is compiled along, once per target folder.
    FromSource {
        cargo: OsString,
        rustc: OsString,
        linker: PathBuf,
        library: PathBuf,
    },
}

impl Toolchain {
    /// The compiler on the path first, then the system's.
    pub fn find(folder: &Path) -> Result<Self, BuildError> {
        let candidates = [("rustc", "cargo"), ("/usr/bin/rustc", "/usr/bin/cargo")];
        let candidates = candidates.map(|(rustc, cargo)| (OsString::from(rustc), OsString::from(cargo)));
        let installed = candidates.iter().find(|(rustc, _)| has_core(rustc, folder));
        if let Some((rustc, cargo)) = installed {
            return Ok(Self::Installed {
                cargo: cargo.clone(),
                rustc: rustc.clone(),
            });
        }
        let from_source = candidates.iter().find_map(|(rustc, cargo)| {
            let library = library_source(rustc, folder)?;
            let linker = candidates.iter().find_map(|(rustc, _)| linker(rustc, folder))?;
            Some(Self::FromSource {
                cargo: cargo.clone(),
                rustc: rustc.clone(),
                linker,
                library,
            })
        });
        from_source.ok_or(BuildError::NoTarget)
    }

    /// Where cargo puts what it builds of this project.
    pub fn target_dir(&self, folder: &Path) -> Result<PathBuf, BuildError> {
        #[derive(Deserialize)]
        struct Metadata {
            target_directory: PathBuf,
        }
        let mut cargo = self.cargo();
        cargo
            .current_dir(folder)
            .args(["metadata", "--no-deps", "--format-version", "1"]);
        let output = cargo.output().map_err(|cause| BuildError::start(&cargo, cause))?;
        if !output.status.success() {
            return Err(BuildError::Project(
                String::from_utf8_lossy(&output.stderr).into_owned(),
            ));
        }
        let metadata: Metadata =
            serde_json::from_slice(&output.stdout).map_err(|error| BuildError::Project(error.to_string()))?;
        Ok(metadata.target_directory)
    }

    fn cargo(&self) -> Command {
        match self {
            Self::Installed { cargo, rustc } => {
                let mut command = clean(cargo);
                command.env("RUSTC", rustc);
                command
            }
            Self::FromSource {
                cargo, rustc, linker, ..
            } => {
                let mut command = clean(cargo);
                // Building the library is an unstable feature, which this variable permits a stable compiler.
                command.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1");
                command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
                command
            }
        }
    }

    /// Paths of this machine that panic messages would carry into the package, and what they say instead.
    fn machine_paths(&self) -> Vec<(PathBuf, &'static str)> {
        let home = env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(env::home_dir()?.join(".cargo")));
        let registries = home
            .iter()
            .flat_map(|home| fs::read_dir(home.join("registry/src")).ok())
            .flatten();
        let mut paths: Vec<_> = registries
            .flatten()
            .map(|registry| (registry.path(), "/crates"))
            .collect();
        if let Self::FromSource { library, .. } = self {
            paths.push((library.clone(), "/library"));
        }
        paths
    }
}

/// Compiles the plugins of one workspace side by side, since linking one occupies one core for many seconds; answers where
/// their core modules are, in that order.
pub(crate) fn compile(
    folders: &[PathBuf],
    toolchain: &Toolchain,
    target_dir: &Path,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<PathBuf>, BuildError> {
    let [first, ..] = folders else { return Ok(Vec::new()) };
    let mut cargo = guest_cargo(first, toolchain, target_dir);
    for folder in folders {
        cargo.arg("--package").arg(package_name(folder)?);
    }
    let messages = run(cargo, progress)?;
    folders.iter().map(|folder| artifact(&messages, folder)).collect()
}

fn guest_cargo(folder: &Path, toolchain: &Toolchain, target_dir: &Path) -> Command {
    let mut cargo = toolchain.cargo();
    cargo
        .current_dir(folder)
        .args(["build", "--lib", "--profile", "plugin", "--target", TARGET]);
    cargo
        .arg("--target-dir")
        .arg(target_dir)
        .args(["--message-format", "json-render-diagnostics"]);
    cargo.args(PROFILE.iter().flat_map(|setting| ["--config", setting]));
    if matches!(toolchain, Toolchain::FromSource { .. }) {
        cargo.arg("-Zbuild-std=std,panic_abort");
    }
    let remap = |(from, to): (PathBuf, &str)| format!("--remap-path-prefix={}={to}", from.display());
    let flags = toolchain
        .machine_paths()
        .into_iter()
        .map(remap)
        .chain(LINK.map(str::to_owned));
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.collect::<Vec<_>>().join("\x1f"));
    cargo
}

fn package_name(folder: &Path) -> Result<String, BuildError> {
    let path = folder.join("Cargo.toml");
    let text = fs::read_to_string(&path).map_err(BuildError::file(&path))?;
    let manifest: toml::Table = text.parse().map_err(|error| BuildError::Source {
        path: path.clone(),
        reason: format!("{error}"),
    })?;
    let name = manifest
        .get("package")
        .and_then(|package| package.get("name"))
        .and_then(toml::Value::as_str);
    name.map(str::to_owned).ok_or_else(|| BuildError::Source {
        path,
        reason: "names no package".to_owned(),
    })
}

/// Standard output; standard error goes to `progress` line by line, and into the error.
fn run(mut cargo: Command, progress: &mut dyn FnMut(&str)) -> Result<String, BuildError> {
    cargo.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = cargo.spawn().map_err(|cause| BuildError::start(&cargo, cause))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let messages = thread::spawn(move || {
        let mut text = String::new();
        stdout
            .map(|mut stdout| stdout.read_to_string(&mut text))
            .transpose()
            .map(|_| text)
    });
    let mut told = String::new();
    for line in stderr
        .into_iter()
        .flat_map(|stderr| BufReader::new(stderr).lines())
        .map_while(Result::ok)
    {
        progress(line.trim());
        told.push_str(&line);
        told.push('\n');
    }
    let failed = |cause: std::io::Error| BuildError::Compile(format!("{told}\n{cause}"));
    let status = child.wait().map_err(failed)?;
    match messages.join() {
        Ok(Ok(messages)) if status.success() => Ok(messages),
        _ => Err(BuildError::Compile(told)),
    }
}

/// The module that cargo made of the package in `folder`.
fn artifact(messages: &str, folder: &Path) -> Result<PathBuf, BuildError> {
    #[derive(Deserialize)]
    struct Message {
        reason: String,
        #[serde(default)]
        manifest_path: PathBuf,
        #[serde(default)]
        filenames: Vec<PathBuf>,
    }
    let path = folder.join("Cargo.toml");
    let manifest = fs::canonicalize(&path).map_err(BuildError::file(&path))?;
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok());
    messages
        .filter(|message| message.reason == "compiler-artifact")
        .filter(|message| fs::canonicalize(&message.manifest_path).is_ok_and(|path| path == manifest))
        .flat_map(|message| message.filenames)
        .find(|file| file.extension().is_some_and(|extension| extension == "wasm"))
        .ok_or_else(|| BuildError::Source {
            path,
            reason: "makes no module: write `crate-type = [\"cdylib\"]` under `[lib]`".to_owned(),
        })
}

/// Without what an outer cargo or the user's shell sets for other builds.
fn clean(program: &OsString) -> Command {
    let mut command = Command::new(program);
    for variable in [
        "RUSTC",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_TARGET_DIR",
        "RUSTC_WORKSPACE_WRAPPER",
    ] {
        command.env_remove(variable);
    }
    command
}

/// rustc names the folder also where the target is missing: only the library itself proves it.
fn has_core(rustc: &OsString, folder: &Path) -> bool {
    let Some(libraries) = ask(rustc, folder, &["--print", "target-libdir", "--target", TARGET]) else {
        return false;
    };
    let Ok(entries) = fs::read_dir(libraries) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libcore-") && name.ends_with(".rlib")
    })
}

fn library_source(rustc: &OsString, folder: &Path) -> Option<PathBuf> {
    let library = PathBuf::from(ask(rustc, folder, &["--print", "sysroot"])?).join("lib/rustlib/src/rust/library");
    // As it stands, links and all: this is the path that the compiler is given, and writes into messages.
    library.join("std/Cargo.toml").exists().then_some(library)
}

fn linker(rustc: &OsString, folder: &Path) -> Option<PathBuf> {
    let libraries = PathBuf::from(ask(rustc, folder, &["--print", "target-libdir"])?);
    let bundled = libraries.parent()?.join("bin/rust-lld");
    let systems = PathBuf::from("/usr/bin/wasm-ld");
    [bundled, systems].into_iter().find(|linker| linker.exists())
}

fn ask(rustc: &OsString, folder: &Path, question: &[&str]) -> Option<String> {
    let output = clean(rustc).current_dir(folder).args(question).output().ok()?;
    let answer = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| answer.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What cargo says of packages built together: the module of each is told by where its manifest is.
    #[test]
    fn each_plugin_gets_its_own_module_and_one_without_is_told_what_to_write() {
        let workspace = tempfile::tempdir().unwrap();
        let told = |name: &str, file: &str| {
            let folder = workspace.path().join(name);
            fs::create_dir(&folder).unwrap();
            let manifest = folder.join("Cargo.toml");
            fs::write(&manifest, "").unwrap();
            let message = serde_json::json!({
                "reason": "compiler-artifact", "manifest_path": manifest, "filenames": [file]
            });
            (folder, message.to_string())
        };
        let (one, of_one) = told("one", "/target/one.wasm");
        let (other, of_other) = told("other", "/target/other.wasm");
        let (library, of_library) = told("library", "/target/liblibrary.rlib");
        let messages = [of_one, of_library, "no JSON".to_owned(), of_other].join("\n");
        assert_eq!(artifact(&messages, &other).unwrap(), Path::new("/target/other.wasm"));
        assert_eq!(artifact(&messages, &one).unwrap(), Path::new("/target/one.wasm"));
        let refused = artifact(&messages, &library).unwrap_err().to_string();
        assert!(refused.contains("crate-type = [\"cdylib\"]"), "{refused}");
    }
}
