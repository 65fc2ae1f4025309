//! `commerce`: what operators and CI use. One file per command under `commands/`: parse, do, print.

mod commands;
mod desk;
mod exit;
mod output;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::exit::{Exit, Failure};
use crate::output::Output;

#[global_allocator]
static ALLOCATOR: commerce_kernel::Allocator = commerce_kernel::Allocator;

/// Administers a commerce kernel.
///
/// Changes are carried out by the kernel that runs on this data folder, or directly where none runs.
#[derive(Parser)]
#[command(
    name = "commerce",
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 wrong configuration, 4 not found, 5 conflict, \
                  6 unavailable, 7 needs --yes, 8 done with skipped rows.\n\nExample: commerce dev"
)]
struct Cli {
    /// The configuration file; without it `commerce.toml` here, or the defaults where there is none.
    #[arg(long, global = true, value_name = "FILE", env = "COMMERCE_CONFIG")]
    config: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long, global = true)]
    json: bool,
    /// Print nothing but the result.
    #[arg(long, short, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Set up and serve a demo store, rebuilding plugins as they change.
    Dev(commands::dev::Args),
    /// Serve.
    Serve(commands::serve::Args),
    /// Write a commerce.toml and create the data folder.
    Init(commands::init::Args),
    /// Check the configuration and everything it names, and say what to fix.
    Doctor(commands::doctor::Args),
    /// Show the configuration in force.
    #[command(subcommand, after_help = "Example: commerce config show")]
    Config(commands::config::Command),
    /// Bring the database to this version.
    #[command(subcommand, after_help = "Example: commerce migrate status")]
    Migrate(commands::migrate::Command),
    /// Fill a store with a demonstration.
    Seed(commands::seed::Args),
    /// Create and manage stores.
    #[command(subcommand, after_help = "Example: commerce store list")]
    Store(commands::store::Command),
    /// Write, build, install and manage plugins.
    #[command(subcommand, after_help = "Example: commerce plugin list")]
    Plugin(commands::plugin::Command),
    /// Manage a store's accounts and roles.
    #[command(subcommand, after_help = "Example: commerce user list --store jakarta")]
    User(commands::user::Command),
    /// Manage a store's API keys and the kernel's signing keys.
    #[command(subcommand, after_help = "Example: commerce key list --store jakarta")]
    Key(commands::key::Command),
    /// Manage the secrets that plugins read.
    #[command(subcommand, after_help = "Example: commerce secret list")]
    Secret(commands::secret::Command),
    /// Import a file into a store.
    Import(commands::import::Args),
    /// Look at events, and replay or skip those that failed.
    #[command(subcommand, after_help = "Example: commerce events dead-letters")]
    Events(commands::events::Command),
    /// Look at the jobs that wait.
    Jobs(commands::events::JobsArgs),
    /// Print the OpenAPI document.
    Openapi(commands::openapi::Args),
    /// Print a completion script for a shell.
    Completions(commands::completions::Args),
}

/// What every command gets besides its own arguments.
pub struct Context {
    pub config: Option<PathBuf>,
    pub output: Output,
}

fn main() -> ExitCode {
    commerce_kernel::install_tls();
    let cli = Cli::parse();
    let context = Context {
        config: cli.config,
        output: Output {
            json: cli.json,
            quiet: cli.quiet,
        },
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            context
                .output
                .failure(&Failure::new(Exit::Failed, format!("can't start: {error}")));
            return Exit::Failed.into();
        }
    };
    match runtime.block_on(run(cli.command, &context)) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            context.output.failure(&failure);
            failure.exit.into()
        }
    }
}

async fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Dev(args) => commands::dev::run(args, context).await,
        Command::Serve(args) => commands::serve::run(args, context).await,
        Command::Init(args) => commands::init::run(args, context).await,
        Command::Doctor(args) => commands::doctor::run(args, context).await,
        Command::Config(command) => commands::config::run(command, context),
        Command::Migrate(command) => commands::migrate::run(command, context).await,
        Command::Seed(args) => commands::seed::run(args, context).await,
        Command::Store(command) => commands::store::run(command, context).await,
        Command::Plugin(command) => commands::plugin::run(command, context).await,
        Command::User(command) => commands::user::run(command, context).await,
        Command::Key(command) => commands::key::run(command, context).await,
        Command::Secret(command) => commands::secret::run(command, context).await,
        Command::Import(args) => commands::import::run(args, context).await,
        Command::Events(command) => commands::events::run(command, context).await,
        Command::Jobs(args) => commands::events::jobs(args, context).await,
        Command::Openapi(args) => commands::openapi::run(args, context).await,
        Command::Completions(args) => commands::completions::run(args),
    }
}
