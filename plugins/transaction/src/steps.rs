//! Takes a step: locks the row, asks the table of steps, moves the states and writes the history, all in the caller's
//! unit of work. Every change of a state goes through [`take`].

use commerce_sdk::prelude::*;

use crate::access::not_found;
use crate::record::{Record, record_columns};
use crate::state::{FulfilmentStatus, PaymentStatus, States, Status, Step};
use crate::{StepId, TransactionId};

/// What every event of this plugin tells.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Stepped {
    pub transaction_id: TransactionId,
    pub number: i64,
    pub status: Status,
    pub payment_status: PaymentStatus,
    pub fulfilment_status: FulfilmentStatus,
    pub account: Option<String>,
    pub total: Money,
    pub refunded: Money,
    pub actor: String,
    pub reason: String,
}

/// Who takes a step and why: every row of the history has both.
pub struct Because<'a> {
    pub actor: &'a str,
    pub reason: &'a str,
}

/// The transaction, locked until the unit of work ends.
pub fn lock(id: &TransactionId) -> Result<Record, Problem> {
    sql!("select id from transactions where id = $1 for update", id)
        .optional::<(TransactionId,)>()?
        .ok_or_else(not_found)?;
    sql!(
        concat!("select ", record_columns!(), " from transactions t where t.id = $1"),
        id
    )
    .optional()?
    .ok_or_else(not_found)
}

/// Moves a locked record by one step, and says so: in the history and as an event.
pub fn take(record: &mut Record, step: Step, because: &Because) -> Result<(), Problem> {
    let from = record.states();
    let to = from
        .after(step, record.payment_method)
        .map_err(|refused| Problem::conflict(refused.code, refused.detail))?;
    let now = clock::now();
    let moved = sql!(
        "update transactions
         set status = $2, payment_status = $3, fulfilment_status = $4, stock = $5, paid = $6, refunded = $7, updated_at = $8
         where id = $1 and status = $9 and payment_status = $10 and fulfilment_status = $11",
        record.id, to.status, to.payment, to.fulfilment, record.stock, record.paid, record.refunded, now,
        from.status, from.payment, from.fulfilment
    )
    .execute()?;
    if moved != 1 {
        return Err(Problem::conflict(
            "state_changed",
            "The transaction has changed meanwhile; read it again.",
        ));
    }
    record.status = to.status;
    record.payment_status = to.payment;
    record.fulfilment_status = to.fulfilment;
    record.updated_at = now;
    note(&record.id, event_of(step), to, because, now)?;
    announce(record, event_of(step), because)?;
    if to.status == Status::Completed && from.status != Status::Completed {
        note(&record.id, "completed", to, because, now)?;
        announce(record, "completed", because)?;
    }
    Ok(())
}

fn event_of(step: Step) -> &'static str {
    match step {
        Step::Pay => "paid",
        Step::Expire => "expired",
        Step::Cancel { .. } => "cancelled",
        Step::Ship { .. } => "shipped",
        Step::Deliver => "delivered",
        Step::Return => "returned",
        Step::Refund { .. } => "refunded",
    }
}

/// One row of the history.
pub fn note(id: &TransactionId, step: &str, after: States, because: &Because, at: Timestamp) -> Result<(), Problem> {
    sql!(
        "insert into history
             (id, transaction_id, step, status, payment_status, fulfilment_status, actor, reason, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        StepId::new(),
        id,
        step,
        after.status,
        after.payment,
        after.fulfilment,
        because.actor,
        because.reason,
        at
    )
    .execute()?;
    Ok(())
}

pub fn announce(record: &Record, event: &str, because: &Because) -> Result<(), Problem> {
    events::publish(
        event,
        &record.id,
        &Stepped {
            transaction_id: record.id.clone(),
            number: record.number,
            status: record.status,
            payment_status: record.payment_status,
            fulfilment_status: record.fulfilment_status,
            account: record.account.clone(),
            total: Money::new(record.total, record.currency)?,
            refunded: Money::new(record.refunded, record.currency)?,
            actor: because.actor.to_owned(),
            reason: because.reason.to_owned(),
        },
    )
}
