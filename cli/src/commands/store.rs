//! `commerce store`: provisioning.

use commerce_kernel::control::{Request, StoreCreate, StoreRequest};
use serde_json::Value;

use crate::Context;
use crate::desk::Desk;
use crate::exit::{Exit, Failure};
use crate::output::secret_input;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Create a store with its owner. A running kernel serves it at once.
    #[command(
        after_help = "Example: commerce store create jakarta --name 'Toko Jakarta' --currency IDR \
                            --owner-email owner@example.com --owner-password - < password.txt"
    )]
    Create(Create),
    /// List the stores.
    #[command(visible_alias = "ls", after_help = "Example: commerce store list --json")]
    List,
    /// Show one store.
    #[command(after_help = "Example: commerce store show jakarta")]
    Show { store: String },
    /// Answer every request to a store with 403 until it is resumed. Nothing is removed.
    #[command(after_help = "Example: commerce store suspend jakarta")]
    Suspend { store: String },
    /// Serve a suspended store again.
    #[command(after_help = "Example: commerce store resume jakarta")]
    Resume { store: String },
    /// Let a store have prices in one more currency.
    #[command(after_help = "Example: commerce store add-currency jakarta USD")]
    AddCurrency {
        store: String,
        /// ISO 4217.
        currency: String,
    },
    /// Remove a store and all of its rows, in every plugin.
    #[command(after_help = "Example: commerce store delete jakarta --yes")]
    Delete {
        store: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(clap::Args)]
pub struct Create {
    /// Names the store in X-Store and on this command line: lower-case letters, digits and hyphens.
    slug: String,
    /// What people read.
    #[arg(long)]
    name: Option<String>,
    /// The default currency, ISO 4217.
    #[arg(long)]
    currency: String,
    /// A further currency that prices may have; may be repeated.
    #[arg(long = "also-currency", value_name = "CODE")]
    also: Vec<String>,
    /// A host name that selects this store; may be repeated.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// IANA time zone.
    #[arg(long)]
    timezone: Option<String>,
    #[arg(long)]
    owner_email: String,
    /// At least eight characters; `-` reads it from standard input.
    #[arg(long)]
    owner_password: Option<String>,
}

pub async fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    let output = &context.output;
    let request = match command {
        Command::Create(create) => StoreRequest::Create(StoreCreate {
            name: create.name.unwrap_or_else(|| create.slug.clone()),
            slug: create.slug,
            currency: create.currency,
            currencies: create.also,
            hosts: create.hosts,
            timezone: create.timezone,
            owner_email: create.owner_email,
            owner_password: secret_input(create.owner_password, "the owner's password")?,
        }),
        Command::List => {
            let answer = ask(StoreRequest::List, context).await?;
            output.list(
                &answer,
                &[
                    ("slug", "slug"),
                    ("name", "name"),
                    ("currency", "currency"),
                    ("status", "status"),
                    ("id", "id"),
                ],
            );
            return Ok(Exit::Ok);
        }
        Command::Show { store } => StoreRequest::Show { store },
        Command::Suspend { store } => StoreRequest::Suspend { store },
        Command::Resume { store } => StoreRequest::Resume { store },
        Command::AddCurrency { store, currency } => StoreRequest::AddCurrency { store, currency },
        Command::Delete { store, yes } => {
            output.confirm(&format!("Removing store {store} with all of its data"), yes)?;
            StoreRequest::Delete { store }
        }
    };
    output.show(&ask(request, context).await?);
    Ok(Exit::Ok)
}

async fn ask(request: StoreRequest, context: &Context) -> Result<Value, Failure> {
    Desk::open(context).await?.carry_out(Request::Store(request)).await
}
