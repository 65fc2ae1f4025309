//! `POST /api/auth/register` and `POST /api/auth/login`.

use serde_json::{Value, json};

use super::passwords::Verdict;
use super::throttle::{Attempt, Subject, Wait};
use super::{Answer, Asked, Auth, email};
use crate::args;
use crate::http::problem::{Code, Problem};
use crate::secrets::Secret;
use crate::storage::sql::{KernelStatement, SqlError, Time};
use crate::stores::Store;

/// An account as signing in needs it.
struct Found {
    id: String,
    password_hash: Option<String>,
    verified: bool,
    suspended: bool,
}

impl Auth {
    pub async fn register(&self, asked: Asked<'_>) -> Answer {
        let (address, password) = credentials(&asked.body)?;
        let name = asked.body.get("name").and_then(Value::as_str);
        let account = self.prepare_account(&address, name, password).await?;
        let session = self.new_session(asked.store, &account.id);
        let user = json!({ "id": account.id, "email": account.email });
        let mut answer = self.tokens(asked.store, &session, &account.id, None)?;
        self.insert_account_with(asked.store, account, session.statements)
            .await?;
        answer["user"] = user;
        Ok((201, answer))
    }

    pub async fn login(&self, asked: Asked<'_>) -> Answer {
        let (given, password) = credentials(&asked.body)?;
        // What is no address belongs to nobody, and takes the same way as an address that belongs to nobody.
        let address = email::normalised(&given).unwrap_or_else(|| given.trim().to_lowercase());
        let attempt = self.attempt(asked.store, &address, asked.address)?;
        let found = self.find(asked.store, &address).await?;
        let hash = found.as_ref().and_then(|found| found.password_hash.as_deref());
        let again = password.clone();
        let verdict = self.0.passwords.verify(password, hash).await?;
        let (Some(found), Verdict::Right | Verdict::Outdated) = (&found, verdict) else {
            self.failed(attempt).await?;
            return Err(Code::InvalidCredentials.into());
        };
        if found.suspended {
            // Told only to who knows the password.
            self.succeeded(attempt).await?;
            return Err(Code::AccountSuspended.into());
        }
        let session = self.new_session(asked.store, &found.id);
        let mut statements = vec![self.still_the_same(asked.store, found)];
        if verdict == Verdict::Outdated {
            statements.push(self.hashed_again(asked.store, found, again).await?);
        }
        let verified_email = found.verified.then(|| address.clone());
        let mut answer = self.tokens(asked.store, &session, &found.id, verified_email)?;
        statements.extend(session.statements);
        match self.0.sql.kernel().transaction(statements).await {
            Ok(_) => {}
            Err(SqlError::Conflict) => return Err(Code::InvalidCredentials.into()),
            Err(error) => return Err(error.into()),
        }
        self.succeeded(attempt).await?;
        answer["user"] = json!({ "id": found.id, "email": address });
        Ok((200, answer))
    }

    /// Leave to try a password of this account from this address.
    pub(super) fn attempt(&self, store: &Store, email: &str, address: std::net::IpAddr) -> Result<Attempt, Problem> {
        let subjects = [
            Subject::account_and_address(store.number, email, address),
            Subject::address(store.number, address),
        ];
        self.0
            .throttle
            .begin(subjects, Time::now().0)
            .map_err(|Wait { seconds }| {
                Problem::new(
                    Code::RateLimited,
                    "Too many failed sign-ins: wait as long as Retry-After says.",
                )
                .retry_after(seconds)
            })
    }

    /// Counts the failure here and in the database, and takes over what other nodes have counted there.
    pub(super) async fn failed(&self, attempt: Attempt) -> Result<(), Problem> {
        let now = Time::now();
        let forgotten = Time(self.0.throttle.forgotten_before_us(now.0));
        let [account, address] = attempt.failed(now.0);
        let store = account.store;
        // One statement for both: whoever guesses without end costs one write a guess.
        let counted = self
            .0
            .sql
            .kernel()
            .write(
                "insert into kernel.login_throttles as known (store, subject, failures, failed_at)
                 values ($1, $2, 1, $4), ($1, $3, 1, $4)
                 on conflict (store, subject) do update set
                    failures = case when known.failed_at < $5 then 1 else known.failures + 1 end,
                    failed_at = excluded.failed_at
                 returning subject, failures",
                &args![store, account.name, address.name, now, forgotten],
            )
            .await?;
        for row in counted {
            let subject = Subject {
                store,
                name: row.get(0)?,
            };
            let failures = u32::try_from(row.get::<i64>(1)?).unwrap_or(u32::MAX);
            self.0.throttle.learn(subject, failures, now.0);
        }
        Ok(())
    }

    pub(super) async fn succeeded(&self, attempt: Attempt) -> Result<(), Problem> {
        if let Some(subject) = attempt.succeeded() {
            let text = "delete from kernel.login_throttles where store = $1 and subject = $2";
            self.0
                .sql
                .kernel()
                .execute(text, &args![subject.store, subject.name])
                .await?;
        }
        Ok(())
    }

    /// A restart forgives nobody.
    pub(super) async fn load_throttle(&self) -> Result<(), SqlError> {
        let forgotten = Time(self.0.throttle.forgotten_before_us(Time::now().0));
        let text = "select store, subject, failures, failed_at from kernel.login_throttles where failed_at >= $1";
        for row in self.0.sql.kernel().fetch_all(text, &args![forgotten]).await? {
            let subject = Subject {
                store: row.get(0)?,
                name: row.get(1)?,
            };
            let failures = u32::try_from(row.get::<i64>(2)?).unwrap_or(u32::MAX);
            self.0.throttle.learn(subject, failures, row.get::<Time>(3)?.0);
        }
        Ok(())
    }

    async fn find(&self, store: &Store, email: &str) -> Result<Option<Found>, Problem> {
        let row = self
            .0
            .sql
            .kernel()
            .fetch_optional(
                "select id, password_hash, verified_at, disabled_at from kernel.accounts where store = $1 and email = $2",
                &args![store.number, email],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Found {
            id: row.get(0)?,
            password_hash: row.get(1)?,
            verified: row.get::<Option<Time>>(2)?.is_some(),
            suspended: row.get::<Option<Time>>(3)?.is_some(),
        }))
    }

    /// Between the password's check and the session's begin the password may have been changed, or the account suspended,
    /// which ends all sessions: one that slipped in afterwards would live on.
    fn still_the_same(&self, store: &Store, found: &Found) -> KernelStatement {
        KernelStatement::new(
            "update kernel.accounts set signed_in_at = $4
             where store = $1 and id = $2 and password_hash = $3 and disabled_at is null",
            args![store.number, found.id.clone(), found.password_hash.clone(), Time::now()],
        )
        .expecting(1)
    }

    async fn hashed_again(
        &self,
        store: &Store,
        found: &Found,
        password: Secret<String>,
    ) -> Result<KernelStatement, Problem> {
        let hash = self.0.passwords.hash(password).await?;
        Ok(KernelStatement::new(
            "update kernel.accounts set password_hash = $3 where store = $1 and id = $2",
            args![store.number, found.id.clone(), hash],
        ))
    }
}

/// Address and password as they were given.
fn credentials(body: &Value) -> Result<(String, Secret<String>), Problem> {
    let mut problem = Problem::from(Code::InvalidBody);
    let mut text = |name: &str| match body.get(name).and_then(Value::as_str) {
        Some(text) if text.len() <= 1024 => text.to_owned(),
        _ => {
            problem.errors.push(crate::http::problem::FieldError {
                pointer: format!("/{name}"),
                message: "must be a text of at most 1024 bytes".to_owned(),
            });
            String::new()
        }
    };
    let (email, password) = (text("email"), Secret::new(text("password")));
    if problem.errors.is_empty() {
        Ok((email, password))
    } else {
        Err(problem)
    }
}
