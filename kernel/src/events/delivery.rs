//! Events on their way to subscribers: the table `kernel.deliveries`.
//!
//! A row waits, and is done, dead or skipped. Only the oldest row of a (store, subscriber, publisher, key) that is
//! neither done nor skipped may be claimed, so a dead letter holds the later events of its key back, and of no other.
//! The publisher belongs to the key so that no plugin can hold up another's events by failing on its own.
//!
//! "Oldest" is by `sequence`, given out when the row is written just before its COMMIT. Two units of work that touch
//! the same aggregate wait for each other's row locks before they get there, so positions of one key follow commits.
//!
//! Of a long queue behind one row only the front is kept due ([`set_aside`]); each row that is done calls the next few.
//!
//! What is written for a subscriber that has since been disabled waits until it is enabled again; what is written
//! while it is disabled never gets a row; removing the plugin for good, or the store, drops the rows ([`forget_plugin`]).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::lease::{Claim, after};
use super::queue::{Queue, Work};
use super::{Consumers, Failure};
use crate::storage::sql::{KernelStatement, Row, Sql, SqlError, Time, args};

/// One event on its way to one subscriber.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// `evt_…`, the same for every subscriber and every attempt.
    pub event_id: String,
    pub store: i64,
    pub subscriber: String,
    pub publisher: String,
    pub name: String,
    pub key: String,
    /// JSON.
    pub payload: String,
    pub occurred_at: Time,
    /// How often it was attempted before this time.
    pub attempts: u32,
    claim: Claim,
}

pub(super) struct Deliveries {
    pub sql: Sql,
    /// This runner's name in its leases.
    pub node: Arc<str>,
}

#[async_trait]
impl Queue for Deliveries {
    type Row = Delivery;

    const KIND: &'static str = "event";

    fn sql(&self) -> &Sql {
        &self.sql
    }

    async fn claim(&self, limit: u32, lease: Duration) -> Result<Vec<Delivery>, SqlError> {
        let rows = self
            .sql
            .kernel()
            .write(
                "with ready as materialized (
                   select d.sequence from kernel.deliveries d
                   where d.finished_at is null and d.state = 'waiting' and d.due_at <= $1
                     and (d.leased_until is null or d.leased_until < $1)
                     and not exists (
                       select 1 from kernel.deliveries elder
                       where elder.finished_at is null and elder.store = d.store and elder.subscriber = d.subscriber
                         and elder.publisher = d.publisher and elder.key = d.key and elder.sequence < d.sequence)
                   order by d.due_at, d.sequence limit $2 for update skip locked)
                 update kernel.deliveries set lease = $3, leased_until = $4, fence = fence + 1, attempts = attempts + 1
                 where sequence in (select sequence from ready)
                 returning sequence, fence, event_id, store, subscriber, publisher, name, key, payload, occurred_at, attempts",
                &args![Time::now(), i64::from(limit), &*self.node, after(lease)],
            )
            .await?;
        let mut claimed = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        claimed.sort_by_key(|delivery| delivery.claim.sequence);
        Ok(claimed)
    }

    fn renew(&self, delivery: &Delivery, lease: Duration) -> KernelStatement {
        let Claim { sequence, fence } = delivery.claim;
        KernelStatement::new(
            "update kernel.deliveries set leased_until = $1 where sequence = $2 and lease = $3 and fence = $4",
            args![after(lease), sequence, self.node.to_string(), fence],
        )
    }

    async fn release(&self) -> Result<u64, SqlError> {
        let text =
            "update kernel.deliveries set lease = null, leased_until = null, attempts = attempts - 1 where lease = $1";
        self.sql.kernel().execute(text, &args![&*self.node]).await
    }

    async fn call_next(&self, delivery: &Delivery) -> Result<(), SqlError> {
        let next = "select sequence from (
                      select sequence, due_at from kernel.deliveries
                      where finished_at is null and store = $1 and subscriber = $2 and publisher = $3 and key = $4
                        and sequence > $5
                      order by sequence limit 50) as near
                    where due_at > $6";
        let args = args![
            delivery.store,
            &delivery.subscriber,
            &delivery.publisher,
            &delivery.key,
            delivery.claim.sequence,
            Time::now()
        ];
        let set_aside = self.sql.kernel().fetch_all(next, &args).await?;
        let call =
            "update kernel.deliveries set due_at = $1 where sequence = $2 and lease is null and finished_at is null";
        let mut calls = Vec::with_capacity(set_aside.len());
        for row in &set_aside {
            calls.push(KernelStatement::new(call, args![Time::now(), row.get::<i64>(0)?]));
        }
        self.sql.kernel().transaction(calls).await.map(drop)
    }

    fn work(delivery: &Delivery) -> Work<'_> {
        Work {
            id: &delivery.event_id,
            store: delivery.store,
            plugin: &delivery.subscriber,
            name: &delivery.name,
            attempts: delivery.attempts + 1,
            since: delivery.occurred_at.0,
        }
    }

    async fn attempt(&self, consumers: &dyn Consumers, delivery: &Delivery) -> Result<(), Failure> {
        let Claim { sequence, fence } = delivery.claim;
        let done = KernelStatement::new(
            "update kernel.deliveries set state = 'done', finished_at = $1, lease = null, leased_until = null
             where sequence = $2 and lease = $3 and fence = $4",
            args![Time::now(), sequence, self.node.to_string(), fence],
        );
        consumers.consume(delivery, done.expecting(1)).await
    }

    fn retry(&self, delivery: &Delivery, pause: Duration, error: &str) -> KernelStatement {
        let Claim { sequence, fence } = delivery.claim;
        KernelStatement::new(
            "update kernel.deliveries set due_at = $1, last_error = $2, lease = null, leased_until = null
             where sequence = $3 and lease = $4 and fence = $5",
            args![after(pause), error.to_owned(), sequence, self.node.to_string(), fence],
        )
    }

    fn bury(&self, delivery: &Delivery, error: &str) -> KernelStatement {
        let Claim { sequence, fence } = delivery.claim;
        KernelStatement::new(
            "update kernel.deliveries set state = 'dead', last_error = $1, lease = null, leased_until = null
             where sequence = $2 and lease = $3 and fence = $4",
            args![error.to_owned(), sequence, self.node.to_string(), fence],
        )
    }

    fn put_off_others(&self, delivery: &Delivery, pause: Duration) -> KernelStatement {
        KernelStatement::new(
            "update kernel.deliveries set due_at = $1 where sequence in (
               select sequence from kernel.deliveries
               where finished_at is null and state = 'waiting' and lease is null
                 and store = $2 and subscriber = $3 and due_at <= $4
               limit 1000 for update skip locked)",
            args![after(pause), delivery.store, delivery.subscriber.clone(), Time::now()],
        )
    }

    fn put_off(&self, delivery: &Delivery, pause: Duration) -> KernelStatement {
        let Claim { sequence, fence } = delivery.claim;
        KernelStatement::new(
            "update kernel.deliveries set due_at = $1, attempts = attempts - 1, lease = null, leased_until = null
             where sequence = $2 and lease = $3 and fence = $4",
            args![after(pause), sequence, self.node.to_string(), fence],
        )
    }
}

fn read(row: &Row) -> Result<Delivery, SqlError> {
    Ok(Delivery {
        claim: Claim {
            sequence: row.get(0)?,
            fence: row.get(1)?,
        },
        event_id: row.get(2)?,
        store: row.get(3)?,
        subscriber: row.get(4)?,
        publisher: row.get(5)?,
        name: row.get(6)?,
        key: row.get(7)?,
        payload: row.get(8)?,
        occurred_at: row.get(9)?,
        attempts: u32::try_from(row.get::<i64>(10)? - 1).unwrap_or(0),
    })
}

/// Long, because nothing depends on it: what stands behind is called when its turn comes near.
const SET_ASIDE: Duration = Duration::from_secs(600);

/// Makes what stands far back in the queue of its key due later. Otherwise every claim would look through all of it for the
/// few rows that may be delivered: with a hundred thousand behind a dead letter, for most of a second.
pub(super) async fn set_aside(sql: &Sql) -> Result<(), SqlError> {
    const BATCH: i64 = 5_000;
    // Those near the head stay: who is called and set aside at the same moment is called again by the next that is done.
    let text = "update kernel.deliveries set due_at = $1 where sequence in (
                  select later.sequence from kernel.deliveries later
                  where later.finished_at is null and later.state = 'waiting' and later.lease is null and later.due_at <= $2
                    and exists (
                      select 1 from kernel.deliveries elder
                      where elder.finished_at is null and elder.store = later.store
                        and elder.subscriber = later.subscriber and elder.publisher = later.publisher
                        and elder.key = later.key and elder.sequence < later.sequence
                      order by elder.sequence limit 1 offset 20)
                  order by later.due_at, later.sequence limit $3)";
    loop {
        let set_aside = sql
            .kernel()
            .execute(text, &args![after(SET_ASIDE), Time::now(), BATCH])
            .await?;
        if set_aside < BATCH.unsigned_abs() {
            return Ok(());
        }
    }
}

/// For the transaction that removes a plugin and its tables: what waits for it, and what it planned, is dropped.
pub fn forget_plugin(plugin: &str) -> Vec<KernelStatement> {
    vec![
        KernelStatement::new(
            "delete from kernel.deliveries where subscriber = $1",
            args![plugin.to_owned()],
        ),
        KernelStatement::new("delete from kernel.jobs where plugin = $1", args![plugin.to_owned()]),
        KernelStatement::new(
            "delete from kernel.schedules where plugin = $1",
            args![plugin.to_owned()],
        ),
    ]
}

/// For the transaction that deletes a store.
pub fn forget_store(store: i64) -> Vec<KernelStatement> {
    vec![
        KernelStatement::new("delete from kernel.deliveries where store = $1", args![store]),
        KernelStatement::new("delete from kernel.jobs where store = $1", args![store]),
        KernelStatement::new("delete from kernel.schedules where store = $1", args![store]),
    ]
}
