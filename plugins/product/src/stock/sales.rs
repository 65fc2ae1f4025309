//! What a sale does to stock, as functions for the plugins that sell: reserve at checkout, then commit at payment or
//! release at cancellation, and restock what is returned.
//!
//! A reference (the transaction's id) reserves once and is settled once: the ledger's key (reference, variant, phase)
//! decides between a payment and an expiry that arrive together.

use std::collections::BTreeMap;

use commerce_sdk::prelude::*;

use super::{Entry, Kind, record, shift};
use crate::announce::{self, StockChanged};

#[derive(Deserialize, JsonSchema)]
pub struct Reservation {
    /// What it is reserved for: the transaction's id.
    #[schemars(length(min = 1, max = 128))]
    reference: String,
    lines: Vec<StockLine>,
}

#[derive(Deserialize, JsonSchema)]
struct StockLine {
    variant_id: String,
    #[schemars(range(min = 1, max = 1_000_000_000))]
    quantity: i64,
}

#[derive(Serialize, JsonSchema)]
pub struct Reserved {
    lines: Vec<ReservedLine>,
}

#[derive(Serialize, JsonSchema)]
struct ReservedLine {
    variant_id: String,
    /// What is left.
    available: i64,
}

#[derive(Deserialize, JsonSchema)]
pub struct Reference {
    reference: String,
}

#[derive(Deserialize, JsonSchema)]
pub struct Restocking {
    reference: String,
    lines: Vec<StockLine>,
    #[serde(default)]
    reason: String,
}

#[derive(Serialize, JsonSchema)]
pub struct Settled {
    /// Whether this call did it; false where it was settled, or there was nothing to settle.
    settled: bool,
}

/// Promises stock to a checkout, all of it or none
#[function]
pub fn reserve(cx: &Context, ask: Reservation) -> Result<Reserved, Problem> {
    let actor = seller(cx)?;
    let now = clock::now();
    let lines = by_variant(&ask.lines)?;
    let (mut short, mut entries, mut changes) = (Vec::new(), Vec::new(), Vec::new());
    for (&variant, &quantity) in &lines {
        // What is not counted is always there, and reserving it moves nothing.
        let row = sql!(
            "update stock set reserved = reserved + (case when tracked then $2 else 0 end)
             where variant_id = $1 and (not tracked or policy = 'continue' or on_hand - reserved >= $2)
             returning product_id, tracked, on_hand - reserved as available",
            variant,
            quantity
        )
        .optional::<(String, bool, i64)>()?;
        match row {
            None => short.push(variant),
            Some((product_id, tracked, available)) => {
                entries.push(Entry {
                    id: ids::new("mov"),
                    variant_id: variant.to_owned(),
                    phase: "reserve".to_owned(),
                    kind: Kind::Reserve,
                    on_hand_delta: 0,
                    reserved_delta: if tracked { quantity } else { 0 },
                    reference: ask.reference.clone(),
                    reason: String::new(),
                    actor: actor.to_owned(),
                    at: now,
                });
                changes.push(StockChanged {
                    variant_id: variant.to_owned(),
                    product_id,
                    available,
                });
            }
        }
    }
    if !short.is_empty() {
        return Err(out_of_stock(&short, &lines)?);
    }
    record(&entries)?;
    announce::stock_changed(&changes)?;
    let left = changes.into_iter().map(|change| ReservedLine {
        variant_id: change.variant_id,
        available: change.available,
    });
    Ok(Reserved { lines: left.collect() })
}

/// Takes what a reference reserved off the shelf, once
#[function]
pub fn commit(cx: &Context, ask: Reference) -> Result<Settled, Problem> {
    settle(cx, &ask.reference, Kind::Commit)
}

/// Gives back what a reference reserved, unless it was taken
#[function]
pub fn release(cx: &Context, ask: Reference) -> Result<Settled, Problem> {
    settle(cx, &ask.reference, Kind::Release)
}

/// Puts returned goods back on the shelf
#[function]
pub fn restock(cx: &Context, ask: Restocking) -> Result<Settled, Problem> {
    let actor = seller(cx)?;
    let now = clock::now();
    let (mut entries, mut changes) = (Vec::new(), Vec::new());
    for (variant, quantity) in by_variant(&ask.lines)? {
        // What is not counted did not leave the shelf either.
        let row = sql!(
            "update stock set on_hand = on_hand + $2 where variant_id = $1 and tracked
             returning product_id, on_hand - reserved as available",
            variant,
            quantity
        )
        .optional::<(String, i64)>()?;
        let Some((product_id, available)) = row else { continue };
        let id = ids::new("mov");
        entries.push(Entry {
            phase: id.clone(),
            id,
            variant_id: variant.to_owned(),
            kind: Kind::Restock,
            on_hand_delta: quantity,
            reserved_delta: 0,
            reference: ask.reference.clone(),
            reason: ask.reason.clone(),
            actor: actor.to_owned(),
            at: now,
        });
        changes.push(StockChanged {
            variant_id: variant.to_owned(),
            product_id,
            available,
        });
    }
    record(&entries)?;
    announce::stock_changed(&changes)?;
    Ok(Settled {
        settled: !changes.is_empty(),
    })
}

fn settle(cx: &Context, reference: &str, kind: Kind) -> Result<Settled, Problem> {
    let actor = seller(cx)?;
    // What is committed leaves the shelf; what is released stays on it. Either way it is reserved no more.
    let sold = match kind {
        Kind::Commit => 1,
        _ => 0,
    };
    let mut settled = sql!(
        "insert into stock_ledger (id, variant_id, phase, kind, on_hand_delta, reserved_delta, reference, reason, actor, created_at)
         select $2 || '.' || e.variant_id, e.variant_id, 'settle', $3, -e.reserved_delta * $4, -e.reserved_delta, e.reference, '', $5, $6
         from stock_ledger e where e.reference = $1 and e.phase = 'reserve'
         on conflict (reference, variant_id, phase) do nothing
         returning variant_id, on_hand_delta, reserved_delta",
        reference,
        ids::new("mov"),
        kind,
        sold,
        actor,
        clock::now()
    )
    .all::<(String, i64, i64)>()?;
    settled.sort_unstable();
    let mut changes = Vec::with_capacity(settled.len());
    for (variant, on_hand, reserved) in &settled {
        changes.extend(shift(variant, *on_hand, *reserved)?);
    }
    announce::stock_changed(&changes)?;
    Ok(Settled {
        settled: !settled.is_empty(),
    })
}

/// Grants let only named plugins in; the kernel itself never sells.
fn seller(cx: &Context) -> Result<&str, Problem> {
    cx.caller()
        .plugin()
        .ok_or_else(|| Problem::forbidden("not_a_plugin", "Stock is moved for plugins that sell."))
}

/// One quantity per variant, in the order of their ids: the order in which rows are locked.
fn by_variant(lines: &[StockLine]) -> Result<BTreeMap<&str, i64>, Problem> {
    let mut quantities = BTreeMap::new();
    for line in lines {
        let quantity = quantities.entry(line.variant_id.as_str()).or_insert(0_i64);
        *quantity = quantity.saturating_add(line.quantity);
        if line.quantity <= 0 || *quantity > 1_000_000_000 {
            return Err(Problem::unprocessable(
                "invalid_quantity",
                "A quantity is not between 1 and 1,000,000,000.",
            ));
        }
    }
    Ok(quantities)
}

fn out_of_stock(short: &[&str], asked: &BTreeMap<&str, i64>) -> Result<Problem, Problem> {
    let left: BTreeMap<String, i64> = sql!(
        "select variant_id, on_hand - reserved as available from stock where variant_id = any($1)",
        JsonColumn(short)
    )
    .all::<(String, i64)>()?
    .into_iter()
    .collect();
    let mut problem = Problem::conflict("out_of_stock", "There is not enough of some items left.");
    for &variant in short {
        let available = left.get(variant).copied().unwrap_or(0).max(0);
        let asked = asked.get(variant).copied().unwrap_or(0);
        problem = problem.field(
            format!("/items/{variant}"),
            format!("{available} available, {asked} asked for"),
        );
    }
    Ok(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(variant: &str, quantity: i64) -> StockLine {
        StockLine {
            variant_id: variant.to_owned(),
            quantity,
        }
    }

    #[test]
    fn lines_of_one_variant_add_up_and_variants_are_locked_in_id_order() {
        let lines = [line("var_b", 2), line("var_a", 1), line("var_b", 3)];
        let quantities = by_variant(&lines).expect("all are positive");
        assert_eq!(quantities.into_iter().collect::<Vec<_>>(), [("var_a", 1), ("var_b", 5)]);
    }

    #[test]
    fn a_negative_quantity_cannot_make_stock_out_of_nothing() {
        for quantity in [0, -1, i64::MIN, i64::MAX] {
            assert!(by_variant(&[line("var_a", quantity)]).is_err(), "{quantity}");
        }
        assert!(by_variant(&[line("var_a", 1), line("var_a", i64::MAX)]).is_err());
    }
}
