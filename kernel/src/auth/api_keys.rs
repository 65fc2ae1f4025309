//! API keys: `pk_…` names a store to whoever may see it, `sk_…` acts in it with the permissions it was given.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::sessions::encoded;
use super::{Auth, access, accounts};
use crate::args;
use crate::http::problem::{Code, Problem};
use crate::secrets::{Secret, random_bytes};
use crate::storage::sql::{KernelStatement, Row, SqlError, Time};
use crate::stores::Store;

const PUBLISHABLE: &str = "pk_";
const SECRET: &str = "sk_";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiKeyKind {
    Publishable,
    Secret,
}

/// A key that was just made.
#[derive(Debug)]
pub struct NewApiKey {
    pub id: String,
    /// Shown this once: the database knows its hash only.
    pub key: Secret<String>,
}

impl ApiKeyKind {
    fn name(self) -> &'static str {
        match self {
            Self::Publishable => "publishable",
            Self::Secret => "secret",
        }
    }
}

pub(super) fn is_key(text: &str) -> bool {
    text.starts_with(PUBLISHABLE) || text.starts_with(SECRET)
}

impl Auth {
    /// One that carries no right of its own.
    pub async fn create_publishable_key(&self, store: &Store, name: &str) -> Result<NewApiKey, Problem> {
        self.create_key(store, ApiKeyKind::Publishable, name, &[]).await
    }

    pub async fn create_key(
        &self,
        store: &Store,
        kind: ApiKeyKind,
        name: &str,
        permissions: &[String],
    ) -> Result<NewApiKey, Problem> {
        check_permissions(kind, permissions)?;
        if let Some(message) = accounts::name_misfit(name) {
            return Err(Problem::from(Code::InvalidBody).with_error("/name", message));
        }
        let prefix = match kind {
            ApiKeyKind::Publishable => PUBLISHABLE,
            ApiKeyKind::Secret => SECRET,
        };
        let key = format!("{prefix}{}", encoded(&random_bytes::<32>()));
        let id = crate::typeid::new("apikey");
        let last4 = key[key.len() - 4..].to_owned();
        let row = args![
            id.clone(),
            store.number,
            kind.name(),
            name.to_owned(),
            Sha256::digest(&key).to_vec(),
            last4,
            json!(BTreeSet::from_iter(permissions)).to_string(),
            Time::now(),
        ];
        let insert = KernelStatement::new(
            "insert into kernel.api_keys (id, store, kind, name, key_hash, last4, permissions, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
            row,
        );
        self.change_access(vec![insert]).await?;
        Ok(NewApiKey {
            id,
            key: Secret::new(key),
        })
    }

    /// Every key of the store, the revoked ones too; none of them in full.
    pub async fn keys(&self, store: &Store) -> Result<Vec<Value>, Problem> {
        let text = "select id, kind, name, last4, permissions, created_at, revoked_at
                    from kernel.api_keys where store = $1 order by id";
        let rows = self.0.sql.kernel().fetch_all(text, &args![store.number]).await?;
        Ok(rows.iter().map(key_to_json).collect::<Result<_, _>>()?)
    }

    /// In force at once here, within two seconds on other nodes.
    pub async fn revoke_key(&self, store: &Store, id: &str) -> Result<(), Problem> {
        let revoke = KernelStatement::new(
            "update kernel.api_keys set revoked_at = $3 where store = $1 and id = $2 and revoked_at is null",
            args![store.number, id.to_owned(), Time::now()],
        );
        self.change_access(vec![revoke.expecting(1)]).await.map_err(|problem| {
            let unknown = problem.is(Code::Conflict);
            if unknown {
                Problem::not_found(format!("There is no key {id} in force."))
            } else {
                problem
            }
        })
    }
}

fn key_to_json(row: &Row) -> Result<Value, SqlError> {
    let (created_at, revoked_at): (Time, Option<Time>) = (row.get(5)?, row.get(6)?);
    Ok(json!({
        "id": row.get::<String>(0)?,
        "kind": row.get::<String>(1)?,
        "name": row.get::<String>(2)?,
        "ends_in": row.get::<String>(3)?,
        "permissions": access::permissions(row, 4)?,
        "created_at": created_at.text().as_deref(),
        "revoked_at": revoked_at.and_then(Time::text).as_deref(),
    }))
}

/// A publishable key stands in web pages: it must never carry a right.
fn check_permissions(kind: ApiKeyKind, permissions: &[String]) -> Result<(), Problem> {
    let mut problem = Problem::from(Code::InvalidBody);
    match kind {
        ApiKeyKind::Publishable if !permissions.is_empty() => {
            problem = problem.with_error("/permissions", "a publishable key has none: make a secret one");
        }
        ApiKeyKind::Secret if permissions.is_empty() => {
            problem = problem.with_error("/permissions", "must name at least one, such as plugin.read");
        }
        _ => {}
    }
    for (position, permission) in permissions.iter().enumerate() {
        if !accounts::is_permission(permission) {
            problem = problem.with_error(format!("/permissions/{position}"), "must be like plugin.write, or *");
        }
    }
    if problem.errors.is_empty() {
        Ok(())
    } else {
        Err(problem)
    }
}
