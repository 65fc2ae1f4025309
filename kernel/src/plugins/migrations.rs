//! A package's migrations against what has been applied: which files are new, what they do, and the schema they lead to.

use std::collections::BTreeMap;

use super::package::Package;
use super::upgrade::InstallError;
use crate::storage::sql::border::{self, Class, Schema, View};
use crate::storage::sql::{PluginMigration, Sql};

pub(super) struct Plan {
    /// The tables after all files of the package, and the views it exports over them.
    pub schema: Schema,
    /// Those that have not been applied, in order.
    pub new_files: Vec<PluginMigration>,
    /// Whether one of the new files takes something away that an older version may need.
    pub contracts: bool,
}

/// The files applied for a plugin, with their checksums. They stay when it is removed without its tables.
pub(super) async fn applied(sql: &Sql, plugin: &str) -> Result<BTreeMap<String, String>, InstallError> {
    let text = "select file, checksum from kernel.plugin_migrations where plugin = $1";
    let rows = sql.kernel().fetch_all(text, &[plugin.into()]).await?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

pub(super) fn plan(package: &Package, applied: &BTreeMap<String, String>) -> Result<Plan, InstallError> {
    check_history(package, applied)?;
    let refuse = |file: &str, reason: String| InstallError::Migration {
        file: file.to_owned(),
        reason,
    };
    let mut schema = Schema::empty(package.name()).map_err(|refusal| refuse("", refusal.to_string()))?;
    let mut new_files = Vec::new();
    let mut contracts = false;
    for migration in &package.migrations {
        let planned = border::plan_migration(&schema, &migration.file, &migration.text);
        let planned = planned.map_err(|refusal| refuse(&migration.file, refusal.to_string()))?;
        schema = planned.schema_after;
        if !applied.contains_key(&migration.file) {
            contracts |= planned.class == Class::Contract;
            let (file, checksum) = (migration.file.clone(), migration.checksum());
            new_files.push(PluginMigration {
                file,
                checksum,
                steps: planned.steps,
            });
        }
    }
    let views = package.manifest.views.iter();
    let views = views
        .map(|(name, text)| View {
            name: name.clone(),
            text: text.clone(),
        })
        .collect();
    schema = schema
        .with_views(views)
        .map_err(|refusal| refuse("plugin.toml", refusal.to_string()))?;
    Ok(Plan {
        schema,
        new_files,
        contracts,
    })
}

/// Applied files are history: each must still be there, unchanged, and new ones come after them.
fn check_history(package: &Package, applied: &BTreeMap<String, String>) -> Result<(), InstallError> {
    let refuse = |file: &str, reason: &str| {
        Err(InstallError::Migration {
            file: file.to_owned(),
            reason: reason.to_owned(),
        })
    };
    let last = applied.keys().next_back();
    for migration in &package.migrations {
        match applied.get(&migration.file) {
            Some(checksum) if *checksum != migration.checksum() => {
                return refuse(
                    &migration.file,
                    "it was applied with another text; write a new file instead",
                );
            }
            None if last.is_some_and(|last| migration.file < *last) => {
                return refuse(
                    &migration.file,
                    "it is new, but its name comes before files that have been applied",
                );
            }
            _ => {}
        }
    }
    match applied
        .keys()
        .find(|file| !package.migrations.iter().any(|migration| migration.file == **file))
    {
        Some(file) => refuse(file, "it has been applied, and this package does not have it"),
        None => Ok(()),
    }
}

/// Drops every table. Recorded by nothing: the record goes as well.
pub(super) fn purge(schema: &Schema) -> PluginMigration {
    PluginMigration {
        file: "purge".to_owned(),
        checksum: String::new(),
        steps: vec![border::plan_drop(schema)],
    }
}
