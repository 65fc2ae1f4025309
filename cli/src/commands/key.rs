//! `commerce key`: API keys of a store, and the keys that sign access tokens.

use commerce_kernel::control::{KeyKind, KeyRequest, Request};
use serde_json::Value;

use crate::Context;
use crate::desk::Desk;
use crate::exit::{Exit, Failure};

#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Kind {
    /// Names the store and gives no rights: for browsers and apps.
    Publishable,
    /// Acts as staff with the permissions it was given: for servers.
    Secret,
}

#[derive(clap::Subcommand)]
pub enum Command {
    /// Create an API key. It is shown this once.
    #[command(
        after_help = "Example: commerce key create --store jakarta --kind secret --name warehouse \
                            --permission product.write"
    )]
    Create {
        #[arg(long)]
        store: String,
        #[arg(long, value_enum, default_value = "secret")]
        kind: Kind,
        /// What it is for.
        #[arg(long)]
        name: String,
        /// May be repeated; `*` for everything.
        #[arg(long = "permission", value_name = "PERMISSION")]
        permissions: Vec<String>,
    },
    /// List a store's API keys, without the keys themselves.
    #[command(after_help = "Example: commerce key list --store jakarta")]
    List {
        #[arg(long)]
        store: String,
    },
    /// Refuse an API key from now on.
    #[command(after_help = "Example: commerce key revoke apikey_01h… --store jakarta")]
    Revoke {
        id: String,
        #[arg(long)]
        store: String,
    },
    /// Sign access tokens with a new key. Tokens of the old one stay good until they expire.
    #[command(after_help = "Example: commerce key rotate")]
    Rotate,
}

pub async fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    let request = match command {
        Command::Create {
            store,
            kind,
            name,
            permissions,
        } => {
            let kind = match kind {
                Kind::Publishable => KeyKind::Publishable,
                Kind::Secret => KeyKind::Secret,
            };
            KeyRequest::Create {
                store,
                kind,
                name,
                permissions,
            }
        }
        Command::List { store } => {
            let answer = ask(KeyRequest::List { store }, context).await?;
            context.output.list(
                &answer,
                &[
                    ("id", "id"),
                    ("kind", "kind"),
                    ("name", "name"),
                    ("permissions", "permissions"),
                    ("ends in", "ends_in"),
                    ("revoked", "revoked_at"),
                ],
            );
            return Ok(Exit::Ok);
        }
        Command::Revoke { id, store } => KeyRequest::Revoke { store, id },
        Command::Rotate => KeyRequest::Rotate,
    };
    context.output.show(&ask(request, context).await?);
    Ok(Exit::Ok)
}

async fn ask(request: KeyRequest, context: &Context) -> Result<Value, Failure> {
    Desk::open(context).await?.carry_out(Request::Key(request)).await
}
