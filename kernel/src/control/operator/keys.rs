//! A store's API keys, and the keys that sign access tokens.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Operator, items};
use crate::auth::ApiKeyKind;
use crate::http::problem::Problem;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum KeyRequest {
    /// Answers `{id, kind, name, key}`; the key is shown this once.
    Create {
        store: String,
        kind: KeyKind,
        name: String,
        permissions: Vec<String>,
    },
    List {
        store: String,
    },
    Revoke {
        store: String,
        id: String,
    },
    /// A new signing key for access tokens; the old one is accepted until the tokens it signed have expired.
    Rotate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    Publishable,
    Secret,
}

impl Operator {
    pub(super) async fn keys(&self, request: KeyRequest) -> Result<Value, Problem> {
        let auth = &self.kernel.auth;
        match request {
            KeyRequest::Create {
                store,
                kind,
                name,
                permissions,
            } => {
                let of_auth = match kind {
                    KeyKind::Publishable => ApiKeyKind::Publishable,
                    KeyKind::Secret => ApiKeyKind::Secret,
                };
                let made = auth
                    .create_key(&*self.store(&store)?, of_auth, &name, &permissions)
                    .await?;
                Ok(json!({ "id": made.id, "kind": kind, "name": name, "key": made.key.expose() }))
            }
            KeyRequest::List { store } => Ok(items(auth.keys(&*self.store(&store)?).await?.into_iter())),
            KeyRequest::Revoke { store, id } => {
                auth.revoke_key(&*self.store(&store)?, &id).await?;
                Ok(json!({ "id": id, "revoked": true }))
            }
            KeyRequest::Rotate => Ok(json!({ "id": auth.rotate_signing_key().await? })),
        }
    }
}
