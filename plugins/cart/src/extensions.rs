//! What other plugins keep with a cart or a line, under their own names.

use commerce_sdk::prelude::*;
use commerce_sdk::sql::JsonColumn;
use serde_json::Value;

use crate::access::not_found;

#[derive(Deserialize, JsonSchema)]
pub struct Extend {
    pub kind: Extended,
    pub id: String,
    /// Any JSON, at most 16 KiB; null removes it.
    pub value: Value,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Extended {
    Cart,
    Line,
}

#[derive(Serialize, JsonSchema)]
pub struct Done {}

const EXTENSION_BYTES: usize = 16 * 1024;

/// Keeps a value of the calling plugin with a cart or a line.
#[function]
pub fn extend(cx: &Context, ask: Extend) -> Result<Done, Problem> {
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
    let value = JsonColumn(ask.value);
    let changed = match (ask.kind, value.0.is_null()) {
        (Extended::Cart, false) => sql!(
            "update carts set extensions = json_set(extensions, $2, $3) where id = $1",
            ask.id,
            plugin,
            value
        )
        .execute()?,
        (Extended::Cart, true) => sql!(
            "update carts set extensions = json_remove(extensions, $2) where id = $1",
            ask.id,
            plugin
        )
        .execute()?,
        (Extended::Line, false) => sql!(
            "update lines set extensions = json_set(extensions, $2, $3) where id = $1",
            ask.id,
            plugin,
            value
        )
        .execute()?,
        (Extended::Line, true) => sql!(
            "update lines set extensions = json_remove(extensions, $2) where id = $1",
            ask.id,
            plugin
        )
        .execute()?,
    };
    if changed == 0 { Err(not_found()) } else { Ok(Done {}) }
}
