//! `commerce migrate`: the kernel's own tables. Plugins bring their tables when they are installed.

use commerce_kernel::kernel::{MissingRights, migrate};
use serde_json::json;

use crate::Context;
use crate::desk::load_config;
use crate::exit::{Exit, Failure};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Run what has not run yet. Does nothing where nothing is missing.
    #[command(after_help = "Example: commerce migrate up && commerce serve")]
    Up,
    /// Show which migrations have run. Fails where some have not.
    #[command(after_help = "Example: commerce migrate status --json")]
    Status,
    /// Print the SQL that `up` would run.
    #[command(after_help = "Example: commerce migrate plan")]
    Plan,
}

pub async fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    let config = load_config(context)?;
    let output = &context.output;
    match command {
        Command::Up => {
            let applied = migrate::up(&config).await.map_err(unreachable_database)?;
            if output.json {
                output.value(&json!({ "applied": applied }));
            } else if applied.is_empty() {
                output.note("the database is at this version already");
            } else {
                output.text(&format!("applied {}", applied.join(", ")));
            }
            Ok(Exit::Ok)
        }
        Command::Status => {
            let migrations = migrate::status(&config).await.map_err(unreachable_database)?;
            let missing = migrations.iter().any(|migration| migration.applied_at.is_none());
            let items = migrations.iter().map(|migration| {
                let applied_at = migration
                    .applied_at
                    .and_then(|time| time.text())
                    .map(|text| text.to_string());
                json!({ "name": migration.name, "applied_at": applied_at })
            });
            output.list(
                &json!({ "items": items.collect::<Vec<_>>() }),
                &[("name", "name"), ("applied", "applied_at")],
            );
            Ok(if missing { Exit::Conflict } else { Exit::Ok })
        }
        Command::Plan => {
            let migrations = migrate::status(&config).await.map_err(unreachable_database)?;
            let missing = migrations.iter().filter(|migration| migration.applied_at.is_none());
            let items: Vec<_> = missing
                .map(|migration| json!({ "name": migration.name, "sql": migration.text }))
                .collect();
            if output.json {
                output.value(&json!({ "items": items }));
            } else if items.is_empty() {
                output.note("nothing would run: the database is at this version");
            }
            for item in &items {
                output.text(&format!(
                    "-- {}\n{}",
                    item["name"].as_str().unwrap_or(""),
                    item["sql"].as_str().unwrap_or("")
                ));
            }
            Ok(Exit::Ok)
        }
    }
}

pub fn unreachable_database(error: anyhow::Error) -> Failure {
    if error.is::<MissingRights>() {
        return Failure::new(Exit::Failed, error.to_string());
    }
    Failure::new(Exit::Unavailable, format!("{error:#}"))
        .remedy("check sql.url (COMMERCE_SQL_URL), and that no kernel holds the data folder")
}
