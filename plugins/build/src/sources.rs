//! What belongs to a plugin besides its code: `plugin.toml`, `migrations/*.sql` and the contracts of its services.

use std::fs;
use std::path::{Path, PathBuf};

use commerce_contract::Manifest;
use serde::Serialize;

use crate::{BuildError, contracts, manifest};

pub struct Sources {
    pub manifest: Manifest,
    pub manifest_text: String,
    /// In the order of their names.
    pub migrations: Vec<Migration>,
    /// The texts of the contract files, in the order of their names.
    pub contracts: Vec<String>,
}

#[derive(Serialize)]
pub struct Migration {
    pub file: String,
    pub text: String,
}

pub fn read(folder: &Path) -> Result<Sources, BuildError> {
    let path = folder.join("plugin.toml");
    let manifest_text = fs::read_to_string(&path).map_err(BuildError::file(&path))?;
    let manifest = manifest::parse(&manifest_text, &path)?;
    let migrations = migrations(&folder.join("migrations"))?;
    if !migrations.is_empty() && !manifest.capabilities.sql {
        let reason =
            "there are migrations, but no table may be made: write `sql = true` under [capabilities]".to_owned();
        return Err(BuildError::Source { path, reason });
    }
    let contracts = contracts::carried(&manifest, &folder.join("contracts"))?;
    Ok(Sources {
        manifest,
        manifest_text,
        migrations,
        contracts,
    })
}

/// `0001_products.sql` and so on; another name in that folder would be forgotten silently, so it is refused.
fn migrations(folder: &Path) -> Result<Vec<Migration>, BuildError> {
    let mut paths = entries(folder)?;
    paths.sort();
    let migration = |path: PathBuf| {
        let file = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
            .to_owned();
        let number = file.split_once('_').map(|(number, _)| number);
        if !file.ends_with(".sql")
            || !number.is_some_and(|number| number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit()))
        {
            let reason = "a migration is named by its number and purpose: 0001_products.sql".to_owned();
            return Err(BuildError::Source { path, reason });
        }
        let text = fs::read_to_string(&path).map_err(BuildError::file(&path))?;
        Ok(Migration { file, text })
    };
    let migrations = paths.into_iter().map(migration).collect::<Result<Vec<_>, _>>()?;
    if let Some([_, second]) = migrations
        .array_windows()
        .find(|[first, second]| first.file[..4] == second.file[..4])
    {
        let reason = "two migrations have one number, so their order is by chance".to_owned();
        return Err(BuildError::Source {
            path: folder.join(&second.file),
            reason,
        });
    }
    Ok(migrations)
}

/// None where there is no such folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, BuildError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).map_err(BuildError::file(folder))?;
    entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(BuildError::file(folder)))
        .collect()
}
