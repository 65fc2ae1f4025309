//! `commerce secret`: what plugins such as payment providers need to know and nobody else may.

use commerce_kernel::control::{Request, SecretRequest};
use serde_json::Value;

use crate::Context;
use crate::desk::Desk;
use crate::exit::{Exit, Failure};
use crate::output::secret_input;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Set a secret of a plugin. It is sealed before it is stored, and never shown again.
    #[command(after_help = "Example: commerce secret set xendit api_key --store jakarta --value - < key.txt")]
    Set {
        plugin: String,
        name: String,
        /// Without it, the secret of all stores that have none of their own.
        #[arg(long)]
        store: Option<String>,
        /// `-` reads it from standard input.
        #[arg(long)]
        value: Option<String>,
    },
    /// List the names of secrets.
    #[command(after_help = "Example: commerce secret list --plugin xendit")]
    List {
        #[arg(long)]
        plugin: Option<String>,
        #[arg(long)]
        store: Option<String>,
    },
    /// Remove a secret.
    #[command(after_help = "Example: commerce secret remove xendit api_key --store jakarta")]
    Remove {
        plugin: String,
        name: String,
        #[arg(long)]
        store: Option<String>,
    },
}

pub async fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    let request = match command {
        Command::Set {
            plugin,
            name,
            store,
            value,
        } => SecretRequest::Set {
            plugin,
            name,
            store,
            value: secret_input(value, "the secret")?,
        },
        Command::List { plugin, store } => {
            let answer = ask(SecretRequest::List { plugin, store }, context).await?;
            context
                .output
                .list(&answer, &[("plugin", "plugin"), ("name", "name"), ("store", "store")]);
            return Ok(Exit::Ok);
        }
        Command::Remove { plugin, name, store } => SecretRequest::Remove { plugin, name, store },
    };
    context.output.show(&ask(request, context).await?);
    Ok(Exit::Ok)
}

async fn ask(request: SecretRequest, context: &Context) -> Result<Value, Failure> {
    Desk::open(context).await?.carry_out(Request::Secret(request)).await
}
