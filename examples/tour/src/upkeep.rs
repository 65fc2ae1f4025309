//! What happens without a request: events of others, jobs, schedules, imports, the demonstration.

use std::collections::BTreeMap;

use commerce_sdk::import::{Batch, Report, RowError};
use commerce_sdk::prelude::*;
use commerce_sdk::seed::{Seed, Seeded};

use crate::notes::NoteId;

#[derive(Deserialize)]
pub struct Completed {
    transaction_id: String,
}

/// Runs once for each transaction, whatever dies in between.
#[consumer("transaction.completed")]
pub fn on_completed(event: Event<Completed>) -> Result<(), Problem> {
    log::info!(
        "transaction {} was completed at {}",
        event.payload.transaction_id,
        event.occurred_at
    );
    Ok(())
}

/// What `notification@1` asks for.
#[derive(Serialize)]
struct Notification<'a> {
    id: &'a str,
    channel: &'a str,
    to: &'a str,
    template: &'a str,
    values: BTreeMap<&'a str, &'a str>,
}

#[derive(Deserialize)]
struct Accepted {
    status: String,
}

/// A day after a note was written, tells its author through the first plugin that can.
#[job("remind")]
pub fn remind(job: Job<NoteId>) -> Result<(), Problem> {
    let note = sql!("select account, title from notes where id = $1", job.payload).optional::<(String, String)>()?;
    let Some((account, title)) = note else {
        return Ok(());
    };
    let Some(provider) = plugins::providers("notification@1")?.into_iter().next() else {
        return Ok(());
    };
    let values = BTreeMap::from([("title", title.as_str())]);
    let notification = Notification {
        id: &job.id,
        channel: "push",
        to: &account,
        template: "note",
        values,
    };
    let answer: Accepted = plugins::provider("notification@1", &provider, "send", &notification)?;
    log::info!("{provider} {} the reminder of {account}", answer.status);
    Ok(())
}

#[schedule("sweep", cron = "0 3 * * *")]
pub fn sweep() -> Result<(), Problem> {
    let keep = Duration::from_secs(86_400) * settings::<crate::Settings>()?.keep_days;
    let removed = sql!("delete from notes where written_at < $1", clock::now() - keep).execute()?;
    log::info!("removed {removed} old notes");
    Ok(())
}

/// `commerce import notes --format csv FILE`: account and title of each note.
#[function]
pub fn import_csv(batch: Batch) -> Result<Report, Problem> {
    let mut report = Report {
        consumed: batch.rows.len(),
        ..Report::default()
    };
    for row in batch.rows {
        let [account, title] = row.fields.as_slice() else {
            report.errors.push(RowError {
                line: row.line,
                message: "two fields are needed: account, title".to_owned(),
            });
            continue;
        };
        match create(account, title)? {
            0 => report.unchanged += 1,
            _ => report.created += 1,
        }
    }
    Ok(report)
}

#[function]
pub fn seed(wanted: Seed) -> Result<Seeded, Problem> {
    for number in wanted.from..wanted.from + wanted.count {
        create("user_demo", &format!("Note {number}"))?;
    }
    Ok(Seeded { created: wanted.count })
}

fn create(account: &str, title: &str) -> Result<u64, Problem> {
    Ok(sql!(
        "insert into notes (id, account, title, tags, written_at) values ($1, $2, $3, '[]', $4) on conflict do nothing",
        NoteId::new(),
        account,
        title,
        clock::now()
    )
    .execute()?)
}
