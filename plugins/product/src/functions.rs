//! What other plugins may ask of the catalogue. (What they ask of stock is in [`crate::stock`].)

use commerce_sdk::prelude::*;
use serde_json::Value;

use crate::announce;
use crate::answers::ProductAnswer;
use crate::load;
use crate::products::{unknown_product, unknown_variant};

#[derive(Deserialize, JsonSchema)]
pub struct ProductIds {
    #[schemars(length(max = 200))]
    ids: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
pub struct Products {
    /// Those that are there, in the order of their ids.
    items: Vec<ProductAnswer>,
}

/// Products in any state, by their ids
#[function(reads, name = "get")]
pub fn get_products(ask: ProductIds) -> Result<Products, Problem> {
    let home = store()?.currency;
    let items = load::by_ids(&ask.ids)?
        .into_iter()
        .map(|product| ProductAnswer::new(product, home))
        .collect();
    Ok(Products { items })
}

#[derive(Deserialize, JsonSchema)]
pub struct Extension {
    kind: Extended,
    /// Of the product or variant.
    id: String,
    /// What the caller says about it, at most 16 KiB of JSON; `null` takes it back.
    value: Value,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Extended {
    Product,
    Variant,
}

#[derive(Serialize, JsonSchema)]
pub struct ExtensionSet {
    product_id: String,
}

/// It is read with every product.
const EXTENSION_BYTES: usize = 16 * 1024;

/// Sets what the calling plugin says about a product or variant
#[function]
pub fn extend(cx: &Context, ask: Extension) -> Result<ExtensionSet, Problem> {
    // The caller's name is the kernel's word, so no plugin writes under another's.
    let plugin = cx
        .caller()
        .plugin()
        .ok_or_else(|| Problem::forbidden("not_a_plugin", "Extensions belong to plugins."))?;
    if ask.value.to_string().len() > EXTENSION_BYTES {
        return Err(Problem::unprocessable(
            "extension_too_large",
            "An extension may have 16 KiB.",
        ));
    }
    let now = clock::now();
    let value = JsonColumn(&ask.value);
    let clears = ask.value.is_null();
    let product_id = match ask.kind {
        Extended::Product => {
            let changed = match clears {
                true => sql!(
                    "update products set extensions = json_remove(extensions, $2), version = version + 1, updated_at = $3 where id = $1",
                    ask.id,
                    plugin,
                    now
                ),
                false => sql!(
                    "update products set extensions = json_set(extensions, $2, $3), version = version + 1, updated_at = $4 where id = $1",
                    ask.id,
                    plugin,
                    value,
                    now
                ),
            }
            .execute()?;
            if changed == 0 {
                return Err(unknown_product());
            }
            ask.id
        }
        Extended::Variant => {
            let product = match clears {
                true => sql!(
                    "update variants set extensions = json_remove(extensions, $2), updated_at = $3 where id = $1 returning product_id",
                    ask.id,
                    plugin,
                    now
                ),
                false => sql!(
                    "update variants set extensions = json_set(extensions, $2, $3), updated_at = $4 where id = $1 returning product_id",
                    ask.id,
                    plugin,
                    value,
                    now
                ),
            }
            .optional::<(String,)>()?;
            let (product,) = product.ok_or_else(unknown_variant)?;
            sql!(
                "update products set version = version + 1, updated_at = $2 where id = $1",
                product,
                now
            )
            .execute()?;
            product
        }
    };
    announce::products_changed([product_id.as_str()])?;
    Ok(ExtensionSet { product_id })
}
