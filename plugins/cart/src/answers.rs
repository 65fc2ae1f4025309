//! The answer of every route of a cart.

use commerce_sdk::money::Currency;
use commerce_sdk::prelude::*;
use serde_json::{Map, Value};

use crate::access::not_found;
use crate::shipping::Quote;
use crate::snapshot::Snapshot;
use crate::totals::{AppliedDiscount, TaxLine, Totals};
use crate::{CartId, LineId};

/// What clients see of a cart.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Cart {
    pub id: CartId,
    /// Only in the answer that made the cart: whoever holds it may use the cart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    pub status: String,
    pub currency: Currency,
    pub email: Option<String>,
    pub items: Vec<Item>,
    /// What is in the cart and can't be bought now, and why. It does not count and stops a checkout.
    pub unavailable: Vec<Unavailable>,
    pub totals: Totals,
    pub discounts: Vec<AppliedDiscount>,
    pub tax_lines: Vec<TaxLine>,
    pub coupons: Vec<CartCoupon>,
    pub shipping_address: Option<Value>,
    /// The chosen rate, at today's price; null where none is chosen or it is not offered any more.
    pub shipping_rate: Option<Quote>,
    pub extensions: Map<String, Value>,
    pub expires_at: Timestamp,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "CartItem")]
pub struct Item {
    pub id: LineId,
    pub variant_id: String,
    pub product_id: String,
    pub product_slug: String,
    pub title: String,
    pub variant_title: Option<String>,
    pub sku: Option<String>,
    pub image_url: Option<String>,
    pub quantity: i64,
    pub unit_price: Money,
    pub compare_at: Option<Money>,
    pub subtotal: Money,
    pub discount: Money,
    pub tax: Money,
    pub total: Money,
    pub weight_g: i64,
    pub requires_shipping: bool,
    pub available: i64,
    /// Whether no more than `available` can be sold.
    pub limited: bool,
    pub extensions: Map<String, Value>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Unavailable {
    pub id: LineId,
    pub variant_id: String,
    pub quantity: i64,
    /// `withdrawn`: not sold any more, or not in this currency.
    pub reason: &'static str,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CartCoupon {
    pub code: String,
    /// Null while it applies; else why it does not.
    pub problem: Option<&'static str>,
}

/// The whole cart, as every write answers it.
pub fn answer(id: &CartId) -> Result<Json<Cart>, Problem> {
    let snapshot = Snapshot::by_id(id)?.ok_or_else(not_found)?;
    Ok(Json(snapshot.priced(clock::now())?.cart))
}
