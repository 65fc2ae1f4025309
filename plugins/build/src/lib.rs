//! From a plugin's source to its package (`commerce plugin build`), and from nothing to a plugin's source
//! (`commerce plugin new`).
//!
//! [`build`]: read and check `plugin.toml` ([`manifest`]), compile with what this machine has ([`compile`]), make the
//! core module a component and put everything that belongs to the plugin into its custom sections ([`package`]).
//!
//! The same source, toolchain and dependencies give the same bytes, so a package's SHA-256 names it. Plugins of one
//! workspace that are built together share the features of their dependencies, as cargo has it.

mod compile;
pub mod contracts;
mod error;
pub mod manifest;
mod package;
mod project;
mod sources;
mod vendored;

use std::fs;
use std::path::{Path, PathBuf};

pub use compile::Toolchain;
pub use error::BuildError;
pub use project::new;

/// Where things go. The defaults suit a plugin by itself and one in a workspace.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Shared by all guests, so that the standard library and the SDK are compiled once. Default: `wasm` in the
    /// workspace's target folder.
    pub target_dir: Option<PathBuf>,
    /// The folder that gets `<name>.wasm`. Default: `plugins` in the target folder.
    pub output_dir: Option<PathBuf>,
}

/// Builds the plugins of one workspace, as many side by side as there are cores; answers where their packages are, in that
/// order. `progress` gets a line for each step.
pub fn build(
    folders: &[PathBuf],
    options: &Options,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<PathBuf>, BuildError> {
    let [first, ..] = folders else {
        return Ok(Vec::new());
    };
    let sources = folders.iter().map(|folder| sources::read(folder));
    let sources = sources.collect::<Result<Vec<_>, _>>()?;
    let toolchain = Toolchain::find(first)?;
    let target_dir = options.target_dir(first, &toolchain)?;
    let output_dir = options.output_dir.clone().unwrap_or_else(|| target_dir.join("plugins"));
    let modules = compile::compile(folders, &toolchain, &target_dir, progress)?;
    let mut packages = Vec::with_capacity(folders.len());
    for (module, sources) in modules.iter().zip(&sources) {
        let name = &sources.manifest.plugin.name;
        progress(&format!("Packaging plugin {name}"));
        let module = fs::read(module).map_err(BuildError::file(module))?;
        let output = output_dir.join(format!("{name}.wasm"));
        write_whole(&output, &package::assemble(&module, sources)?)?;
        packages.push(output);
    }
    Ok(packages)
}

impl Options {
    fn target_dir(&self, folder: &Path, toolchain: &Toolchain) -> Result<PathBuf, BuildError> {
        match &self.target_dir {
            Some(target_dir) => Ok(target_dir.clone()),
            None => Ok(toolchain.target_dir(folder)?.join("wasm")),
        }
    }
}

/// A kernel that watches the file must never see half of it.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(BuildError::file(folder))?;
    }
    let partial = path.with_extension("wasm.partial");
    fs::write(&partial, bytes).map_err(BuildError::file(&partial))?;
    fs::rename(&partial, path).map_err(BuildError::file(path))
}
