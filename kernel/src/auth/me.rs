//! `GET` and `PATCH /api/auth/me`.

use serde_json::{Value, json};

use super::passwords::Verdict;
use super::{Account, Answer, Asked, Auth, email};
use crate::args;
use crate::http::problem::{Code, Problem};
use crate::secrets::Secret;
use crate::storage::sql::{ConstraintKind, KernelStatement, SqlError, Time};

impl Auth {
    pub async fn me(&self, asked: Asked<'_>) -> Answer {
        let account = self.own_account(&asked).await?;
        Ok((200, self.shown(&asked, &account)))
    }

    /// A new address or password needs the current password: a token left behind on a library's computer must not be
    /// enough to take the account over. A new password ends every other sign-in and answers with a new one.
    pub async fn update_me(&self, asked: Asked<'_>) -> Answer {
        let account = self.own_account(&asked).await?;
        let wanted = Wanted::of(&asked.body)?;
        if wanted.email.is_some() || wanted.password.is_some() {
            self.check_current_password(&asked, &account, wanted.current_password)
                .await?;
        }
        let (store, now) = (asked.store.number, Time::now());
        let mut statements = Vec::new();
        if let Some(name) = &wanted.name {
            statements.push(KernelStatement::new(
                "update kernel.accounts set name = $3, updated_at = $4 where store = $1 and id = $2",
                args![store, account.id.clone(), name.clone(), now],
            ));
        }
        if let Some(email) = wanted.email.as_ref().filter(|email| **email != account.email) {
            statements.push(KernelStatement::new(
                "update kernel.accounts set email = $3, verified_at = null, updated_at = $4 where store = $1 and id = $2",
                args![store, account.id.clone(), email.clone(), now],
            ));
        }
        let mut tokens = None;
        if let Some(password) = wanted.password {
            let hash = self.0.passwords.hash(password).await?;
            statements.push(KernelStatement::new(
                "update kernel.accounts set password_hash = $3, updated_at = $4 where store = $1 and id = $2",
                args![store, account.id.clone(), hash, now],
            ));
            statements.push(Self::ends_all_sessions(store, &account.id, now));
            let session = self.new_session(asked.store, &account.id);
            let keeps_address = wanted.email.as_ref().is_none_or(|email| *email == account.email);
            let verified_email = (account.verified && keeps_address).then(|| account.email.clone());
            tokens = Some(self.tokens(asked.store, &session, &account.id, verified_email)?);
            statements.extend(session.statements);
        }
        self.0
            .sql
            .kernel()
            .transaction(statements)
            .await
            .map_err(|error| match error {
                SqlError::Constraint(violated) if violated.kind == ConstraintKind::Unique => Code::EmailTaken.into(),
                other => Problem::from(other),
            })?;
        if tokens.is_some() {
            self.load_ended_sessions(now).await?;
        }
        let account = self.own_account(&asked).await?;
        let mut answer = self.shown(&asked, &account);
        if let (Value::Object(answer), Some(Value::Object(tokens))) = (&mut answer, tokens) {
            answer.extend(tokens);
        }
        Ok((200, answer))
    }

    async fn own_account(&self, asked: &Asked<'_>) -> Result<Account, Problem> {
        let id = asked
            .caller
            .account
            .as_deref()
            .ok_or_else(|| Problem::from(Code::Unauthenticated))?;
        // Its token outlives a removed account by some minutes.
        self.account_by_id(asked.store, id)
            .await?
            .ok_or_else(|| Code::InvalidToken.into())
    }

    fn shown(&self, asked: &Asked<'_>, account: &Account) -> Value {
        let mut answer = account.to_json();
        answer["permissions"] = json!(asked.caller.permissions);
        answer
    }

    /// Throttled like a sign-in, or a stolen token would be a way to guess the password without limit.
    async fn check_current_password(
        &self,
        asked: &Asked<'_>,
        account: &Account,
        given: Option<Secret<String>>,
    ) -> Result<(), Problem> {
        let refused = |message: &str| Problem::from(Code::InvalidBody).with_error("/current_password", message);
        let given = given.ok_or_else(|| refused("is needed to change the address or the password"))?;
        let attempt = self.attempt(asked.store, &account.email, asked.address)?;
        match self.0.passwords.verify(given, account.password_hash.as_deref()).await? {
            Verdict::Right | Verdict::Outdated => self.succeeded(attempt).await,
            Verdict::Wrong => {
                self.failed(attempt).await?;
                Err(refused("is wrong"))
            }
        }
    }
}

/// What the body asks to change.
struct Wanted {
    name: Option<String>,
    email: Option<String>,
    password: Option<Secret<String>>,
    current_password: Option<Secret<String>>,
}

impl Wanted {
    fn of(body: &Value) -> Result<Self, Problem> {
        let mut problem = Problem::from(Code::InvalidBody);
        let mut text = |name: &str| match body.get(name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => {
                problem = problem.clone().with_error(format!("/{name}"), "must be a text");
                None
            }
        };
        let (name, email) = (text("name"), text("email"));
        let password = text("password").map(Secret::new);
        let current_password = text("current_password").map(Secret::new);
        let email = email.map(|given| {
            email::normalised(&given).unwrap_or_else(|| {
                problem = problem.clone().with_error("/email", "must be an e-mail address");
                String::new()
            })
        });
        if let Some(message) = password.as_ref().and_then(super::accounts::password_misfit) {
            problem = problem.with_error("/password", message);
        }
        if let Some(message) = name.as_deref().and_then(super::accounts::name_misfit) {
            problem = problem.with_error("/name", message);
        }
        if problem.errors.is_empty() {
            Ok(Self {
                name,
                email,
                password,
                current_password,
            })
        } else {
            Err(problem)
        }
    }
}
