//! Work for later: the table `kernel.jobs`.
//!
//! There is one row for each (store, plugin, name, key). Scheduling again moves it and gives it a new id, also while
//! it runs: the run that ends then finds another id in the row than the one it began with, gives its lease back, and
//! leaves the row waiting for the new time. So no scheduling is ever lost to a run that was already under way, and a
//! job never runs beside itself. Cancelling ends what waits or is dead; a run under way still commits, and is not
//! repeated.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::lease::{Claim, after};
use super::queue::{Queue, Work};
use super::schedule::SCHEDULE_KEY;
use super::{Consumers, Failure, ScheduleLine};
use crate::plugins::JobChange;
use crate::storage::sql::{KernelStatement, Row, Sql, SqlError, Time, Value, args};
use crate::typeid;

/// A job whose time has come.
#[derive(Clone, Debug)]
pub struct DueJob {
    /// `job_…`, the same for every attempt; another once it is scheduled again.
    pub id: String,
    pub store: i64,
    pub plugin: String,
    pub name: String,
    pub key: String,
    /// JSON.
    pub payload: String,
    pub due_at: Time,
    /// How often it was attempted before this time.
    pub attempts: u32,
    claim: Claim,
}

/// Answers a row where a job waits, for (store, plugin, name, key): what `jobs.cancel` tells its caller.
pub(super) const WAITING_JOB: &str = "select id from kernel.jobs
     where store = $1 and plugin = $2 and name = $3 and key = $4 and finished_at is null and state = 'waiting'";

const SCHEDULE: &str = "insert into kernel.jobs as job (id, store, plugin, name, key, payload, due_at, run_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8)
     on conflict (store, plugin, name, key) do update
     set id = excluded.id, payload = excluded.payload, due_at = excluded.due_at, run_at = excluded.run_at,
         state = 'waiting', attempts = 0, last_error = null, finished_at = null";

/// The statements that make the changes of a unit of work last; of several for one job the last counts.
pub(super) fn statements(store: i64, changes: &[JobChange]) -> Vec<KernelStatement> {
    // In key order, as everything that locks several rows.
    let mut last = BTreeMap::new();
    for change in changes {
        let (JobChange::Schedule { plugin, name, key, .. } | JobChange::Cancel { plugin, name, key }) = change;
        last.insert((plugin, name, key), change);
    }
    let mut scheduled = Vec::new();
    let mut statements = Vec::new();
    for change in last.into_values() {
        match change {
            JobChange::Schedule {
                id,
                plugin,
                name,
                key,
                due_at,
                payload,
            } => {
                scheduled.push(row(store, id, plugin, name, key, *due_at, payload));
            }
            JobChange::Cancel { plugin, name, key } => statements.push(KernelStatement::new(
                "update kernel.jobs set state = 'cancelled', id = $1, finished_at = $2
                 where store = $3 and plugin = $4 and name = $5 and key = $6 and finished_at is null",
                args![
                    typeid::new("job"),
                    Time::now(),
                    store,
                    plugin.clone(),
                    name.clone(),
                    key.clone()
                ],
            )),
        }
    }
    if !scheduled.is_empty() {
        statements.push(KernelStatement::rows(SCHEDULE, scheduled));
    }
    statements
}

/// The job of a cron line that has come due.
pub(super) fn of_schedule(line: &ScheduleLine, due_at: Time) -> KernelStatement {
    let id = typeid::new("job");
    KernelStatement::new(
        SCHEDULE,
        row(
            line.store,
            &id,
            &line.plugin,
            &line.name,
            SCHEDULE_KEY,
            due_at.0,
            "null",
        ),
    )
}

fn row(store: i64, id: &str, plugin: &str, name: &str, key: &str, due_at: i64, payload: &str) -> Vec<Value<'static>> {
    let texts = [id, plugin, name, key, payload].map(|text| Value::from(text.to_owned()));
    let [id, plugin, name, key, payload] = texts;
    vec![
        id,
        store.into(),
        plugin,
        name,
        key,
        payload,
        Time(due_at).into(),
        Time(due_at).into(),
    ]
}

pub(super) struct Jobs {
    pub sql: Sql,
    /// This runner's name in its leases.
    pub node: Arc<str>,
}

#[async_trait]
impl Queue for Jobs {
    type Row = DueJob;

    const KIND: &'static str = "job";

    fn sql(&self) -> &Sql {
        &self.sql
    }

    async fn claim(&self, limit: u32, lease: Duration) -> Result<Vec<DueJob>, SqlError> {
        let rows = self
            .sql
            .kernel()
            .write(
                "with ready as materialized (
                   select sequence from kernel.jobs
                   where finished_at is null and state = 'waiting' and run_at <= $1
                     and (leased_until is null or leased_until < $1)
                   order by run_at, sequence limit $2 for update skip locked)
                 update kernel.jobs set lease = $3, leased_until = $4, fence = fence + 1, attempts = attempts + 1
                 where sequence in (select sequence from ready)
                 returning sequence, fence, id, store, plugin, name, key, payload, due_at, attempts",
                &args![Time::now(), i64::from(limit), &*self.node, after(lease)],
            )
            .await?;
        let mut claimed = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        claimed.sort_by_key(|job| job.due_at.0);
        Ok(claimed)
    }

    fn renew(&self, job: &DueJob, lease: Duration) -> KernelStatement {
        let Claim { sequence, fence } = job.claim;
        KernelStatement::new(
            "update kernel.jobs set leased_until = $1 where sequence = $2 and lease = $3 and fence = $4",
            args![after(lease), sequence, self.node.to_string(), fence],
        )
    }

    async fn release(&self) -> Result<u64, SqlError> {
        let text = "update kernel.jobs set lease = null, leased_until = null,
                      attempts = case when attempts > 0 then attempts - 1 else 0 end
                    where lease = $1";
        self.sql.kernel().execute(text, &args![&*self.node]).await
    }

    fn work(job: &DueJob) -> Work<'_> {
        Work {
            id: &job.id,
            store: job.store,
            plugin: &job.plugin,
            name: &job.name,
            attempts: job.attempts + 1,
            since: job.due_at.0,
        }
    }

    async fn attempt(&self, consumers: &dyn Consumers, job: &DueJob) -> Result<(), Failure> {
        let Claim { sequence, fence } = job.claim;
        let done = KernelStatement::new(
            "update kernel.jobs
             set state = case when id = $1 then 'done' else state end,
                 finished_at = case when id = $1 then $2 else finished_at end,
                 lease = null, leased_until = null
             where sequence = $3 and lease = $4 and fence = $5",
            args![job.id.clone(), Time::now(), sequence, self.node.to_string(), fence],
        );
        consumers.run(job, done.expecting(1)).await
    }

    fn retry(&self, job: &DueJob, pause: Duration, error: &str) -> KernelStatement {
        let Claim { sequence, fence } = job.claim;
        KernelStatement::new(
            "update kernel.jobs
             set run_at = case when id = $1 then $2 else run_at end,
                 last_error = case when id = $1 then $3 else last_error end,
                 lease = null, leased_until = null
             where sequence = $4 and lease = $5 and fence = $6",
            args![
                job.id.clone(),
                after(pause),
                error.to_owned(),
                sequence,
                self.node.to_string(),
                fence
            ],
        )
    }

    fn bury(&self, job: &DueJob, error: &str) -> KernelStatement {
        let Claim { sequence, fence } = job.claim;
        KernelStatement::new(
            "update kernel.jobs
             set state = case when id = $1 then 'dead' else state end,
                 last_error = case when id = $1 then $2 else last_error end,
                 lease = null, leased_until = null
             where sequence = $3 and lease = $4 and fence = $5",
            args![job.id.clone(), error.to_owned(), sequence, self.node.to_string(), fence],
        )
    }

    fn put_off_others(&self, job: &DueJob, pause: Duration) -> KernelStatement {
        KernelStatement::new(
            "update kernel.jobs set run_at = $1 where sequence in (
               select sequence from kernel.jobs
               where finished_at is null and state = 'waiting' and lease is null
                 and store = $2 and plugin = $3 and run_at <= $4
               limit 1000 for update skip locked)",
            args![after(pause), job.store, job.plugin.clone(), Time::now()],
        )
    }

    fn put_off(&self, job: &DueJob, pause: Duration) -> KernelStatement {
        let Claim { sequence, fence } = job.claim;
        KernelStatement::new(
            "update kernel.jobs
             set run_at = case when id = $1 then $2 else run_at end,
                 attempts = case when id = $1 then attempts - 1 else attempts end,
                 lease = null, leased_until = null
             where sequence = $3 and lease = $4 and fence = $5",
            args![job.id.clone(), after(pause), sequence, self.node.to_string(), fence],
        )
    }
}

fn read(row: &Row) -> Result<DueJob, SqlError> {
    Ok(DueJob {
        claim: Claim {
            sequence: row.get(0)?,
            fence: row.get(1)?,
        },
        id: row.get(2)?,
        store: row.get(3)?,
        plugin: row.get(4)?,
        name: row.get(5)?,
        key: row.get(6)?,
        payload: row.get(7)?,
        due_at: row.get(8)?,
        attempts: u32::try_from(row.get::<i64>(9)? - 1).unwrap_or(0),
    })
}
