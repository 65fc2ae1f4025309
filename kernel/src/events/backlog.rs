//! What operators see of events and jobs, and what they decide about dead letters.

use prometheus::IntGaugeVec;
use serde::Serialize;

use super::Events;
use crate::storage::sql::{KernelStatement, Row, Sql, SqlError, Time, Value, args};

/// Which rows to list, newest first.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub store: Option<i64>,
    /// `waiting`, `dead`, `done`, `skipped` (events), `cancelled` (jobs).
    pub state: Option<String>,
    pub limit: u32,
    /// The `cursor` of the last row of the page before.
    pub after: Option<i64>,
}

/// An event on its way to one subscriber.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventEntry {
    pub cursor: i64,
    pub id: String,
    #[serde(skip)]
    pub store: i64,
    pub subscriber: String,
    pub publisher: String,
    pub name: String,
    pub key: String,
    pub state: String,
    pub attempts: i64,
    pub last_error: Option<String>,
    pub occurred_at: String,
    pub due_at: String,
    pub finished_at: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct JobEntry {
    pub cursor: i64,
    pub id: String,
    #[serde(skip)]
    pub store: i64,
    pub plugin: String,
    pub name: String,
    pub key: String,
    pub state: String,
    pub attempts: i64,
    pub last_error: Option<String>,
    pub due_at: String,
    pub run_at: String,
    pub finished_at: Option<String>,
}

impl Events {
    pub async fn list_events(&self, filter: &Filter) -> Result<Vec<EventEntry>, SqlError> {
        let text = "select sequence, event_id, store, subscriber, publisher, name, key, state, attempts, last_error,
                      occurred_at, due_at, finished_at
                    from kernel.deliveries
                    where ($1 = 0 or store = $2) and ($3 = '' or state = $4) and sequence < $5
                    order by sequence desc limit $6";
        let rows = self.sql.kernel().fetch_all(text, &filter.args()).await?;
        rows.iter().map(event_entry).collect()
    }

    pub async fn list_jobs(&self, filter: &Filter) -> Result<Vec<JobEntry>, SqlError> {
        let text =
            "select sequence, id, store, plugin, name, key, state, attempts, last_error, due_at, run_at, finished_at
                    from kernel.jobs
                    where ($1 = 0 or store = $2) and ($3 = '' or state = $4) and sequence < $5
                    order by sequence desc limit $6";
        let rows = self.sql.kernel().fetch_all(text, &filter.args()).await?;
        rows.iter().map(job_entry).collect()
    }

    /// Has the dead letters of an event (`evt_…`) or a job (`job_…`) tried again from the start. Answers how many there were.
    pub async fn replay(&self, id: &str) -> Result<u64, SqlError> {
        let rows = self
            .decide(
                id,
                "update kernel.deliveries set state = 'waiting', attempts = 0, due_at = $1 where event_id = $2 and state = 'dead'",
                "update kernel.jobs set state = 'waiting', attempts = 0, run_at = $1 where id = $2 and state = 'dead'",
            )
            .await?;
        self.wake();
        Ok(rows)
    }

    /// Gives the dead letters of an event or a job up for good; later events of their keys go on. Answers how many there were.
    pub async fn skip(&self, id: &str) -> Result<u64, SqlError> {
        let rows = self
            .decide(
                id,
                "update kernel.deliveries set state = 'skipped', finished_at = $1 where event_id = $2 and state = 'dead'",
                "update kernel.jobs set state = 'cancelled', finished_at = $1 where id = $2 and state = 'dead'",
            )
            .await?;
        self.wake();
        Ok(rows)
    }

    async fn decide(&self, id: &str, event: &'static str, job: &'static str) -> Result<u64, SqlError> {
        let text = if id.starts_with("job_") { job } else { event };
        let decision = KernelStatement::new(text, args![Time::now(), id.to_owned()]);
        Ok(self.sql.kernel().transaction(vec![decision]).await?.into_iter().sum())
    }
}

impl Filter {
    /// A condition that does not apply is switched off by a parameter of its own, so that there is one text.
    fn args(&self) -> [Value<'_>; 6] {
        let state = self.state.as_deref().unwrap_or_default();
        let store = self.store.unwrap_or_default();
        args![
            store,
            store,
            state,
            state,
            self.after.unwrap_or(i64::MAX),
            i64::from(self.limit)
        ]
    }
}

fn event_entry(row: &Row) -> Result<EventEntry, SqlError> {
    Ok(EventEntry {
        cursor: row.get(0)?,
        id: row.get(1)?,
        store: row.get(2)?,
        subscriber: row.get(3)?,
        publisher: row.get(4)?,
        name: row.get(5)?,
        key: row.get(6)?,
        state: row.get(7)?,
        attempts: row.get(8)?,
        last_error: row.get(9)?,
        occurred_at: rfc3339(row.get(10)?),
        due_at: rfc3339(row.get(11)?),
        finished_at: row.get::<Option<Time>>(12)?.map(rfc3339),
    })
}

fn job_entry(row: &Row) -> Result<JobEntry, SqlError> {
    Ok(JobEntry {
        cursor: row.get(0)?,
        id: row.get(1)?,
        store: row.get(2)?,
        plugin: row.get(3)?,
        name: row.get(4)?,
        key: row.get(5)?,
        state: row.get(6)?,
        attempts: row.get(7)?,
        last_error: row.get(8)?,
        due_at: rfc3339(row.get(9)?),
        run_at: rfc3339(row.get(10)?),
        finished_at: row.get::<Option<Time>>(11)?.map(rfc3339),
    })
}

fn rfc3339(time: Time) -> String {
    time.text().map(|text| text.to_string()).unwrap_or_default()
}

/// Sets the gauges of what waits and what is dead.
pub(super) async fn gauge(sql: &Sql, gauges: &IntGaugeVec) -> Result<(), SqlError> {
    let events = "select state, count(*) from kernel.deliveries where finished_at is null group by state";
    let jobs = "select state, count(*) from kernel.jobs where finished_at is null group by state";
    for (kind, text) in [("event", events), ("job", jobs)] {
        for state in ["waiting", "dead"] {
            gauges.with_label_values(&[kind, state]).set(0);
        }
        for row in sql.kernel().fetch_all(text, &[]).await? {
            let state: String = row.get(0)?;
            gauges.with_label_values(&[kind, state.as_str()]).set(row.get(1)?);
        }
    }
    Ok(())
}
