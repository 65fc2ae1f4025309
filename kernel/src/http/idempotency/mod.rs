//! `Idempotency-Key`: a change that is sent again has one effect, and its first answer comes again.
//!
//! The row is written by the unit of work that makes the change: it commits with it, or there is none. So a key that died
//! with its request, or whose request was refused, is free again. Two requests at once: on one node the second is told to
//! wait; on two nodes the later commit finds the first one's row, is rolled back whole, and answers what the first answered.
//!
//! A staged route has no such single transaction. It claims its key first, for as long as a lease, and notes its answer after.
//!
//! Owns `kernel.idempotency`.

mod in_flight;
mod kept;
mod name;

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};

use self::in_flight::InFlight;
pub use self::in_flight::KeysInFlight;
use self::name::{Name, UNGUESSABLE};
use super::answers::Answer;
use super::problem::{Code, Problem};
use super::routes::Route;
use crate::caller::Caller;
use crate::storage::sql::{KernelStatement, Row, Sql, SqlError, Time, args};

pub(super) static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How much longer than its deadline a call's claim holds: it may first wait for its turn and for a connection. Whoever
/// holds one longer is dead.
const GRACE: Duration = Duration::from_secs(120);

const READ: &str = "select fingerprint, state, lease_until, status, headers, body, created_at from kernel.idempotency
     where store = $1 and caller = $2 and method = $3 and path = $4 and key = $5";

/// A row that is too old, or that belongs to a dead claim, is overwritten as if it were not there.
const RECORD: &str = "insert into kernel.idempotency
       (store, caller, method, path, key, fingerprint, state, lease_until, status, headers, body, created_at)
     values ($1, $2, $3, $4, $5, $6, 'done', null, $7, $8, $9, $10)
     on conflict (store, caller, method, path, key) do update set
       fingerprint = excluded.fingerprint, state = 'done', lease_until = null, status = excluded.status,
       headers = excluded.headers, body = excluded.body, created_at = excluded.created_at
     where kernel.idempotency.created_at <= $11";

const CLAIM: &str = "insert into kernel.idempotency
       (store, caller, method, path, key, fingerprint, state, lease_until, created_at)
     values ($1, $2, $3, $4, $5, $6, 'running', $7, $8)
     on conflict (store, caller, method, path, key) do update set
       fingerprint = excluded.fingerprint, state = 'running', lease_until = excluded.lease_until, status = null,
       headers = null, body = null, created_at = excluded.created_at
     where kernel.idempotency.created_at <= $9
       or (kernel.idempotency.state = 'running' and kernel.idempotency.lease_until <= $8)";

const FINISH: &str =
    "update kernel.idempotency set state = 'done', lease_until = null, status = $6, headers = $7, body = $8
     where store = $1 and caller = $2 and method = $3 and path = $4 and key = $5 and state = 'running'";

const RELEASE: &str = "delete from kernel.idempotency
     where store = $1 and caller = $2 and method = $3 and path = $4 and key = $5 and state = 'running'";

/// One request with a key.
pub(super) struct Keyed {
    name: Name,
    fingerprint: [u8; 32],
    staged: bool,
    /// Rows older than this have been forgotten.
    forgotten: Time,
    _in_flight: InFlight,
}

/// What a key is found with before its request is carried out.
pub(super) enum Begun {
    /// Carry it out.
    Fresh(Keyed),
    Replay(Answer),
}

/// The parts of a request that decide whether it is the same one.
pub(super) struct Request<'a> {
    pub store: i64,
    pub caller: &'a Caller,
    pub route: &'a Route,
    pub method: &'a Method,
    pub path: &'a str,
    pub query: &'a str,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
    /// How long the call may run.
    pub deadline: Duration,
}

/// The key, if the request has one.
pub(super) fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let refuse = || {
        Problem::new(
            Code::InvalidHeader,
            "Send one Idempotency-Key of 1 to 255 visible ASCII characters.",
        )
    };
    let key = value.to_str().map_err(|_| refuse())?;
    let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    if values.next().is_some() || !(1..=255).contains(&key.len()) || !visible {
        return Err(refuse());
    }
    Ok(Some(key.to_owned()))
}

pub(super) async fn begin(
    sql: &Sql,
    in_flight: &Arc<KeysInFlight>,
    keep: Duration,
    key: String,
    request: &Request<'_>,
) -> Result<Begun, Problem> {
    let name = Name::of(request, key);
    let Some(guard) = InFlight::enter(in_flight, name.digest()) else {
        return Err(busy());
    };
    let now = Time::now();
    let keyed = Keyed {
        name,
        fingerprint: fingerprint(request),
        staged: request.route.declared.staged,
        forgotten: earlier(now, keep),
        _in_flight: guard,
    };
    if keyed.staged && keyed.claim(sql, now, request.deadline).await? {
        return Ok(Begun::Fresh(keyed));
    }
    match keyed.earlier_answer(sql, now).await? {
        Some(answer) => Ok(Begun::Replay(answer)),
        // The claim was refused for a row that is gone by now; whoever asks again finds it free.
        None if keyed.staged => Err(busy()),
        None => Ok(Begun::Fresh(keyed)),
    }
}

impl Keyed {
    /// What commits with the change. On a staged route it completes the claim instead.
    pub fn settlement(&self, answer: &Answer) -> KernelStatement {
        let status = i64::from(answer.status.as_u16());
        let kept = args![status, kept::headers_text(&answer.headers), answer.body.to_vec()];
        if self.staged {
            return KernelStatement::new(FINISH, self.name.with(kept));
        }
        let [status, headers, body] = kept;
        let row = args![self.fingerprint.to_vec(), Time::now(), self.forgotten];
        let [fingerprint, now, forgotten] = row;
        let args = self.name.with([fingerprint, status, headers, body, now, forgotten]);
        KernelStatement::new(RECORD, args).expecting(1)
    }

    /// After the commit was refused because another node was first, or the request was: was the same key answered there?
    pub async fn answer_of_another(&self, sql: &Sql) -> Option<Result<Answer, Problem>> {
        self.earlier_answer(sql, Time::now()).await.transpose()
    }

    /// The request was refused or failed: the next one may try.
    pub async fn release(&self, sql: &Sql) {
        if !self.staged {
            return;
        }
        let released = sql.kernel().execute(RELEASE, &self.name.with([])).await;
        if let Err(error) = released {
            tracing::warn!(%error, "an Idempotency-Key stays claimed until its lease ends");
        }
    }

    async fn claim(&self, sql: &Sql, now: Time, deadline: Duration) -> Result<bool, Problem> {
        let claim = args![
            self.fingerprint.to_vec(),
            later(now, deadline + GRACE),
            now,
            self.forgotten
        ];
        Ok(sql.kernel().execute(CLAIM, &self.name.with(claim)).await? == 1)
    }

    async fn earlier_answer(&self, sql: &Sql, now: Time) -> Result<Option<Answer>, Problem> {
        let row = sql.kernel().fetch_optional(READ, &self.name.with([])).await?;
        let Some(row) = row else { return Ok(None) };
        self.read(&row, now)?
    }

    fn read(&self, row: &Row, now: Time) -> Result<Result<Option<Answer>, Problem>, SqlError> {
        let running = row.get::<String>(1)? == "running";
        let lease: Option<Time> = row.get(2)?;
        let abandoned = running && lease.is_none_or(|lease| lease.0 <= now.0);
        if row.get::<Time>(6)?.0 <= self.forgotten.0 || abandoned {
            return Ok(Ok(None));
        }
        if row.get::<Vec<u8>>(0)? != self.fingerprint {
            return Ok(Err(Code::IdempotencyKeyReused.into()));
        }
        if running {
            return Ok(Err(busy()));
        }
        if self.name.guessable {
            return Ok(Err(Problem::new(
                Code::IdempotencyKeyReused,
                format!(
                    "This was done before and is not done again. Its answer comes again to who signs in, shows the token that \
                     the route takes, or uses a random key of {UNGUESSABLE} characters or more."
                ),
            )));
        }
        Ok(Ok(Some(kept::answer_of(row, 3)?)))
    }
}

fn fingerprint(request: &Request<'_>) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update((request.query.len() as u64).to_be_bytes());
    digest.update(request.query);
    digest.update(request.body);
    digest.finalize().into()
}

fn busy() -> Problem {
    Problem::from(Code::RequestInFlight).retry_after(1)
}

fn later(now: Time, by: Duration) -> Time {
    Time(now.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
}

fn earlier(now: Time, by: Duration) -> Time {
    Time(now.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
}
