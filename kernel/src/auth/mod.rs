//! Who may do what in a store: accounts, sign-ins, API keys, roles.
//!
//! - A request proves who asks by an access token ([`tokens`]) or an API key; checking either takes no statement, because
//!   keys, roles and what was revoked are kept in memory ([`access`]).
//! - [`sign_in`], [`sessions`] and [`me`] answer `/api/auth/…`; [`accounts`], [`api_keys`] and [`signing_keys`] are what
//!   operators change.
//! - Everything is of one store. A token, key or account of another store is unknown here.
//!
//! What reaches whom when: a change of roles, a revoked key and an ended session are in force at once on this node and
//! within two seconds on the others. Only a verified e-mail address comes with the next access token.

mod access;
mod accounts;
mod api_keys;
mod config;
mod email;
mod me;
mod passwords;
mod routes;
mod sessions;
mod sign_in;
mod signing_keys;
mod throttle;
mod tokens;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::Value;

pub use accounts::{Account, PreparedAccount};
pub use api_keys::{ApiKeyKind, NewApiKey};
pub use config::AuthConfig;
pub use routes::{routes, schemas};
pub use signing_keys::a_sealed_key;

use crate::caller::{Caller, CallerKind};
use crate::events::PurgeRule;
use crate::http::problem::{Code, Problem};
use crate::secrets::{MasterKey, Secret};
use crate::storage::sql::{Sql, Time};
use crate::stores::Store;
use crate::versions::Versions;
use access::Access;
use passwords::Passwords;
use throttle::Throttle;
use tokens::{SigningKeys, TokenFault};

/// The role that may do everything; every store has it.
pub const OWNER: &str = "owner";

/// How often ended sessions of other nodes are read. With the time of the statement less than two seconds.
const POLL: Duration = Duration::from_millis(1000);

/// Longer than any request takes.
const ROTATED_TTL: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct Auth(Arc<Inner>);

struct Inner {
    sql: Sql,
    config: AuthConfig,
    master: MasterKey,
    passwords: Passwords,
    throttle: Throttle,
    access: Access,
    signing_keys: ArcSwap<SigningKeys>,
    /// See `sessions`: makes the successor of a refresh token from the token.
    rotation_key: Secret<[u8; 32]>,
    /// When the use of a refresh token was committed here, by its digest: for requests that came before that.
    rotated: moka::sync::Cache<Vec<u8>, Time>,
}

/// A request to `/api/auth/…`.
#[derive(Debug)]
pub struct Asked<'a> {
    pub store: &'a Arc<Store>,
    pub caller: &'a Caller,
    /// The client's, as trusted proxies tell it.
    pub address: IpAddr,
    pub body: Value,
}

/// A status and a JSON body; null for none.
pub type Answer = Result<(u16, Value), Problem>;

impl Auth {
    /// Makes the first signing key where there is none, and follows what other nodes change.
    pub async fn open(sql: Sql, config: AuthConfig, master: MasterKey, versions: &Versions) -> anyhow::Result<Self> {
        let auth = Self(Arc::new(Inner {
            passwords: Passwords::new(&config)?,
            throttle: Throttle::new(&config),
            access: Access::default(),
            signing_keys: ArcSwap::from_pointee(SigningKeys::new(Vec::new())),
            rotation_key: master.derive("refresh token rotation"),
            rotated: moka::sync::Cache::builder()
                .max_capacity(10_000)
                .time_to_live(ROTATED_TTL)
                .build(),
            sql,
            config,
            master,
        }));
        auth.follow_access(versions);
        auth.ensure_signing_key().await?;
        auth.load_access().await?;
        auth.load_throttle().await?;
        auth.load_ended_sessions(Time(0)).await?;
        auth.follow_ended_sessions();
        Ok(auth)
    }

    /// Answers one of [`routes`], by its operation.
    pub async fn answer(&self, operation: &str, asked: Asked<'_>) -> Answer {
        match operation {
            routes::REGISTER => self.register(asked).await,
            routes::LOGIN => self.login(asked).await,
            routes::REFRESH => self.refresh(asked).await,
            routes::LOGOUT => self.logout(asked).await,
            routes::ME => self.me(asked).await,
            routes::UPDATE_ME => self.update_me(asked).await,
            routes::STORE => Ok((200, asked.store.published())),
            _ => Err(Code::NotFound.into()),
        }
    }

    /// Who asks. None without credentials, and with a publishable key: that one only names the store.
    pub fn authenticate(&self, store: &Store, headers: &HeaderMap) -> Result<Option<Caller>, Problem> {
        match (bearer(headers)?, one(headers, "x-api-key")?) {
            (Some(token), None) if api_keys::is_key(token) => self.key_caller(store, token),
            (None, Some(key)) => self.key_caller(store, key),
            (None, None) => Ok(None),
            (Some(token), None) => self.token_caller(store, token).map(Some),
            (Some(token), Some(key)) => match self.key_caller(store, key)? {
                None if !api_keys::is_key(token) => self.token_caller(store, token).map(Some),
                // Two rights at once: which one was meant cannot be known.
                _ => Err(Problem::new(
                    Code::InvalidHeader,
                    "Send either an access token or a secret key.",
                )),
            },
        }
    }

    /// The number of the store that the request's API key belongs to.
    pub fn store_of_key(&self, headers: &HeaderMap) -> Result<Option<i64>, Problem> {
        let key = match (one(headers, "x-api-key")?, bearer(headers)?) {
            (Some(key), _) => Some(key),
            (None, token) => token.filter(|token| api_keys::is_key(token)),
        };
        match key {
            None => Ok(None),
            Some(key) => match self.0.access.key(key) {
                Some(known) => Ok(Some(known.store)),
                None => Err(Code::InvalidKey.into()),
            },
        }
    }

    fn token_caller(&self, store: &Store, token: &str) -> Result<Caller, Problem> {
        let claims = self
            .0
            .signing_keys
            .load()
            .verify(token, &store.id)
            .map_err(|fault| match fault {
                TokenFault::Expired => Problem::from(Code::TokenExpired),
                TokenFault::Invalid => Problem::from(Code::InvalidToken),
            })?;
        if self.0.access.has_ended(&claims.sid) {
            return Err(Code::InvalidToken.into());
        }
        let identity = format!("account:{}", claims.sub);
        let permissions = self.0.access.permissions(store.number, &claims.sub);
        Ok(Caller {
            kind: if permissions.is_some() {
                CallerKind::Staff
            } else {
                CallerKind::Customer
            },
            account: Some(claims.sub),
            verified_email: claims.verified_email,
            permissions: permissions.unwrap_or_default(),
            identity,
        })
    }

    fn key_caller(&self, store: &Store, key: &str) -> Result<Option<Caller>, Problem> {
        let known = self.0.access.key(key).filter(|known| known.store == store.number);
        let known = known.ok_or_else(|| Problem::from(Code::InvalidKey))?;
        Ok(match known.kind {
            ApiKeyKind::Publishable => None,
            ApiKeyKind::Secret => Some(Caller {
                kind: CallerKind::Staff,
                account: None,
                verified_email: None,
                permissions: known.permissions.clone(),
                identity: format!("key:{}", known.id),
            }),
        })
    }
}

/// Which rows of this module are of no use any more.
pub fn purge_rules(config: &AuthConfig) -> Vec<PurgeRule> {
    vec![
        // Their refresh tokens go with them.
        PurgeRule {
            table: "sessions",
            text: "delete from kernel.sessions where (store, id) in (
                     select store, id from kernel.sessions where expires_at < $1 order by expires_at limit $2)",
            // An access token outlives its session by minutes, and a revoked one must be known until then.
            keep: Duration::from_secs(u64::from(config.access_token_minutes) * 60),
        },
        PurgeRule {
            table: "login_throttles",
            text: "delete from kernel.login_throttles where (store, subject) in (
                     select store, subject from kernel.login_throttles where failed_at < $1 order by failed_at limit $2)",
            keep: Duration::from_secs(u64::from(config.login_forget_minutes) * 60),
        },
    ]
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(header) = one(headers, AUTHORIZATION.as_str())? else {
        return Ok(None);
    };
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        _ => Err(Problem::new(
            Code::InvalidToken,
            "Send the token as Authorization: Bearer ….",
        )),
    }
}

/// A header that may come once: of two, a proxy in front may have looked at the other one.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value
            .to_str()
            .map(Some)
            .map_err(|_| Problem::new(Code::InvalidHeader, format!("{name} must be ASCII."))),
        (Some(_), Some(_)) => Err(Problem::new(Code::InvalidHeader, format!("Send {name} once."))),
    }
}
