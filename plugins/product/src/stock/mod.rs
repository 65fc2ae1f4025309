//! How many there are: the only place that changes `stock` once a variant exists, and the only one that writes the ledger.
//!
//! Every change is one statement that carries its own condition, followed by its ledger rows in the same unit of work;
//! rows of several variants are locked in the order of their ids, so that two checkouts never wait for each other.

mod routes;
mod sales;

use commerce_sdk::prelude::*;

pub use routes::{adjust, ledger};
pub use sales::{commit, release, reserve, restock};

use crate::announce::{self, StockChanged};
use crate::save::Origin;

/// Why a number changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "StockMovementKind")]
pub enum Kind {
    /// Promised to a checkout.
    Reserve,
    /// Sold: it leaves the shelf.
    Commit,
    /// The checkout came to nothing.
    Release,
    /// It came back.
    Restock,
    /// Staff counted, bought or broke some.
    Adjust,
    /// A file said how many there are.
    Import,
}

/// A row of the ledger.
#[derive(Serialize)]
pub struct Entry {
    id: String,
    variant_id: String,
    phase: String,
    kind: Kind,
    on_hand_delta: i64,
    reserved_delta: i64,
    reference: String,
    reason: String,
    actor: String,
    at: Timestamp,
}

impl Entry {
    /// A movement that belongs to no sale: it is its own reference, and happens once.
    pub fn movement(kind: Kind, variant: &str, on_hand_delta: i64, origin: &Origin<'_>, now: Timestamp) -> Self {
        let id = ids::new("mov");
        Self {
            variant_id: variant.to_owned(),
            phase: id.clone(),
            kind,
            on_hand_delta,
            reserved_delta: 0,
            reference: id.clone(),
            reason: origin.reason.to_owned(),
            actor: origin.actor.to_owned(),
            at: now,
            id,
        }
    }
}

pub fn record(entries: &[Entry]) -> Result<(), Problem> {
    if entries.is_empty() {
        return Ok(());
    }
    let already = || Problem::conflict("already_reserved", "This reference has its reservation already.");
    sql!(
        "insert into stock_ledger (id, variant_id, phase, kind, on_hand_delta, reserved_delta, reference, reason, actor, created_at)
         select r.id, r.variant_id, r.phase, r.kind, r.on_hand_delta, r.reserved_delta, r.reference, r.reason, r.actor, r.at
         from json_rows($1) as r(id text, variant_id text, phase text, kind text, on_hand_delta bigint, reserved_delta bigint,
            reference text, reason text, actor text, at timestamptz)",
        JsonColumn(entries)
    )
    .execute()
    .on_constraint("reference, variant_id, phase", already)?;
    Ok(())
}

/// Differences in what is on hand, found by counting again or by goods that came back.
pub fn recount(differences: &[(String, i64)], origin: &Origin<'_>) -> Result<(), Problem> {
    if differences.is_empty() {
        return Ok(());
    }
    let now = clock::now();
    let mut differences: Vec<(&str, i64)> = differences
        .iter()
        .map(|(variant, delta)| (variant.as_str(), *delta))
        .collect();
    differences.sort_unstable();
    let mut entries = Vec::with_capacity(differences.len());
    let mut changes = Vec::with_capacity(differences.len());
    for (variant, delta) in differences {
        if let Some(changed) = shift(variant, delta, 0)? {
            entries.push(Entry::movement(origin.kind, variant, delta, origin, now));
            changes.push(changed);
        }
    }
    record(&entries)?;
    announce::stock_changed(&changes)
}

/// Moves both numbers of one variant; none where there is no such variant any more.
fn shift(variant: &str, on_hand: i64, reserved: i64) -> Result<Option<StockChanged>, Problem> {
    let changed = sql!(
        "update stock set on_hand = on_hand + $2, reserved = reserved + $3 where variant_id = $1
         returning product_id, on_hand - reserved as available",
        variant,
        on_hand,
        reserved
    )
    .optional::<(String, i64)>()?;
    Ok(changed.map(|(product_id, available)| StockChanged {
        variant_id: variant.to_owned(),
        product_id,
        available,
    }))
}
