//! The built-in `manual` payment: a bank transfer with the store's instructions and a time limit, or cash on delivery.

use std::time::Duration;

use commerce_sdk::prelude::*;
use serde_json::{Value, json};

use crate::access::actor;
use crate::record::{PaymentState, Record, Transaction};
use crate::state::{PaymentMethod, PaymentStatus, Status, Step};
use crate::steps::{Because, lock, take};
use crate::{PaymentId, TransactionId, goods};

/// What a store's staff set.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    pub bank_transfer: BankTransfer,
    pub cash_on_delivery: CashOnDelivery,
}

#[derive(Deserialize, JsonSchema)]
#[serde(default)]
pub struct BankTransfer {
    pub enabled: bool,
    /// What the customer reads: bank, account number, name.
    pub instructions: String,
    /// Until the transaction expires.
    #[schemars(range(min = 1, max = 2160))]
    pub hours_to_pay: u32,
}

#[derive(Deserialize, JsonSchema)]
#[serde(default)]
pub struct CashOnDelivery {
    pub enabled: bool,
    pub instructions: String,
}

impl Default for BankTransfer {
    fn default() -> Self {
        Self {
            enabled: true,
            instructions: "Transfer the total to the store's account and give the transaction's number.".to_owned(),
            hours_to_pay: 24,
        }
    }
}

impl Default for CashOnDelivery {
    fn default() -> Self {
        Self {
            enabled: true,
            instructions: "Pay the courier in cash.".to_owned(),
        }
    }
}

/// How one transaction is to be paid.
pub struct Terms {
    pub method: PaymentMethod,
    pub instructions: Option<Value>,
    pub expires_at: Option<Timestamp>,
}

pub fn terms(method: PaymentMethod, now: Timestamp) -> Result<Terms, Problem> {
    let settings: Settings = settings()?;
    let (enabled, text, expires_at) = match method {
        PaymentMethod::BankTransfer => {
            let transfer = settings.bank_transfer;
            let time = Duration::from_secs(u64::from(transfer.hours_to_pay) * 3600);
            (transfer.enabled, transfer.instructions, Some(now + time))
        }
        PaymentMethod::CashOnDelivery => (
            settings.cash_on_delivery.enabled,
            settings.cash_on_delivery.instructions,
            None,
        ),
    };
    if !enabled {
        return Err(
            Problem::unprocessable("payment_method_unavailable", "The store does not take this payment.")
                .field("/payment/method", "is not offered"),
        );
    }
    Ok(Terms {
        method,
        instructions: Some(json!({ "text": text })),
        expires_at,
    })
}

#[derive(Deserialize, JsonSchema)]
pub struct Confirmation {
    /// The bank's own name for the transfer.
    #[schemars(length(max = 200))]
    pub reference: Option<String>,
    #[schemars(length(max = 500))]
    pub reason: Option<String>,
}

/// Confirms that the money has come. Confirming again answers the same.
#[post(
    "/api/transactions/{id}/payments/{payment_id}/confirm",
    access = staff("transaction.write"),
    problems(
        404 = "not_found", 409 = "already_paid", 409 = "transaction_completed", 409 = "transaction_cancelled",
        409 = "transaction_expired", 409 = "state_changed"
    )
)]
pub fn confirm(
    cx: &Context,
    Path(id): Path<TransactionId>,
    Path(payment_id): Path<PaymentId>,
    Json(body): Json<Confirmation>,
) -> Result<Json<Transaction>, Problem> {
    let mut record = lock(&id)?;
    let payment = record
        .payments()
        .iter()
        .find(|payment| payment.id == payment_id)
        .ok_or_else(|| Problem::not_found("not_found", "The transaction has no such payment."))?;
    if payment.status == PaymentState::Paid {
        return Ok(Json(record.into_answer()?));
    }
    let because = Because {
        actor: &actor(cx),
        reason: body.reason.as_deref().unwrap_or("payment confirmed by staff"),
    };
    settle(&mut record, payment_id, body.reference, &because)?;
    jobs::cancel("expire", &record.id)?;
    answer(&record.id)
}

/// The money of a payment has come: what it pays for is sold.
fn settle(record: &mut Record, id: PaymentId, reference: Option<String>, because: &Because) -> Result<(), Problem> {
    let settled = record.payments().iter().filter(|payment| payment.id == id);
    record.paid += settled.map(|payment| payment.amount.amount()).sum::<i64>();
    goods::sell(record)?;
    take(record, Step::Pay, because)?;
    sql!(
        "update payments set status = 'paid', settled_at = $2, reference = $3 where id = $1 and status = 'awaiting'",
        id,
        record.updated_at,
        reference
    )
    .execute()?;
    Ok(())
}

/// A purchase that costs nothing is paid at once: no money will ever come that staff could confirm.
pub fn settle_free(record: &mut Record) -> Result<(), Problem> {
    let because = Because {
        actor: "system",
        reason: "there was nothing to pay",
    };
    match record.payments().first().map(|payment| payment.id.clone()) {
        Some(payment) => settle(record, payment, None, &because),
        None => Ok(()),
    }
}

/// Gives the coupons of a purchase that will not be back to be used again.
pub fn release_coupons(record: &Record) -> Result<(), Problem> {
    if !record.discounts.0.is_empty() {
        plugins::call::<Value>("cart", "release_coupons", &json!({ "reference": record.id }))?;
    }
    Ok(())
}

/// The transaction as it stands after a step.
pub fn answer(id: &TransactionId) -> Result<Json<Transaction>, Problem> {
    let record = Record::by_id(id)?.ok_or_else(crate::access::not_found)?;
    Ok(Json(record.into_answer()?))
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Expiry {
    transaction_id: TransactionId,
}

pub fn schedule_expiry(id: &TransactionId, at: Timestamp) -> Result<(), Problem> {
    jobs::schedule(
        "expire",
        id,
        at,
        &Expiry {
            transaction_id: id.clone(),
        },
    )
}

/// The time to pay is over. A payment that came meanwhile wins: both lock the transaction's row.
#[job("expire")]
pub fn expire(job: Job<Expiry>) -> Result<(), Problem> {
    let mut record = lock(&job.payload.transaction_id)?;
    if record.status != Status::Open || record.payment_status != PaymentStatus::Awaiting {
        return Ok(());
    }
    goods::give_back(&mut record)?;
    release_coupons(&record)?;
    take(
        &mut record,
        Step::Expire,
        &Because {
            actor: "system",
            reason: "not paid in time",
        },
    )?;
    sql!(
        "update payments set status = 'expired' where transaction_id = $1 and status = 'awaiting'",
        record.id
    )
    .execute()?;
    Ok(())
}
