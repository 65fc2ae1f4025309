//! `commerce config`: what is in force and who decided it.

use serde_json::json;

use crate::Context;
use crate::desk::load_config;
use crate::exit::{Exit, Failure};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Show every key with its value and where that comes from. Secrets are not shown.
    #[command(after_help = "Example: COMMERCE_HTTP_PORT=9000 commerce config show")]
    Show,
}

pub fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    let Command::Show = command;
    let config = load_config(context)?;
    let items = json!({ "items": config.redacted() });
    context
        .output
        .list(&items, &[("key", "key"), ("value", "value"), ("from", "origin")]);
    Ok(Exit::Ok)
}
