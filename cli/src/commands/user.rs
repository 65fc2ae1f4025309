//! `commerce user`: a store's accounts and what their roles permit.

use commerce_kernel::control::{AccountRequest, Request};
use serde_json::Value;

use crate::Context;
use crate::desk::Desk;
use crate::exit::{Exit, Failure};
use crate::output::secret_input;

#[derive(clap::Args)]
pub struct Named {
    /// The store's slug.
    #[arg(long)]
    store: String,
    /// The account's e-mail address.
    email: String,
}

#[derive(clap::Subcommand)]
pub enum Command {
    /// Create an account, with a role for staff.
    #[command(after_help = "Example: commerce user create ana@example.com --store jakarta --role owner --password -")]
    Create {
        #[command(flatten)]
        named: Named,
        /// A role makes the account staff; `owner` may do everything.
        #[arg(long)]
        role: Option<String>,
        /// `-` reads it from standard input.
        #[arg(long)]
        password: Option<String>,
    },
    /// List accounts by address, from the one given on.
    #[command(after_help = "Example: commerce user list --store jakarta --email ana@example.com")]
    List {
        #[arg(long)]
        store: String,
        #[arg(long)]
        email: Option<String>,
    },
    /// Set a password and end the account's sessions.
    #[command(after_help = "Example: commerce user password ana@example.com --store jakarta --password -")]
    Password {
        #[command(flatten)]
        named: Named,
        #[arg(long)]
        password: Option<String>,
    },
    /// Mark the e-mail address as verified.
    #[command(after_help = "Example: commerce user verify ana@example.com --store jakarta")]
    Verify(Named),
    /// Refuse the account until it is resumed.
    #[command(after_help = "Example: commerce user suspend ana@example.com --store jakarta")]
    Suspend(Named),
    /// Accept a suspended account again.
    #[command(after_help = "Example: commerce user resume ana@example.com --store jakarta")]
    Resume(Named),
    /// Give an account a role.
    #[command(after_help = "Example: commerce user grant ana@example.com catalogue --store jakarta")]
    Grant {
        #[command(flatten)]
        named: Named,
        role: String,
    },
    /// Take a role from an account.
    #[command(after_help = "Example: commerce user revoke ana@example.com catalogue --store jakarta")]
    Revoke {
        #[command(flatten)]
        named: Named,
        role: String,
    },
    /// Define a role by the permissions it gives.
    #[command(after_help = "Example: commerce user role catalogue product.read product.write --store jakarta")]
    Role {
        role: String,
        #[arg(required = true)]
        permissions: Vec<String>,
        #[arg(long)]
        store: String,
    },
    /// List the roles of a store.
    #[command(after_help = "Example: commerce user roles --store jakarta")]
    Roles {
        #[arg(long)]
        store: String,
    },
}

pub async fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    let output = &context.output;
    let request = match command {
        Command::Create {
            named: Named { store, email },
            role,
            password,
        } => AccountRequest::Create {
            store,
            email,
            role,
            password: secret_input(password, "the password")?,
        },
        Command::List { store, email } => {
            let answer = ask(AccountRequest::List { store, email }, context).await?;
            output.list(
                &answer,
                &[
                    ("email", "email"),
                    ("roles", "roles"),
                    ("verified", "email_verified"),
                    ("status", "status"),
                    ("id", "id"),
                ],
            );
            return Ok(Exit::Ok);
        }
        Command::Password {
            named: Named { store, email },
            password,
        } => AccountRequest::SetPassword {
            store,
            email,
            password: secret_input(password, "the new password")?,
        },
        Command::Verify(Named { store, email }) => AccountRequest::Verify { store, email },
        Command::Suspend(Named { store, email }) => AccountRequest::Suspend { store, email },
        Command::Resume(Named { store, email }) => AccountRequest::Resume { store, email },
        Command::Grant {
            named: Named { store, email },
            role,
        } => AccountRequest::Grant { store, email, role },
        Command::Revoke {
            named: Named { store, email },
            role,
        } => AccountRequest::Revoke { store, email, role },
        Command::Role {
            role,
            permissions,
            store,
        } => AccountRequest::SetRole {
            store,
            role,
            permissions,
        },
        Command::Roles { store } => {
            let answer = ask(AccountRequest::Roles { store }, context).await?;
            output.list(&answer, &[("role", "name"), ("permissions", "permissions")]);
            return Ok(Exit::Ok);
        }
    };
    output.show(&ask(request, context).await?);
    Ok(Exit::Ok)
}

async fn ask(request: AccountRequest, context: &Context) -> Result<Value, Failure> {
    Desk::open(context).await?.carry_out(Request::Account(request)).await
}
