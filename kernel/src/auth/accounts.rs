//! Accounts, their roles, and what operators do with them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::passwords::{MAX_BYTES, MIN_BYTES};
use super::signing_keys::load_failed;
use super::{Auth, OWNER, access, email};
use crate::args;
use crate::http::problem::{Code, Problem};
use crate::secrets::Secret;
use crate::storage::sql::{ConstraintKind, KernelStatement, Row, SqlError, Time};
use crate::stores::Store;
use crate::versions::Topic;

#[derive(Clone, Debug)]
pub struct Account {
    /// `user_…`
    pub id: String,
    pub email: String,
    pub name: Option<String>,
    pub verified: bool,
    pub suspended: bool,
    pub created_at: Time,
    pub roles: Vec<String>,
    pub(super) password_hash: Option<String>,
}

/// An account that is checked and hashed and not yet in any store.
pub struct PreparedAccount {
    pub id: String,
    pub email: String,
    name: Option<String>,
    password_hash: String,
}

impl Account {
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "email": self.email,
            "email_verified": self.verified,
            "name": self.name,
            "status": if self.suspended { "suspended" } else { "active" },
            "roles": self.roles,
            "created_at": self.created_at.text().as_deref(),
        })
    }
}

pub(super) fn password_misfit(password: &Secret<String>) -> Option<String> {
    let fits = (MIN_BYTES..=MAX_BYTES).contains(&password.expose().len());
    (!fits).then(|| format!("must have {MIN_BYTES} to {MAX_BYTES} bytes"))
}

pub(super) fn name_misfit(name: &str) -> Option<&'static str> {
    let fits = name.chars().count() <= 200 && !name.chars().any(char::is_control);
    (!fits).then_some("must have at most 200 characters, none of them a control character")
}

impl Auth {
    /// Checks and hashes; takes no connection while it does.
    pub async fn prepare_account(
        &self,
        email: &str,
        name: Option<&str>,
        password: Secret<String>,
    ) -> Result<PreparedAccount, Problem> {
        let mut problem = Problem::from(Code::InvalidBody);
        let address = email::normalised(email);
        if address.is_none() {
            problem = problem.with_error("/email", "must be an e-mail address");
        }
        if let Some(message) = password_misfit(&password) {
            problem = problem.with_error("/password", message);
        }
        if let Some(message) = name.and_then(name_misfit) {
            problem = problem.with_error("/name", message);
        }
        match address {
            Some(email) if problem.errors.is_empty() => Ok(PreparedAccount {
                id: crate::typeid::new("user"),
                email,
                name: name.map(str::to_owned),
                password_hash: self.0.passwords.hash(password).await?,
            }),
            _ => Err(problem),
        }
    }

    pub async fn insert_account(
        &self,
        store: &Store,
        account: PreparedAccount,
        role: Option<&str>,
    ) -> Result<(), Problem> {
        let grant = match role {
            Some(role) => {
                let row = args![store.number, account.id.clone(), role.to_owned()];
                let insert = "insert into kernel.account_roles (store, account, role) values ($1, $2, $3)";
                vec![KernelStatement::new(insert, row), Topic::Access.changed()]
            }
            None => Vec::new(),
        };
        self.insert_account_with(store, account, grant).await?;
        self.load_access().await.map_err(load_failed)
    }

    /// `further`: what is to happen in the same transaction.
    pub(super) async fn insert_account_with(
        &self,
        store: &Store,
        account: PreparedAccount,
        further: Vec<KernelStatement>,
    ) -> Result<(), Problem> {
        let row = args![
            store.number,
            account.id,
            account.email,
            account.password_hash,
            account.name,
            Time::now(),
        ];
        let mut statements = vec![KernelStatement::new(
            "insert into kernel.accounts (store, id, email, password_hash, name, created_at, updated_at)
             values ($1, $2, $3, $4, $5, $6, $6)",
            row,
        )];
        statements.extend(further);
        self.0
            .sql
            .kernel()
            .transaction(statements)
            .await
            .map(drop)
            .map_err(|error| match error {
                SqlError::Constraint(violated) => match violated.kind {
                    ConstraintKind::Unique => Code::EmailTaken.into(),
                    // The store was removed meanwhile, or has no such role.
                    _ => Problem::not_found("There is no such store or role."),
                },
                other => other.into(),
            })
    }

    pub async fn create_account(
        &self,
        store: &Store,
        email: &str,
        password: Secret<String>,
        role: Option<&str>,
    ) -> Result<Account, Problem> {
        let account = self.prepare_account(email, None, password).await?;
        let id = account.id.clone();
        self.insert_account(store, account, role).await?;
        self.account_by_id(store, &id).await?.ok_or_else(Problem::internal)
    }

    pub async fn account(&self, store: &Store, address: &str) -> Result<Account, Problem> {
        let address = email::normalised(address).unwrap_or_default();
        let text = "select id, email, name, verified_at, disabled_at, created_at, password_hash
                    from kernel.accounts where store = $1 and email = $2";
        let row = self
            .0
            .sql
            .kernel()
            .fetch_optional(text, &args![store.number, &address])
            .await?;
        match row {
            Some(row) => self.with_roles(store, &row).await,
            None => Err(Problem::not_found(format!(
                "There is no account {address} in {}.",
                store.slug
            ))),
        }
    }

    pub(super) async fn account_by_id(&self, store: &Store, id: &str) -> Result<Option<Account>, Problem> {
        let text = "select id, email, name, verified_at, disabled_at, created_at, password_hash
                    from kernel.accounts where store = $1 and id = $2";
        match self
            .0
            .sql
            .kernel()
            .fetch_optional(text, &args![store.number, id])
            .await?
        {
            Some(row) => self.with_roles(store, &row).await.map(Some),
            None => Ok(None),
        }
    }

    /// The first thousand by address, from `email` on; operators look for one, and page no further.
    pub async fn accounts(&self, store: &Store, email: Option<&str>) -> Result<Vec<Account>, Problem> {
        let text = "select id, email, name, verified_at, disabled_at, created_at, password_hash
                    from kernel.accounts where store = $1 and email >= $2 order by email limit 1000";
        let from = email.unwrap_or_default().trim().to_lowercase();
        let rows = self.0.sql.kernel().fetch_all(text, &args![store.number, &from]).await?;
        let mut accounts = rows.iter().map(account_of).collect::<Result<Vec<_>, _>>()?;
        accounts.retain(|account| account.email.starts_with(&from));
        let text = "select account, role from kernel.account_roles where store = $1 order by account, role";
        for row in self.0.sql.kernel().fetch_all(text, &args![store.number]).await? {
            let (id, role): (String, String) = (row.get(0)?, row.get(1)?);
            if let Some(account) = accounts.iter_mut().find(|account| account.id == id) {
                account.roles.push(role);
            }
        }
        Ok(accounts)
    }

    /// Ends the account's sessions too: whoever knew the old password is out.
    pub async fn set_password(&self, store: &Store, email: &str, password: Secret<String>) -> Result<Account, Problem> {
        let account = self.account(store, email).await?;
        if let Some(message) = password_misfit(&password) {
            return Err(Problem::from(Code::InvalidBody).with_error("/password", message));
        }
        let (hash, now) = (self.0.passwords.hash(password).await?, Time::now());
        let set = KernelStatement::new(
            "update kernel.accounts set password_hash = $3, updated_at = $4 where store = $1 and id = $2",
            args![store.number, account.id.clone(), hash, now],
        );
        let end = Self::ends_all_sessions(store.number, &account.id, now);
        self.0.sql.kernel().transaction(vec![set, end]).await?;
        self.load_ended_sessions(now).await?;
        Ok(account)
    }

    /// An operator vouches for the address.
    pub async fn verify_email(&self, store: &Store, email: &str) -> Result<Account, Problem> {
        let account = self.account(store, email).await?;
        let text = "update kernel.accounts set verified_at = $3, updated_at = $3
                    where store = $1 and id = $2 and verified_at is null";
        self.0
            .sql
            .kernel()
            .execute(text, &args![store.number, &account.id, Time::now()])
            .await?;
        self.account(store, email).await
    }

    /// In force at once: the account's sessions end, and with them its access tokens.
    pub async fn suspend_account(&self, store: &Store, email: &str) -> Result<Account, Problem> {
        let (account, now) = (self.account(store, email).await?, Time::now());
        let suspend = KernelStatement::new(
            "update kernel.accounts set disabled_at = $3, updated_at = $3
             where store = $1 and id = $2 and disabled_at is null",
            args![store.number, account.id.clone(), now],
        );
        let end = Self::ends_all_sessions(store.number, &account.id, now);
        self.change_access(vec![suspend, end]).await?;
        self.load_ended_sessions(now).await?;
        self.account(store, email).await
    }

    pub async fn resume_account(&self, store: &Store, email: &str) -> Result<Account, Problem> {
        let account = self.account(store, email).await?;
        let resume = KernelStatement::new(
            "update kernel.accounts set disabled_at = null, updated_at = $3 where store = $1 and id = $2",
            args![store.number, account.id, Time::now()],
        );
        self.change_access(vec![resume]).await?;
        self.account(store, email).await
    }

    pub async fn grant_role(&self, store: &Store, email: &str, role: &str) -> Result<Account, Problem> {
        let account = self.account(store, email).await?;
        let grant = KernelStatement::new(
            "insert into kernel.account_roles (store, account, role) values ($1, $2, $3)
             on conflict (store, account, role) do nothing",
            args![store.number, account.id, role.to_owned()],
        );
        self.change_access(vec![grant]).await?;
        self.account(store, email).await
    }

    pub async fn revoke_role(&self, store: &Store, email: &str, role: &str) -> Result<Account, Problem> {
        let account = self.account(store, email).await?;
        let revoke = KernelStatement::new(
            "delete from kernel.account_roles where store = $1 and account = $2 and role = $3",
            args![store.number, account.id, role.to_owned()],
        );
        self.change_access(vec![revoke]).await?;
        self.account(store, email).await
    }

    /// Creates the role, or replaces its permissions.
    pub async fn set_role(&self, store: &Store, role: &str, permissions: &[String]) -> Result<(), Problem> {
        check_role(role, permissions)?;
        let set = KernelStatement::new(
            "insert into kernel.roles (store, name, permissions) values ($1, $2, $3)
             on conflict (store, name) do update set permissions = excluded.permissions",
            args![
                store.number,
                role.to_owned(),
                json!(BTreeSet::from_iter(permissions)).to_string()
            ],
        );
        self.change_access(vec![set]).await
    }

    /// Names and permissions, by name.
    pub async fn roles(&self, store: &Store) -> Result<Vec<(String, BTreeSet<String>)>, Problem> {
        let text = "select name, permissions from kernel.roles where store = $1 order by name";
        let rows = self.0.sql.kernel().fetch_all(text, &args![store.number]).await?;
        rows.iter()
            .map(|row| Ok((row.get(0)?, access::permissions(row, 1)?)))
            .collect()
    }

    /// Carries out what other nodes must learn of, and loads it here.
    pub(super) async fn change_access(&self, mut statements: Vec<KernelStatement>) -> Result<(), Problem> {
        statements.push(Topic::Access.changed());
        self.0
            .sql
            .kernel()
            .transaction(statements)
            .await
            .map_err(|error| match error {
                SqlError::Constraint(violated) if violated.kind == ConstraintKind::ForeignKey => {
                    Problem::not_found("There is no such role, account or store.")
                }
                other => Problem::from(other),
            })?;
        self.load_access().await.map_err(load_failed)
    }

    async fn with_roles(&self, store: &Store, row: &Row) -> Result<Account, Problem> {
        let mut account = account_of(row)?;
        let text = "select role from kernel.account_roles where store = $1 and account = $2 order by role";
        for row in self
            .0
            .sql
            .kernel()
            .fetch_all(text, &args![store.number, &account.id])
            .await?
        {
            account.roles.push(row.get(0)?);
        }
        Ok(account)
    }
}

fn account_of(row: &Row) -> Result<Account, SqlError> {
    Ok(Account {
        id: row.get(0)?,
        email: row.get(1)?,
        name: row.get(2)?,
        verified: row.get::<Option<Time>>(3)?.is_some(),
        suspended: row.get::<Option<Time>>(4)?.is_some(),
        created_at: row.get(5)?,
        roles: Vec::new(),
        password_hash: row.get(6)?,
    })
}

/// The owner's role keeps its one permission: a store that nobody may manage could not be helped by its own staff.
fn check_role(role: &str, permissions: &[String]) -> Result<(), Problem> {
    let mut problem = Problem::from(Code::InvalidBody);
    let word = |text: &str| {
        (1..=63).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
    };
    if !word(role) {
        problem = problem.with_error("/role", "must be 1 to 63 of a-z, 0-9, _ and -");
    }
    if role == OWNER && permissions != ["*"] {
        problem = problem.with_error("/role", "owner is built in: make a role of another name");
    }
    for (position, permission) in permissions.iter().enumerate() {
        if !is_permission(permission) {
            problem = problem.with_error(format!("/permissions/{position}"), "must be like plugin.write, or *");
        }
    }
    if problem.errors.is_empty() {
        Ok(())
    } else {
        Err(problem)
    }
}

/// `plugin.right`, or `*` for everything.
pub(super) fn is_permission(text: &str) -> bool {
    let word = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    text == "*" || (text.len() <= 100 && text.contains('.') && text.split('.').all(word))
}
