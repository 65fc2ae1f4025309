//! Calling a purchase off before anything has left.

use commerce_sdk::prelude::*;
use serde_json::{Value, json};

use crate::TransactionId;
use crate::access::{actor, is_buyer, not_found};
use crate::payments::{answer, release_coupons, release_stock};
use crate::record::{Record, Stock, Transaction};
use crate::state::{PaymentStatus, Step};
use crate::steps::{Because, lock, take};

#[derive(Deserialize, JsonSchema)]
pub struct Cancellation {
    #[schemars(length(max = 500))]
    pub reason: Option<String>,
}

/// Cancels. Buyers may while nothing is paid, staff until goods have left; what was paid is refunded by a refund.
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
    let reason = body.reason.as_deref().unwrap_or("cancelled");
    // The step first: a transaction that can't be cancelled must not touch the stock.
    let stock = record.stock;
    if stock == Stock::Held {
        record.stock = Stock::Released;
    }
    take(
        &mut record,
        Step::Cancel,
        &Because {
            actor: &actor(cx),
            reason,
        },
    )?;
    record.stock = stock;
    give_back(&mut record)?;
    release_coupons(&record)?;
    sql!(
        "update payments set status = 'cancelled' where transaction_id = $1 and status = 'awaiting'",
        id
    )
    .execute()?;
    jobs::cancel("expire", &id)?;
    answer(&id)
}

/// Held stock is released; sold stock, which never left, goes back on the shelf.
fn give_back(record: &mut Record) -> Result<(), Problem> {
    if record.stock != Stock::Sold {
        return release_stock(record);
    }
    let lines: Vec<Value> = record
        .items()
        .iter()
        .map(|item| json!({ "variant_id": item.variant_id, "quantity": item.quantity }))
        .collect();
    let payload = json!({ "reference": format!("{}:cancel", record.id), "lines": lines });
    plugins::call::<Value>("product", "restock", &payload)?;
    Ok(())
}
