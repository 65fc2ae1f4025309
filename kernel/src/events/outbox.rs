//! From what a unit of work published and scheduled to the statements that make it last.
//!
//! They run in the unit's own transaction, just before COMMIT: an event exists if, and only if, what it tells of does.
//! Each event becomes one row per subscriber, so a subscriber that fails delays nobody else, and an event that nobody
//! subscribes to costs nothing.

use super::jobs;
use crate::plugins::{JobChange, Published};
use crate::storage::sql::{KernelStatement, Time, Value};

/// The statements for the unit's settlement: usually none, or one for all its events and one for all its jobs.
/// Events of one publisher and key arrive in the order of their commits; an event without a key stands alone.
/// `subscribers` answers which plugins are told an event, given by its publisher and name, in this store.
pub fn settle<'a, Subscribers: IntoIterator<Item = &'a str>>(
    store: i64,
    published: &[Published],
    changes: &[JobChange],
    subscribers: impl Fn(&str, &str) -> Subscribers,
) -> Vec<KernelStatement> {
    let mut rows = Vec::new();
    for event in published {
        let told = subscribers(&event.publisher, &event.name);
        rows.extend(told.into_iter().map(|subscriber| row(store, event, subscriber)));
    }
    let mut statements = Vec::new();
    if !rows.is_empty() {
        statements.push(KernelStatement::rows(
            "insert into kernel.deliveries (event_id, store, subscriber, publisher, name, key, payload, occurred_at, due_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            rows,
        ));
    }
    statements.extend(jobs::statements(store, changes));
    statements
}

fn row(store: i64, event: &Published, subscriber: &str) -> Vec<Value<'static>> {
    let key = if event.key.is_empty() { &event.id } else { &event.key };
    vec![
        event.id.clone().into(),
        store.into(),
        subscriber.to_owned().into(),
        event.publisher.clone().into(),
        event.name.clone().into(),
        key.clone().into(),
        event.payload.clone().into(),
        Time(event.occurred_at).into(),
        Time::now().into(),
    ]
}
