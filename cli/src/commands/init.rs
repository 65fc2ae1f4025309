//! `commerce init`: a commented configuration and an empty, migrated database.

use std::path::PathBuf;

use crate::Context;
use crate::commands::migrate::unreachable_database;
use crate::desk::{load_config, open_kernel};
use crate::exit::{Exit, Failure};

#[derive(clap::Args)]
#[command(after_help = "Example: commerce init && commerce serve")]
pub struct Args {
    /// Write over an existing commerce.toml.
    #[arg(long)]
    force: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let path = context.config.clone().unwrap_or_else(|| PathBuf::from("commerce.toml"));
    if path.exists() && !args.force {
        context.output.note(&format!(
            "{} exists and stays as it is (--force writes it anew)",
            path.display()
        ));
    } else {
        std::fs::write(&path, commerce_kernel::config::DEFAULT_FILE)
            .map_err(|error| Failure::new(Exit::Failed, format!("can't write {}: {error}", path.display())))?;
        context.output.note(&format!("wrote {}", path.display()));
    }
    let config = load_config(context)?;
    let data_dir = config.data_dir.clone();
    commerce_kernel::kernel::migrate::up(&config)
        .await
        .map_err(unreachable_database)?;
    drop(open_kernel(config).await?);
    context.output.text(&format!(
        "ready: data in {}; next: commerce store create, commerce serve",
        data_dir.display()
    ));
    Ok(Exit::Ok)
}
