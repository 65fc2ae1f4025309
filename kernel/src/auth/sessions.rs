//! Sessions: a sign-in and the refresh tokens that follow one another in it.
//!
//! A refresh token is good once. It answers with its successor, and when it comes again somebody has a copy: the session
//! ends for the owner and the thief alike, and its access tokens with it. Two requests that send the same token at the
//! same moment (two tabs of a browser) are no theft: the successor is made from the token with a key of the kernel's, so
//! the one that comes second gets the same successor and not a branch. "The same moment" is when the token's use was not
//! yet committed as the request came; `auth.refresh_grace_ms` makes it longer.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::tokens::Claims;
use super::{Answer, Asked, Auth};
use crate::args;
use crate::http::problem::{Code, Problem};
use crate::secrets::{keyed_digest, random_bytes};
use crate::storage::sql::{KernelStatement, SqlError, Time};
use crate::stores::Store;

const PREFIX: &str = "rt_";

/// A session that begins; its statements are part of the transaction that lets it begin.
pub(super) struct NewSession {
    id: String,
    refresh_token: String,
    pub statements: Vec<KernelStatement>,
}

/// A refresh token as the database knows it, with its session and account.
struct Presented {
    session: String,
    account: String,
    email: String,
    verified: bool,
    used_at: Option<Time>,
    /// The session is revoked or the account suspended.
    ended: bool,
    expires_at: Time,
}

impl Auth {
    /// Ends every session of the account, as part of the transaction that gives the reason: a change of the password that
    /// is kept while the thief's session is not ended would be none. Afterwards, see [`Auth::load_ended_sessions`].
    pub(super) fn ends_all_sessions(store: i64, account: &str, now: Time) -> KernelStatement {
        KernelStatement::new(
            "update kernel.sessions set revoked_at = $3 where store = $1 and account = $2 and revoked_at is null",
            args![store, account.to_owned(), now],
        )
    }

    pub(super) fn new_session(&self, store: &Store, account: &str) -> NewSession {
        let (id, now) = (crate::typeid::new("ses"), Time::now());
        let refresh_token = format!("{PREFIX}{}", encoded(&random_bytes::<32>()));
        let session = KernelStatement::new(
            "insert into kernel.sessions (store, id, account, created_at, refreshed_at, expires_at)
             values ($1, $2, $3, $4, $4, $5)",
            args![store.number, id.clone(), account.to_owned(), now, self.session_end(now)],
        );
        let statements = vec![session, insert_token(store, &refresh_token, &id, now)];
        NewSession {
            id,
            refresh_token,
            statements,
        }
    }

    /// What the client gets of a session that has begun.
    pub(super) fn tokens(
        &self,
        store: &Store,
        session: &NewSession,
        account: &str,
        verified_email: Option<String>,
    ) -> Result<Value, Problem> {
        self.token_pair(store, &session.id, account, verified_email, &session.refresh_token)
    }

    pub async fn refresh(&self, asked: Asked<'_>) -> Answer {
        let arrived = Time::now();
        let token = refresh_token(&asked.body)?;
        let presented = self
            .presented(asked.store, token)
            .await?
            .ok_or_else(|| Problem::from(Code::InvalidToken))?;
        if presented.ended {
            return Err(Code::InvalidToken.into());
        }
        if presented.expires_at <= arrived {
            return Err(Code::TokenExpired.into());
        }
        let successor = self.successor(asked.store, token);
        match presented.used_at {
            None => self.rotate(asked.store, token, &successor, &presented).await?,
            Some(used_at) => {
                // Another node's commit came a little later than it says; it is never earlier.
                let used_at = self.0.rotated.get(&digest(token)).unwrap_or(used_at);
                self.used_again(asked.store, &presented, used_at, arrived).await?;
            }
        }
        let verified_email = presented.verified.then(|| presented.email.clone());
        let mut answer = self.token_pair(
            asked.store,
            &presented.session,
            &presented.account,
            verified_email,
            &successor,
        )?;
        answer["user"] = json!({ "id": presented.account, "email": presented.email });
        Ok((200, answer))
    }

    /// An unknown token is no error: whoever signs out is signed out.
    pub async fn logout(&self, asked: Asked<'_>) -> Answer {
        let token = refresh_token(&asked.body)?;
        if let Some(presented) = self.presented(asked.store, token).await? {
            self.end_session(asked.store, &presented.session).await?;
        }
        Ok((204, Value::Null))
    }

    async fn end_session(&self, store: &Store, session: &str) -> Result<(), Problem> {
        let now = Time::now();
        let text = "update kernel.sessions set revoked_at = $3 where store = $1 and id = $2 and revoked_at is null";
        self.0
            .sql
            .kernel()
            .execute(text, &args![store.number, session, now])
            .await?;
        self.0
            .access
            .end(session.to_owned(), Time(now.0 + self.access_token_life_us()));
        Ok(())
    }

    async fn presented(&self, store: &Store, token: &str) -> Result<Option<Presented>, Problem> {
        let row = self
            .0
            .sql
            .kernel()
            .fetch_optional(
                "select session.id, account.id, account.email, account.verified_at, token.used_at,
                        session.revoked_at, account.disabled_at, session.expires_at
                 from kernel.refresh_tokens as token
                 join kernel.sessions as session on session.store = token.store and session.id = token.session
                 join kernel.accounts as account on account.store = session.store and account.id = session.account
                 where token.token_hash = $1 and token.store = $2",
                &args![digest(token), store.number],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Presented {
            session: row.get(0)?,
            account: row.get(1)?,
            email: row.get(2)?,
            verified: row.get::<Option<Time>>(3)?.is_some(),
            used_at: row.get(4)?,
            ended: row.get::<Option<Time>>(5)?.is_some() || row.get::<Option<Time>>(6)?.is_some(),
            expires_at: row.get(7)?,
        }))
    }

    async fn rotate(&self, store: &Store, token: &str, successor: &str, presented: &Presented) -> Result<(), Problem> {
        let now = Time::now();
        let statements = vec![
            // First the session's row: a revocation waits for it, or has had it.
            KernelStatement::new(
                "update kernel.sessions set refreshed_at = $3, expires_at = $4
                 where store = $1 and id = $2 and revoked_at is null",
                args![store.number, presented.session.clone(), now, self.session_end(now)],
            )
            .expecting(1),
            KernelStatement::new(
                "update kernel.refresh_tokens set used_at = $2 where token_hash = $1 and used_at is null",
                args![digest(token), now],
            )
            .expecting(1),
            insert_token(store, successor, &presented.session, now),
        ];
        // Between the commit and the note of its time, a request of the same moment would look like a replay: until that
        // is known, every request counts as one of the same moment.
        self.0.rotated.insert(digest(token), Time(i64::MAX));
        let outcome = self.0.sql.kernel().transaction(statements).await;
        match &outcome {
            // With a conflict the other's commit was not later than this.
            Ok(_) | Err(SqlError::Conflict) => self.0.rotated.insert(digest(token), Time::now()),
            Err(_) => self.0.rotated.invalidate(&digest(token)),
        }
        match outcome {
            Ok(_) => Ok(()),
            // It was unused a moment ago. Another request with the same token was faster, or the session has just ended.
            Err(SqlError::Conflict) => match self.presented(store, token).await? {
                Some(again) if !again.ended => Ok(()),
                _ => Err(Code::InvalidToken.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    async fn used_again(
        &self,
        store: &Store,
        presented: &Presented,
        used_at: Time,
        arrived: Time,
    ) -> Result<(), Problem> {
        let grace_us = i64::try_from(self.0.config.refresh_grace_ms)
            .unwrap_or(i64::MAX)
            .saturating_mul(1000);
        if arrived.0 <= used_at.0.saturating_add(grace_us) {
            return Ok(());
        }
        tracing::warn!(
            store = store.slug,
            account = presented.account,
            session = presented.session,
            "a refresh token was used twice: the session is ended"
        );
        self.end_session(store, &presented.session).await?;
        Err(Code::InvalidToken.into())
    }

    fn token_pair(
        &self,
        store: &Store,
        session: &str,
        account: &str,
        verified_email: Option<String>,
        refresh_token: &str,
    ) -> Result<Value, Problem> {
        let now = Time::now().0.div_euclid(1_000_000);
        let life = i64::from(self.0.config.access_token_minutes) * 60;
        let claims = Claims::new(&store.id, account, session, verified_email, now, life);
        let access_token = self.0.signing_keys.load().sign(&claims).map_err(|_| {
            tracing::error!("there is no key that signs access tokens");
            Problem::internal()
        })?;
        Ok(json!({
            "access_token": access_token,
            "refresh_token": refresh_token,
            "token_type": "Bearer",
            "expires_in": life,
        }))
    }

    fn successor(&self, store: &Store, token: &str) -> String {
        let digest = keyed_digest(self.0.rotation_key.expose(), &[store.id.as_bytes(), token.as_bytes()]);
        format!("{PREFIX}{}", encoded(&digest))
    }

    fn session_end(&self, now: Time) -> Time {
        Time(now.0 + i64::from(self.0.config.refresh_token_days) * 86_400_000_000)
    }
}

fn insert_token(store: &Store, token: &str, session: &str, now: Time) -> KernelStatement {
    KernelStatement::new(
        "insert into kernel.refresh_tokens (token_hash, store, session, issued_at) values ($1, $2, $3, $4)",
        args![digest(token), store.number, session.to_owned(), now],
    )
}

fn refresh_token(body: &Value) -> Result<&str, Problem> {
    body.get("refresh_token")
        .and_then(Value::as_str)
        .ok_or_else(|| Problem::from(Code::InvalidBody).with_error("/refresh_token", "must be a text"))
}

/// What the database knows of a token: 256 random bits need no slow hash.
fn digest(token: &str) -> Vec<u8> {
    Sha256::digest(token).to_vec()
}

pub(super) fn encoded(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
