//! Calling a purchase off, as long as the customer has none of the goods.

use commerce_sdk::prelude::*;

use crate::access::{actor, is_buyer, not_found};
use crate::payments::{answer, release_coupons};
use crate::record::Transaction;
use crate::state::{PaymentStatus, Step};
use crate::steps::{Because, lock, take};
use crate::{TransactionId, goods};

#[derive(Deserialize, JsonSchema)]
pub struct Cancellation {
    #[schemars(length(max = 500))]
    pub reason: Option<String>,
}

/// Cancels: buyers while nothing is paid, staff while the customer has none of the goods.
///
/// What was paid goes back by a refund.
#[post(
    "/api/transactions/{id}/cancel",
    access = public,
    headers("x-cart-token"),
    problems(
        404 = "not_found", 409 = "already_paid", 409 = "already_shipped", 409 = "transaction_completed",
        409 = "transaction_cancelled", 409 = "transaction_expired", 409 = "state_changed"
    )
)]
pub fn cancel(
    cx: &Context,
    Path(id): Path<TransactionId>,
    Json(body): Json<Cancellation>,
) -> Result<Json<Transaction>, Problem> {
    let mut record = lock(&id)?;
    if !cx.caller().may("transaction.write") {
        if !is_buyer(&record, cx) {
            return Err(not_found());
        }
        if record.payment_status != PaymentStatus::Awaiting {
            return Err(Problem::conflict(
                "already_paid",
                "The transaction has been paid; ask the store to cancel it.",
            ));
        }
    }
    let goods_out = record.items().iter().any(|item| item.shipped > item.returned);
    goods::give_back(&mut record)?;
    take(
        &mut record,
        Step::Cancel { goods_out },
        &Because {
            actor: &actor(cx),
            reason: body.reason.as_deref().unwrap_or("cancelled"),
        },
    )?;
    release_coupons(&record)?;
    sql!(
        "update payments set status = 'cancelled' where transaction_id = $1 and status = 'awaiting'",
        id
    )
    .execute()?;
    jobs::cancel("expire", &id)?;
    answer(&id)
}
