//! From a plugin's source to its package (`commerce plugin build`), and from nothing to a plugin's source
//! (`commerce plugin new`).
//!
//! [`build`]: read and check `plugin.toml` ([`manifest`]), compile with what this machine has ([`compile`]), make the
//! core module a component and put everything that belongs to the plugin into its custom sections ([`package`]).
//!
//! The same source, toolchain and dependencies give the same bytes, so a package's SHA-256 names it.

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

/// Builds the plugin in `folder`; answers where its package is. `progress` gets a line for each step.
pub fn build(folder: &Path, options: &Options, progress: &mut dyn FnMut(&str)) -> Result<PathBuf, BuildError> {
    let toolchain = Toolchain::find(folder)?;
    let target_dir = options.target_dir(folder, &toolchain)?;
    build_with(folder, &toolchain, &target_dir, options, progress)
}

/// Builds the plugins of one workspace, as many side by side as there are cores; answers their packages in that order.
pub fn build_all(
    folders: &[PathBuf],
    options: &Options,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<PathBuf>, BuildError> {
    let [first, ..] = folders else {
        return Ok(Vec::new());
    };
    let toolchain = Toolchain::find(first)?;
    let target_dir = options.target_dir(first, &toolchain)?;
    compile::compile_together(folders, &toolchain, &target_dir, progress)?;
    folders
        .iter()
        .map(|folder| build_with(folder, &toolchain, &target_dir, options, progress))
        .collect()
}

fn build_with(
    folder: &Path,
    toolchain: &Toolchain,
    target_dir: &Path,
    options: &Options,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, BuildError> {
    let sources = sources::read(folder)?;
    let name = &sources.manifest.plugin.name;
    progress(&format!("Compiling plugin {name}"));
    let core = compile::compile(folder, toolchain, target_dir, progress)?;
    let core = fs::read(&core).map_err(BuildError::file(&core))?;

    progress(&format!("Packaging plugin {name}"));
    let package = package::assemble(&core, &sources)?;
    let output_dir = options.output_dir.clone().unwrap_or_else(|| target_dir.join("plugins"));
    let output = output_dir.join(format!("{name}.wasm"));
    write_whole(&output, &package)?;
    Ok(output)
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
