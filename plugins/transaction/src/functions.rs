//! What other plugins may ask, each function granted by name.

use commerce_sdk::prelude::*;
use commerce_sdk::sql::JsonColumn;
use serde_json::Value;

use crate::TransactionId;
use crate::access::not_found;
use crate::record::{Record, Transaction};

#[derive(Deserialize, JsonSchema)]
pub struct Get {
    pub id: TransactionId,
}

/// Reads a transaction.
#[function(reads)]
pub fn get(ask: Get) -> Result<Transaction, Problem> {
    Record::by_id(&ask.id)?.ok_or_else(not_found)?.into_answer()
}

#[derive(Deserialize, JsonSchema)]
pub struct Extend {
    pub id: TransactionId,
    /// Any JSON, at most 16 KiB; null removes it.
    pub value: Value,
}

#[derive(Serialize, JsonSchema)]
pub struct Extended {}

const EXTENSION_BYTES: usize = 16 * 1024;

/// Keeps a value of the calling plugin with the transaction, under the plugin's own name.
#[function]
pub fn extend(cx: &Context, ask: Extend) -> Result<Extended, Problem> {
    let plugin = cx
        .caller()
        .plugin()
        .ok_or_else(|| Problem::forbidden("forbidden", "Only plugins extend."))?;
    if ask.value.to_string().len() > EXTENSION_BYTES {
        return Err(Problem::unprocessable(
            "extension_too_large",
            "An extension may have 16 KiB.",
        ));
    }
    let changed = if ask.value.is_null() {
        sql!(
            "update transactions set extensions = json_remove(extensions, $2) where id = $1",
            ask.id,
            plugin
        )
        .execute()?
    } else {
        sql!(
            "update transactions set extensions = json_set(extensions, $2, $3) where id = $1",
            ask.id,
            plugin,
            JsonColumn(ask.value)
        )
        .execute()?
    };
    if changed == 0 {
        Err(not_found())
    } else {
        Ok(Extended {})
    }
}
