use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Why there is no package. Every text says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("{path}: {cause}", path = path.display())]
    File { path: PathBuf, cause: io::Error },

    /// `file:line: what is wrong; what to write instead`
    #[error("{0}")]
    Manifest(String),

    #[error("{path}: {reason}", path = path.display())]
    Source { path: PathBuf, reason: String },

    #[error("{service} has no contract here: put the file that its publisher gives you into {path}", path = path.display())]
    UnknownService { service: String, path: PathBuf },

    #[error("{command} could not be started: {cause}. Is Rust installed? See https://rustup.rs")]
    Start { command: String, cause: io::Error },

    #[error(
        "this machine can't compile for wasm32-unknown-unknown. With rustup: `rustup target add wasm32-unknown-unknown`. \
         On Debian and Ubuntu without it: `apt-get install rustc-web cargo-web rust-web-src lld`"
    )]
    NoTarget,

    #[error("the plugin does not compile:\n{0}")]
    Compile(String),

    #[error("cargo could not read the project:\n{0}")]
    Project(String),

    #[error("what was compiled is not a plugin: {0:#}. Does its lib.rs call `commerce_sdk::plugin!`?")]
    Component(String),

    #[error("{path} is not empty: give the new plugin a folder of its own", path = .0.display())]
    NotEmpty(PathBuf),

    #[error(
        "`{0}` can't be a plugin's name: a lower-case letter, then up to 30 lower-case letters, digits or underscores"
    )]
    Name(String),
}

impl BuildError {
    pub(crate) fn start(command: &Command, cause: io::Error) -> Self {
        Self::Start {
            command: command.get_program().to_string_lossy().into_owned(),
            cause,
        }
    }

    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::File { path, cause }
    }
}
