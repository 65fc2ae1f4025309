//! `commerce plugin`: from an empty folder to production, and back by one version.

mod develop;
mod install;
mod settings;
mod sheet;

use std::path::{Path, PathBuf};

use commerce_kernel::control::{PluginRequest, Request};

pub use self::develop::{build_packages, plugin_folders, read_package};
use crate::Context;
use crate::desk::Desk;
use crate::exit::{Exit, Failure};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Write a small plugin that builds, installs and answers, to start from.
    #[command(after_help = "Example: commerce plugin new wishlist && cd wishlist && commerce plugin install . --yes")]
    New {
        /// Lower-case letters, digits and underscores.
        name: String,
        /// Where to write it; a folder of its name without this.
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Compile a plugin to one package file.
    #[command(after_help = "Example: commerce plugin build plugins/product")]
    Build {
        /// Plugin folders; this one without any.
        folders: Vec<PathBuf>,
        /// Every plugin below plugins/, examples/ and tests/ of this project.
        #[arg(long, conflicts_with = "folders")]
        all: bool,
    },
    /// Install a plugin, after showing what it asks for.
    #[command(after_help = "Example: commerce plugin install wishlist.wasm")]
    Install(Package),
    /// Replace a plugin by another version. Calls in flight finish on the old one.
    #[command(after_help = "Example: commerce plugin upgrade wishlist.wasm")]
    Upgrade(Package),
    /// List what is installed.
    #[command(visible_alias = "ls", after_help = "Example: commerce plugin list")]
    List,
    /// Show a plugin's routes, tables, SQL, hosts, limits and digest. Takes an installed name or a package file.
    #[command(after_help = "Example: commerce plugin inspect product")]
    Inspect { name: String },
    /// Let a store use a plugin.
    #[command(after_help = "Example: commerce plugin enable wishlist --store jakarta")]
    Enable {
        name: String,
        /// Without it: every store.
        #[arg(long)]
        store: Option<String>,
    },
    /// Take a plugin away from a store. Its data stays.
    #[command(after_help = "Example: commerce plugin disable wishlist --store jakarta")]
    Disable {
        name: String,
        #[arg(long)]
        store: Option<String>,
    },
    /// Go back to the version before.
    #[command(after_help = "Example: commerce plugin rollback wishlist")]
    Rollback { name: String },
    /// Remove a plugin. Its tables stay, unless they are purged.
    #[command(after_help = "Example: commerce plugin remove wishlist --purge --yes")]
    Remove {
        name: String,
        /// Drop its tables with all that is in them, and forget its secrets.
        #[arg(long)]
        purge: bool,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Show a plugin's settings in a store with what they may be, or set them.
    #[command(
        after_help = "Example: commerce plugin settings flat_rate --store jakarta --set '{\"free_above\": 500000}'"
    )]
    Settings(settings::Args),
}

#[derive(clap::Args)]
pub struct Package {
    /// A package file, or a plugin's folder, which is built first.
    package: PathBuf,
    /// Grant all that it asks for, without asking.
    #[arg(long)]
    yes: bool,
    /// Show what would happen and change nothing.
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    let output = &context.output;
    let request = match command {
        Command::New { name, dir } => return develop::new(&name, dir, context),
        Command::Build { folders, all } => return develop::build(folders, all, context),
        Command::Install(package) => return install::run(package, false, context).await,
        Command::Upgrade(package) => return install::run(package, true, context).await,
        Command::List => {
            let answer = Desk::open(context)
                .await?
                .carry_out(Request::Plugin(PluginRequest::List))
                .await?;
            output.list(
                &answer,
                &[
                    ("name", "name"),
                    ("version", "version"),
                    ("state", "state"),
                    ("stores", "stores"),
                    ("rollback to", "rollback_to"),
                    ("digest", "digest"),
                ],
            );
            return Ok(Exit::Ok);
        }
        Command::Inspect { name } => {
            let request = if Path::new(&name).exists() {
                PluginRequest::Preview {
                    package: read_package(Path::new(&name), context)?,
                }
            } else {
                PluginRequest::Inspect { name }
            };
            let answer = Desk::open(context).await?.carry_out(Request::Plugin(request)).await?;
            sheet::show(&answer, context);
            return Ok(Exit::Ok);
        }
        Command::Enable { name, store } => PluginRequest::Enable { name, store },
        Command::Disable { name, store } => PluginRequest::Disable { name, store },
        Command::Rollback { name } => PluginRequest::Rollback { name },
        Command::Remove { name, purge, yes } => {
            let loss = if purge {
                ", dropping its tables and forgetting its secrets"
            } else {
                ""
            };
            output.confirm(&format!("Removing plugin {name}{loss}"), yes)?;
            PluginRequest::Remove { name, purge }
        }
        Command::Settings(args) => return settings::run(args, context).await,
    };
    let answer = Desk::open(context).await?.carry_out(Request::Plugin(request)).await?;
    output.show(&answer);
    Ok(Exit::Ok)
}
