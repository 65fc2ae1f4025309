//! What the steps do to the stock that checkout reserved, through the functions of the product plugin. They join the
//! caller's unit of work: a step that is refused afterwards leaves the stock as it was.

use commerce_sdk::prelude::*;
use serde_json::{Value, json};

use crate::StepId;
use crate::record::{Quantity, Record};

/// What became of the reserved stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stock {
    Held,
    Sold,
    Released,
}

/// What was held is sold: it leaves the stock for good. Nothing happens where that was done before.
pub fn sell(record: &mut Record) -> Result<(), Problem> {
    if record.stock == Stock::Held {
        settle("commit", record)?;
        record.stock = Stock::Sold;
    }
    Ok(())
}

/// What was held may be bought by others again; of what was sold, all that never left goes back on the shelf.
pub fn give_back(record: &mut Record) -> Result<(), Problem> {
    match record.stock {
        Stock::Held => {
            settle("release", record)?;
            record.stock = Stock::Released;
            Ok(())
        }
        Stock::Sold => {
            let here = record.items().iter().map(|item| Quantity {
                item_id: item.id.clone(),
                quantity: item.quantity - item.shipped,
            });
            restock(record, &here.filter(|item| item.quantity > 0).collect::<Vec<_>>())
        }
        Stock::Released => Ok(()),
    }
}

/// Puts some of what was sold on the shelf again.
pub fn restock(record: &Record, items: &[Quantity]) -> Result<(), Problem> {
    let variant = |item: &Quantity| record.items().iter().find(|row| row.id == item.item_id);
    let lines: Vec<Value> = items
        .iter()
        .filter_map(|item| Some(json!({ "variant_id": variant(item)?.variant_id, "quantity": item.quantity })))
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    // Several returns of one transaction are several restocks.
    let reference = format!("{}:{}", record.id, StepId::new());
    plugins::call::<Value>("product", "restock", &json!({ "reference": reference, "lines": lines }))?;
    Ok(())
}

fn settle(function: &str, record: &Record) -> Result<(), Problem> {
    plugins::call::<Value>("product", function, &json!({ "reference": record.id }))?;
    Ok(())
}
