//! Money that goes back, as records that are never changed. The sum can't exceed what was paid.

use commerce_sdk::money::Currency;
use commerce_sdk::prelude::*;

use crate::access::actor;
use crate::payments::answer;
use crate::record::Transaction;
use crate::state::{PaymentStatus, Step};
use crate::steps::{Because, lock, take};
use crate::{RefundId, TransactionId};

#[derive(Deserialize, JsonSchema)]
pub struct NewRefund {
    /// In minor units of the transaction's currency.
    #[schemars(range(min = 1))]
    pub amount: i64,
    /// Checked against the transaction's, where it is given.
    pub currency: Option<Currency>,
    #[schemars(length(min = 1, max = 500))]
    pub reason: String,
    /// The bank's own name for the transfer back.
    #[schemars(length(max = 200))]
    pub reference: Option<String>,
}

/// Records a refund.
#[post(
    "/api/transactions/{id}/refunds",
    access = staff("transaction.write"),
    problems(
        404 = "not_found", 409 = "not_refundable", 409 = "refund_exceeds_payment", 409 = "state_changed",
        422 = "currency_mismatch"
    )
)]
pub fn refund(
    cx: &Context,
    Path(id): Path<TransactionId>,
    Json(body): Json<NewRefund>,
) -> Result<Created<Transaction>, Problem> {
    let mut record = lock(&id)?;
    if body.currency.is_some_and(|currency| currency != record.currency) {
        return Err(
            Problem::unprocessable("currency_mismatch", "The transaction has another currency.")
                .field("/currency", format!("must be {}", record.currency)),
        );
    }
    let left = record.paid - record.refunded;
    let refundable = matches!(
        record.payment_status,
        PaymentStatus::Paid | PaymentStatus::PartiallyRefunded
    );
    if refundable && body.amount > left {
        return Err(
            Problem::conflict("refund_exceeds_payment", "That is more than is left of what was paid.")
                .field("/amount", format!("must be at most {left}"))
                .with("refundable", Money::new(left, record.currency)?),
        );
    }
    record.refunded = record.refunded.saturating_add(body.amount);
    let because = Because {
        actor: &actor(cx),
        reason: &body.reason,
    };
    take(
        &mut record,
        Step::Refund {
            all: body.amount == left,
        },
        &because,
    )?;
    sql!(
        "insert into refunds (id, transaction_id, amount, currency, reason, reference, actor, created_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        RefundId::new(),
        id,
        body.amount,
        record.currency,
        body.reason,
        body.reference,
        because.actor,
        record.updated_at
    )
    .execute()?;
    Ok(Created {
        location: format!("/api/transactions/{id}"),
        body: answer(&id)?.0,
    })
}
