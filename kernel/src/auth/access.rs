//! What checking a request needs, in memory: staff and their permissions, API keys, and sessions that ended while access
//! tokens of theirs may still be alive. Customers are not in here: their token is enough.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::RwLock;
use sha2::{Digest, Sha256};

use super::api_keys::ApiKeyKind;
use super::{Auth, Inner, POLL};
use crate::args;
use crate::storage::sql::{Row, Sql, SqlError, Time};
use crate::versions::{Load, Topic, Versions};

#[derive(Default)]
pub(super) struct Access {
    rights: ArcSwap<Rights>,
    /// Session to the time from which on no access token of it is alive any more.
    ended: RwLock<HashMap<String, Time>>,
    /// Of two loads that run at once, the one that began later must win.
    loading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Rights {
    /// Store and account to permissions. Suspended accounts are absent, and their sessions have ended.
    staff: HashMap<(i64, String), BTreeSet<String>>,
    /// By the digest of the key.
    keys: HashMap<[u8; 32], Arc<ApiKey>>,
}

#[derive(Debug)]
pub(super) struct ApiKey {
    pub store: i64,
    pub id: String,
    pub kind: ApiKeyKind,
    pub permissions: BTreeSet<String>,
}

/// Ended sessions are read again from this long before, for clocks that differ and commits that take their time.
const OVERLAP_US: i64 = 60_000_000;

impl Access {
    /// None for who is no staff of that store.
    pub fn permissions(&self, store: i64, account: &str) -> Option<BTreeSet<String>> {
        let rights = self.rights.load();
        if rights.staff.is_empty() {
            return None;
        }
        rights.staff.get(&(store, account.to_owned())).cloned()
    }

    pub fn key(&self, presented: &str) -> Option<Arc<ApiKey>> {
        // Found by digest: how long the search takes tells nothing about any key.
        self.rights
            .load()
            .keys
            .get::<[u8; 32]>(&Sha256::digest(presented).into())
            .cloned()
    }

    pub fn has_ended(&self, session: &str) -> bool {
        self.ended.read().contains_key(session)
    }

    pub fn end(&self, session: String, tokens_die_at: Time) {
        self.ended.write().insert(session, tokens_die_at);
    }

    fn tidy(&self, now: Time) {
        self.ended.write().retain(|_, tokens_die_at| *tokens_die_at > now);
    }
}

impl Auth {
    pub(super) fn follow_access(&self, versions: &Versions) {
        let weak = Arc::downgrade(&self.0);
        versions.on_change(Topic::Access, move || {
            let inner = weak.upgrade();
            async move {
                let Some(inner) = inner else {
                    return Load::NobodyLeft;
                };
                match Auth(inner).load_access().await {
                    Ok(()) => Load::Done,
                    Err(error) => {
                        tracing::warn!(%error, "roles and keys could not be loaded; trying again");
                        Load::Failed
                    }
                }
            }
        });
    }

    /// After every change of roles, keys or signing keys.
    pub(super) async fn load_access(&self) -> anyhow::Result<()> {
        let Inner { sql, access, .. } = &*self.0;
        let _one_at_a_time = access.loading.lock().await;
        let rights = Rights {
            staff: staff(sql).await?,
            keys: keys(sql).await?,
        };
        access.rights.store(Arc::new(rights));
        self.load_signing_keys().await
    }

    /// Ends when the last clone of this is gone.
    pub(super) fn follow_ended_sessions(&self) {
        let weak = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            let mut since = Time::now();
            loop {
                tokio::time::sleep(POLL).await;
                let Some(inner) = weak.upgrade() else { return };
                let began = Time::now();
                match Auth(inner).load_ended_sessions(Time(since.0 - OVERLAP_US)).await {
                    Ok(()) => since = began,
                    Err(error) => {
                        tracing::warn!(%error, "ended sessions cannot be read; trying again")
                    }
                }
            }
        });
    }

    pub(super) async fn load_ended_sessions(&self, since: Time) -> Result<(), SqlError> {
        let now = Time::now();
        let life_us = self.access_token_life_us();
        let since = Time(since.0.max(now.0 - life_us));
        let text = "select id, revoked_at from kernel.sessions where revoked_at is not null and revoked_at >= $1";
        for row in self.0.sql.kernel().fetch_all(text, &args![since]).await? {
            self.0.access.end(row.get(0)?, Time(row.get::<Time>(1)?.0 + life_us));
        }
        self.0.access.tidy(now);
        self.0.throttle.tidy(now.0);
        Ok(())
    }

    pub(super) fn access_token_life_us(&self) -> i64 {
        i64::from(self.0.config.access_token_minutes) * 60_000_000
    }
}

async fn staff(sql: &Sql) -> Result<HashMap<(i64, String), BTreeSet<String>>, SqlError> {
    let rows = sql
        .kernel()
        .fetch_all(
            "select has.store, has.account, role.permissions
             from kernel.account_roles as has
             join kernel.roles as role on role.store = has.store and role.name = has.role
             join kernel.accounts as account on account.store = has.store and account.id = has.account
             where account.disabled_at is null",
            &[],
        )
        .await?;
    let mut staff: HashMap<_, BTreeSet<String>> = HashMap::new();
    for row in &rows {
        staff
            .entry((row.get(0)?, row.get(1)?))
            .or_default()
            .extend(permissions(row, 2)?);
    }
    Ok(staff)
}

async fn keys(sql: &Sql) -> Result<HashMap<[u8; 32], Arc<ApiKey>>, SqlError> {
    let text = "select store, id, kind, permissions, key_hash from kernel.api_keys where revoked_at is null";
    let rows = sql.kernel().fetch_all(text, &[]).await?;
    let mut keys = HashMap::with_capacity(rows.len());
    for row in &rows {
        let kind = match row.get::<String>(2)?.as_str() {
            "secret" => ApiKeyKind::Secret,
            _ => ApiKeyKind::Publishable,
        };
        let key = ApiKey {
            store: row.get(0)?,
            id: row.get(1)?,
            kind,
            permissions: permissions(row, 3)?,
        };
        if let Ok(digest) = <[u8; 32]>::try_from(row.get::<Vec<u8>>(4)?) {
            keys.insert(digest, Arc::new(key));
        }
    }
    Ok(keys)
}

/// A JSON array that this module wrote itself.
pub(super) fn permissions(row: &Row, column: usize) -> Result<BTreeSet<String>, SqlError> {
    Ok(serde_json::from_str(&row.get::<String>(column)?).unwrap_or_default())
}
