//! Goods that leave, arrive and come back. Quantities are counted on the items, each by one conditional statement.

use commerce_sdk::prelude::*;
use commerce_sdk::sql::JsonColumn;

use crate::access::actor;
use crate::payments::answer;
use crate::record::{Item, Quantity, Record, Transaction};
use crate::state::Step;
use crate::steps::{Because, lock, note, take};
use crate::{ShipmentId, TransactionId, goods};

#[derive(Deserialize, JsonSchema)]
pub struct NewShipment {
    /// What leaves; everything that has not left yet where nothing is said.
    #[serde(default)]
    pub items: Vec<Quantity>,
    #[schemars(length(max = 100))]
    pub carrier: Option<String>,
    #[schemars(length(max = 100))]
    pub tracking_number: Option<String>,
    /// Customers open it: only what a browser loads from a server.
    #[schemars(url, regex(pattern = "^https?://"), length(max = 500))]
    pub tracking_url: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub struct Delivery {
    #[schemars(length(max = 500))]
    pub reason: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub struct Return {
    /// What came back; everything that was shipped where nothing is said.
    #[serde(default)]
    pub items: Vec<Quantity>,
    #[schemars(length(min = 1, max = 500))]
    pub reason: String,
    /// Whether it can be sold again.
    #[serde(default)]
    pub restock: bool,
}

/// Records a shipment.
#[post(
    "/api/transactions/{id}/shipments",
    access = staff("transaction.write"),
    problems(
        404 = "not_found", 409 = "not_paid", 409 = "refunded", 409 = "already_shipped", 409 = "quantity_exceeded",
        409 = "transaction_completed", 409 = "transaction_cancelled", 409 = "transaction_expired", 409 = "state_changed"
    )
)]
pub fn ship(
    cx: &Context,
    Path(id): Path<TransactionId>,
    Json(body): Json<NewShipment>,
) -> Result<Created<Transaction>, Problem> {
    let mut record = lock(&id)?;
    let items = asked_or_all(body.items, &record, |item| item.quantity - item.shipped);
    let left: i64 = record.items().iter().map(|item| item.quantity - item.shipped).sum();
    let leaves: i64 = items.iter().map(|item| item.quantity).sum();
    goods::sell(&mut record)?;
    let because = Because {
        actor: &actor(cx),
        reason: body.tracking_number.as_deref().unwrap_or("shipped"),
    };
    take(&mut record, Step::Ship { all: leaves >= left }, &because)?;
    for item in &items {
        let shipped = sql!(
            "update items set shipped = shipped + $3
             where id = $1 and transaction_id = $2 and shipped + $3 <= quantity",
            item.item_id,
            id,
            item.quantity
        )
        .execute()?;
        must_fit(shipped, item, &record)?;
    }
    sql!(
        "insert into shipments (id, transaction_id, carrier, tracking_number, tracking_url, items, created_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        ShipmentId::new(),
        id,
        body.carrier,
        body.tracking_number,
        body.tracking_url,
        JsonColumn(&items),
        record.updated_at
    )
    .execute()?;
    Ok(Created {
        location: format!("/api/transactions/{id}"),
        body: answer(&id)?.0,
    })
}

/// Records that everything has arrived.
#[post(
    "/api/transactions/{id}/deliver",
    access = staff("transaction.write"),
    problems(
        404 = "not_found", 409 = "not_shipped", 409 = "transaction_completed", 409 = "transaction_cancelled",
        409 = "transaction_expired", 409 = "state_changed"
    )
)]
pub fn deliver(
    cx: &Context,
    Path(id): Path<TransactionId>,
    Json(body): Json<Delivery>,
) -> Result<Json<Transaction>, Problem> {
    let mut record = lock(&id)?;
    let reason = body.reason.as_deref().unwrap_or("delivered");
    take(
        &mut record,
        Step::Deliver,
        &Because {
            actor: &actor(cx),
            reason,
        },
    )?;
    sql!(
        "update shipments set delivered_at = $2 where transaction_id = $1 and delivered_at is null",
        id,
        record.updated_at
    )
    .execute()?;
    answer(&id)
}

/// Records that goods came back. The money goes back by a refund.
#[post(
    "/api/transactions/{id}/returns",
    access = staff("transaction.write"),
    operation = "return",
    problems(404 = "not_found", 409 = "not_returnable", 409 = "quantity_exceeded", 409 = "state_changed")
)]
pub fn take_back(
    cx: &Context,
    Path(id): Path<TransactionId>,
    Json(body): Json<Return>,
) -> Result<Created<Transaction>, Problem> {
    let mut record = lock(&id)?;
    let items = asked_or_all(body.items, &record, |item| item.shipped - item.returned);
    let out: i64 = record.items().iter().map(|item| item.shipped - item.returned).sum();
    let back: i64 = items.iter().map(|item| item.quantity).sum();
    if back == 0 {
        return Err(Problem::conflict(
            "not_returnable",
            "Only what has been shipped can be returned.",
        ));
    }
    let because = Because {
        actor: &actor(cx),
        reason: &body.reason,
    };
    for item in &items {
        let returned = sql!(
            "update items set returned = returned + $3
             where id = $1 and transaction_id = $2 and returned + $3 <= shipped",
            item.item_id,
            id,
            item.quantity
        )
        .execute()?;
        must_fit(returned, item, &record)?;
    }
    let all_left = record.items().iter().all(|item| item.shipped == item.quantity);
    if all_left && back >= out {
        take(&mut record, Step::Return, &because)?;
    } else {
        note(&id, "returned_in_part", record.states(), &because, clock::now())?;
    }
    if body.restock {
        goods::restock(&record, &items)?;
    }
    Ok(Created {
        location: format!("/api/transactions/{id}"),
        body: answer(&id)?.0,
    })
}

fn asked_or_all(asked: Vec<Quantity>, record: &Record, rest: impl Fn(&Item) -> i64) -> Vec<Quantity> {
    if !asked.is_empty() {
        return asked;
    }
    let all = record.items().iter().map(|item| Quantity {
        item_id: item.id.clone(),
        quantity: rest(item),
    });
    all.filter(|item| item.quantity > 0).collect()
}

fn must_fit(changed: u64, item: &Quantity, record: &Record) -> Result<(), Problem> {
    if changed == 1 {
        return Ok(());
    }
    let known = record.items().iter().any(|row| row.id == item.item_id);
    let message = if known {
        "is more than is left"
    } else {
        "is not an item of this transaction"
    };
    Err(
        Problem::conflict("quantity_exceeded", "That is more than is left of an item.")
            .field(format!("/items/{}", item.item_id), message),
    )
}
