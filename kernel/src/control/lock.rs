//! One process at a time owns a data folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Held by a kernel as long as it lives, and by the command line while it acts on the data itself. The system drops it
/// with the process, however that ends.
#[derive(Debug)]
pub struct DataDirLock {
    _locked: File,
}

impl DataDirLock {
    /// None while another process owns the folder.
    pub fn acquire(data_dir: &Path) -> io::Result<Option<Self>> {
        let path = data_dir.join("kernel.lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _locked: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}
