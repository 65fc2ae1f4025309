//! Stock as staff see and correct it.

use commerce_sdk::prelude::*;

use super::{Entry, Kind, record};
use crate::announce::{self, StockChanged};
use crate::products::actor;
use crate::save::Origin;

#[derive(Deserialize, JsonSchema)]
pub struct Adjustment {
    /// How many more, or fewer.
    #[schemars(range(min = -1_000_000_000, max = 1_000_000_000))]
    delta: i64,
    #[serde(default)]
    #[schemars(length(max = 500))]
    reason: String,
}

#[derive(Serialize, JsonSchema)]
pub struct StockLevel {
    variant_id: String,
    on_hand: i64,
    reserved: i64,
    available: i64,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct StockMovement {
    id: String,
    kind: Kind,
    on_hand_delta: i64,
    reserved_delta: i64,
    /// What it was for: a transaction's id, or the movement itself.
    reference: String,
    reason: String,
    actor: String,
    created_at: Timestamp,
}

#[derive(Deserialize, JsonSchema)]
pub struct LedgerQuery {
    #[schemars(range(min = 1, max = 100))]
    limit: Option<u32>,
    after: Option<Cursor>,
}

/// Adds to a variant's stock, or takes from it
#[post("/api/variants/{id}/stock", access = staff("product.write"), operation = "adjust_stock",
    problems(404 = "unknown_variant", 409 = "insufficient_stock"))]
pub fn adjust(
    cx: &Context,
    Path(variant): Path<String>,
    Json(ask): Json<Adjustment>,
) -> Result<Json<StockLevel>, Problem> {
    // Never below what is promised to others, unless it may be sold without being there.
    let row = sql!(
        "update stock set on_hand = on_hand + $2
         where variant_id = $1 and ($2 >= 0 or not tracked or policy = 'continue' or on_hand + $2 >= reserved)
         returning product_id, on_hand, reserved",
        variant,
        ask.delta
    )
    .optional::<(String, i64, i64)>()?;
    let Some((product_id, on_hand, reserved)) = row else {
        return Err(refused(&variant)?);
    };
    let actor = actor(cx);
    let origin = Origin {
        actor: &actor,
        kind: Kind::Adjust,
        reason: ask.reason.trim(),
    };
    record(&[Entry::movement(
        Kind::Adjust,
        &variant,
        ask.delta,
        &origin,
        clock::now(),
    )])?;
    let available = on_hand - reserved;
    announce::stock_changed(&[StockChanged {
        variant_id: variant.clone(),
        product_id,
        available,
    }])?;
    Ok(Json(StockLevel {
        variant_id: variant,
        on_hand,
        reserved,
        available,
    }))
}

/// The ledger of a variant, newest first
#[get("/api/variants/{id}/stock", access = staff("product.read"), operation = "stock_ledger", problems(422 = "invalid_cursor"))]
pub fn ledger(
    Path(variant): Path<String>,
    Query(query): Query<LedgerQuery>,
) -> Result<Json<Page<StockMovement>>, Problem> {
    let limit = query.limit.unwrap_or(50).clamp(1, 100);
    // Ids are in the order of time; `~` sorts after all of them.
    let before = Cursor::read::<String>(&query.after)?.unwrap_or_else(|| "~".to_owned());
    let movements = sql!(
        "select id, kind, on_hand_delta, reserved_delta, reference, reason, actor, created_at from stock_ledger
         where variant_id = $1 and id < $2 order by id desc limit $3",
        variant,
        before,
        limit + 1
    )
    .all::<StockMovement>()?;
    Ok(Json(Page::of(movements, limit, |last| Cursor::new(&last.id))))
}

fn refused(variant: &str) -> Result<Problem, Problem> {
    let left = sql!(
        "select on_hand - reserved as available from stock where variant_id = $1",
        variant
    )
    .optional::<(i64,)>()?;
    Ok(match left {
        None => Problem::not_found("unknown_variant", "There is no such variant."),
        Some((available,)) => {
            let detail = format!("Only {available} are neither sold nor promised: no more than that can be taken.");
            Problem::conflict("insufficient_stock", detail).with("available", available)
        }
    })
}
