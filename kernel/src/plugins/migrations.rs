//! A package's migrations against what has been applied: which files are new, what they do, and the schema they lead to.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::package::Package;
use super::upgrade::InstallError;
use crate::storage::sql::border::{self, Border, Class, Schema, Step, View};
use crate::storage::sql::{PluginMigration, Sql};

pub(super) struct Plan {
    /// The tables after all files of the package, and the views it exports over them.
    pub schema: Schema,
    /// Those that have not been applied, in order.
    pub new_files: Vec<PluginMigration>,
    /// What a store that is created later gets: the statements marked `-- each store`, as they run on these tables.
    pub each_store: Vec<Step>,
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
    let (mut for_each_store, mut renamed) = (Vec::new(), Vec::new());
    for migration in &package.migrations {
        let planned = border::plan_migration(&schema, &migration.file, &migration.text);
        let planned = planned.map_err(|refusal| refuse(&migration.file, refusal.to_string()))?;
        schema = planned.schema_after;
        renamed.extend(planned.renamed);
        for_each_store.extend(
            planned
                .steps
                .iter()
                .filter_map(marked)
                .map(|(table, text)| (&migration.file, table, text)),
        );
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
    let border = Border::new(Arc::new(schema.clone()), Vec::new());
    let mut each_store = Vec::with_capacity(for_each_store.len());
    for (file, table, text) in for_each_store {
        // The rows of a table that was dropped are missed by nobody; those of one that has another name now would be.
        if schema.table(&table).is_none() && !renamed.contains(&table) {
            continue;
        }
        let prepared = border.prepare(&text).map_err(|refusal| {
            let reason = format!(
                "stores that are created later would not get what it marks `-- each store`, which does not fit the tables \
                 as later files leave them: {}\n{text}",
                refusal.message
            );
            refuse(file, reason)
        })?;
        each_store.push(Step::Data {
            text,
            prepared,
            each_new_store: true,
        });
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
        each_store,
        contracts,
    })
}

/// The table that a step marked `-- each store` writes, and its text.
fn marked(step: &Step) -> Option<(String, String)> {
    let Step::Data {
        text,
        prepared,
        each_new_store: true,
    } = step
    else {
        return None;
    };
    let written = prepared.tables.iter().find(|access| access.writes)?;
    Some((written.table.clone(), text.clone()))
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
