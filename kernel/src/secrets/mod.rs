//! Secrets at rest: the master key outside the database, and values sealed with it.
mod master_key;
mod secret;
pub use master_key::{MasterKey, Place};
pub(crate) use master_key::{keyed_digest, random_bytes};
pub use secret::Secret;

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    #[error(
        "the master key must be 32 bytes, in hex or base64: make one with `openssl rand -hex 32`"
    )]
    MalformedMasterKey,
    #[error("no master key: set COMMERCE_MASTER_KEY or COMMERCE_MASTER_KEY_FILE to the one all nodes share, or put it into {}", .0.display())]
    NoMasterKey(PathBuf),
    #[error("{}: {}", .0.display(), .1)]
    MasterKeyFile(PathBuf, #[source] std::io::Error),
    #[error("{} can be read by others than its owner: chmod 600 it, and rotate what it sealed if somebody did", .0.display())]
    MasterKeyReadable(PathBuf),
    #[error(
        "the master key is not the one that this database was sealed with: given is {given}, needed is {sealed_with}"
    )]
    WrongMasterKey { sealed_with: String, given: String },
    #[error("the sealed value of {0} is damaged, or was moved here from another place")]
    Damaged(String),
}
