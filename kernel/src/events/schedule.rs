//! Cron lines: the table `kernel.schedules` says when each comes due next; coming due makes a job.
//!
//! Every node looks; the one whose conditional update moves `next_at` on makes the job, in the same transaction, so
//! there is one job for each store and time whatever dies in between. The next time is counted from now: what was
//! missed while nothing ran is made up for by one run. A job still waiting or running from the time before is not
//! doubled but moved, as any job that is scheduled again.

use std::collections::{HashMap, HashSet};

use super::cron_line::CronLine;
use super::{Consumers, ScheduleLine, jobs};
use crate::storage::sql::{KernelStatement, Sql, SqlError, Time, args};

/// The key of the jobs that cron lines make.
pub const SCHEDULE_KEY: &str = "@schedule";

const BATCH: i64 = 200;

pub(super) struct Schedules {
    pub sql: Sql,
}

impl Schedules {
    /// Brings the table in line with what the plugins declare: called at start, once a minute, and when plugins or
    /// stores change. Reads only, as long as nothing changed.
    pub async fn reconcile(&self, consumers: &dyn Consumers) -> Result<(), SqlError> {
        let recorded = self.recorded().await?;
        let declared = consumers.schedules();
        let now = Time::now();
        let changed = declared
            .iter()
            .filter(|line| recorded.get(&identity(line)) != Some(&line.cron));
        let rows: Vec<_> = changed
            .filter_map(|line| {
                let next = next_time(line, now)?;
                Some(
                    args![
                        line.store,
                        line.plugin.clone(),
                        line.name.clone(),
                        line.cron.clone(),
                        next
                    ]
                    .into(),
                )
            })
            .collect();
        if !rows.is_empty() {
            let statement = KernelStatement::rows(
                "insert into kernel.schedules as line (store, plugin, name, cron, next_at) values ($1, $2, $3, $4, $5)
                 on conflict (store, plugin, name) do update set cron = excluded.cron, next_at = excluded.next_at
                 where line.cron <> excluded.cron",
                rows,
            );
            self.sql.kernel().transaction(vec![statement]).await?;
        }
        Ok(())
    }

    async fn recorded(&self) -> Result<HashMap<(i64, String, String), String>, SqlError> {
        let rows = self
            .sql
            .kernel()
            .fetch_all("select store, plugin, name, cron from kernel.schedules", &[])
            .await?;
        rows.iter()
            .map(|row| Ok(((row.get(0)?, row.get(1)?, row.get(2)?), row.get(3)?)))
            .collect()
    }

    /// Makes a job of each line that has come due. Answers how many.
    pub async fn tick(&self, consumers: &dyn Consumers) -> Result<u32, SqlError> {
        let now = Time::now();
        let due = self.due(now).await?;
        if due.is_empty() {
            return Ok(0);
        }
        let declared: HashSet<ScheduleLine> = consumers.schedules().into_iter().collect();
        let mut made = 0;
        for (line, due_at) in due {
            let next = declared.contains(&line).then(|| next_time(&line, now)).flatten();
            let statements = match next {
                Some(next) => advance(&line, due_at, next),
                None => forget(&line, due_at),
            };
            match self.sql.kernel().transaction(statements).await {
                Ok(_) => made += u32::from(next.is_some()),
                // Another node was first.
                Err(SqlError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(made)
    }

    async fn due(&self, now: Time) -> Result<Vec<(ScheduleLine, Time)>, SqlError> {
        let text = "select store, plugin, name, cron, next_at from kernel.schedules where next_at <= $1 order by next_at limit $2";
        let rows = self.sql.kernel().fetch_all(text, &args![now, BATCH]).await?;
        let read = |row: &crate::storage::sql::Row| {
            let line = ScheduleLine {
                store: row.get(0)?,
                plugin: row.get(1)?,
                name: row.get(2)?,
                cron: row.get(3)?,
            };
            Ok((line, row.get(4)?))
        };
        rows.iter().map(read).collect()
    }
}

fn identity(line: &ScheduleLine) -> (i64, String, String) {
    (line.store, line.plugin.clone(), line.name.clone())
}

/// Install has refused lines that can't be read; one that no longer comes due is left out.
fn next_time(line: &ScheduleLine, now: Time) -> Option<Time> {
    line.cron.parse::<CronLine>().ok()?.next_after(now)
}

fn advance(line: &ScheduleLine, due_at: Time, next: Time) -> Vec<KernelStatement> {
    let moved = KernelStatement::new(
        "update kernel.schedules set next_at = $1 where store = $2 and plugin = $3 and name = $4 and next_at = $5",
        args![next, line.store, line.plugin.clone(), line.name.clone(), due_at],
    );
    vec![moved.expecting(1), jobs::of_schedule(line, due_at)]
}

/// Of a plugin that does not take part any more. Should it come back, it starts with its next time.
fn forget(line: &ScheduleLine, due_at: Time) -> Vec<KernelStatement> {
    vec![KernelStatement::new(
        "delete from kernel.schedules where store = $1 and plugin = $2 and name = $3 and next_at = $4",
        args![line.store, line.plugin.clone(), line.name.clone(), due_at],
    )]
}
