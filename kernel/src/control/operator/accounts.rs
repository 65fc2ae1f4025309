//! Accounts of staff and customers, and the roles that staff have.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Operator, items};
use crate::auth::Account;
use crate::control::request::exposed;
use crate::http::problem::Problem;
use crate::secrets::Secret;

/// Those that change an account answer it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum AccountRequest {
    Create {
        store: String,
        email: String,
        #[serde(serialize_with = "exposed")]
        password: Secret<String>,
        role: Option<String>,
    },
    /// Answers `{items: [account]}`, those whose address begins with `email`.
    List {
        store: String,
        email: Option<String>,
    },
    SetPassword {
        store: String,
        email: String,
        #[serde(serialize_with = "exposed")]
        password: Secret<String>,
    },
    Verify {
        store: String,
        email: String,
    },
    Suspend {
        store: String,
        email: String,
    },
    Resume {
        store: String,
        email: String,
    },
    Grant {
        store: String,
        email: String,
        role: String,
    },
    Revoke {
        store: String,
        email: String,
        role: String,
    },
    /// Creates the role or replaces its permissions. Answers `{name, permissions}`.
    SetRole {
        store: String,
        role: String,
        permissions: Vec<String>,
    },
    /// Answers `{items: [{name, permissions}]}`.
    Roles {
        store: String,
    },
}

impl Operator {
    pub(super) async fn accounts(&self, request: AccountRequest) -> Result<Value, Problem> {
        use AccountRequest as Asked;
        let auth = &self.kernel.auth;
        let store = |name: &str| self.store(name);
        let account = match request {
            Asked::Create {
                store: name,
                email,
                password,
                role,
            } => {
                auth.create_account(&*store(&name)?, &email, password, role.as_deref())
                    .await?
            }
            Asked::List { store: name, email } => {
                let accounts = auth.accounts(&*store(&name)?, email.as_deref()).await?;
                return Ok(items(accounts.iter().map(Account::to_json)));
            }
            Asked::SetPassword {
                store: name,
                email,
                password,
            } => auth.set_password(&*store(&name)?, &email, password).await?,
            Asked::Verify { store: name, email } => auth.verify_email(&*store(&name)?, &email).await?,
            Asked::Suspend { store: name, email } => auth.suspend_account(&*store(&name)?, &email).await?,
            Asked::Resume { store: name, email } => auth.resume_account(&*store(&name)?, &email).await?,
            Asked::Grant {
                store: name,
                email,
                role,
            } => auth.grant_role(&*store(&name)?, &email, &role).await?,
            Asked::Revoke {
                store: name,
                email,
                role,
            } => auth.revoke_role(&*store(&name)?, &email, &role).await?,
            Asked::SetRole {
                store: name,
                role,
                permissions,
            } => {
                auth.set_role(&*store(&name)?, &role, &permissions).await?;
                return Ok(json!({ "name": role, "permissions": permissions }));
            }
            Asked::Roles { store: name } => {
                let roles = auth.roles(&*store(&name)?).await?;
                let roles = roles
                    .iter()
                    .map(|(name, permissions)| json!({ "name": name, "permissions": permissions }));
                return Ok(items(roles));
            }
        };
        Ok(account.to_json())
    }
}
