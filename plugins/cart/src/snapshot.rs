//! A cart with everything its totals depend on, read in one statement.

use commerce_sdk::money::Currency;
use commerce_sdk::prelude::*;
use commerce_sdk::sql::JsonColumn;
use serde_json::{Map, Value};

use crate::coupons::Coupon;
use crate::totals::TableRate;
use crate::{CartId, LineId};

/// A cart, its lines, what the catalogue says of them now, its coupons, and the tax rates of its country.
#[derive(Clone, Debug, Deserialize)]
pub struct Snapshot {
    pub id: CartId,
    pub status: String,
    pub account: Option<String>,
    pub token_hash: Option<String>,
    pub currency: Currency,
    pub email: Option<String>,
    pub address: Option<JsonColumn<Value>>,
    pub rate_id: Option<String>,
    pub extensions: JsonColumn<Map<String, Value>>,
    pub expires_at: Timestamp,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub lines: Option<JsonColumn<Vec<LineRow>>>,
    pub offers: Option<JsonColumn<Vec<Offer>>>,
    pub coupons: Option<JsonColumn<Vec<Coupon>>>,
    pub tax_rates: Option<JsonColumn<Vec<TableRate>>>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct LineRow {
    pub id: LineId,
    pub variant_id: String,
    pub quantity: i64,
    pub extensions: Map<String, Value>,
}

/// A variant as it can be bought now in the cart's currency.
#[derive(Clone, Debug, Deserialize)]
pub struct Offer {
    pub variant_id: String,
    pub product_id: String,
    pub product_slug: String,
    pub title: String,
    pub variant_title: Option<String>,
    pub sku: Option<String>,
    pub status: String,
    pub amount: i64,
    pub compare_at: Option<i64>,
    pub weight_g: i64,
    pub requires_shipping: bool,
    pub taxable: bool,
    pub tax_category: String,
    pub image_url: Option<String>,
    pub available: i64,
    /// Whether no more than `available` can be sold.
    pub limited: bool,
}

/// A line with what the catalogue says of it now.
pub type Bought<'a> = (LineRow, &'a Offer);

impl Snapshot {
    /// One statement, whatever the cart holds.
    pub fn by_id(id: &CartId) -> Result<Option<Snapshot>, Problem> {
        Ok(sql!(
            "select c.id, c.status, c.account, c.token_hash, c.currency, c.email, c.address, c.rate_id,
                 c.extensions, c.expires_at, c.created_at, c.updated_at,
                 (select json_agg(json_object('id', l.id, 'variant_id', l.variant_id, 'quantity', l.quantity,
                     'extensions', l.extensions) order by l.created_at, l.id)
                  from lines l where l.cart_id = c.id) as lines,
                 (select json_agg(json_object('variant_id', s.variant_id, 'product_id', s.product_id,
                     'product_slug', s.product_slug, 'title', s.product_title, 'variant_title', s.variant_title,
                     'sku', s.sku, 'status', s.status, 'amount', s.amount, 'compare_at', s.compare_at,
                     'weight_g', s.weight_g, 'requires_shipping', s.requires_shipping, 'taxable', s.taxable,
                     'tax_category', s.tax_category, 'image_url', s.image_url, 'available', s.available,
                     'limited', s.tracked) order by s.variant_id)
                  from lines l join product.sellable s on s.variant_id = l.variant_id
                  where l.cart_id = c.id and s.currency = c.currency) as offers,
                 (select json_agg(json_object('id', k.id, 'code', k.code, 'kind', k.kind, 'numerator', k.numerator,
                     'denominator', k.denominator, 'amount', k.amount, 'currency', k.currency, 'minimum', k.minimum,
                     'starts_at', k.starts_at, 'ends_at', k.ends_at, 'limit_total', k.limit_total, 'used', k.used,
                     'active', k.active) order by a.added_at, k.id)
                  from cart_coupons a join coupons k on k.id = a.coupon_id where a.cart_id = c.id) as coupons,
                 (select json_agg(json_object('name', r.name, 'province', r.province,
                     'postal_prefix', r.postal_prefix, 'category', r.category, 'numerator', r.numerator,
                     'denominator', r.denominator, 'inclusive', r.inclusive) order by r.id)
                  from tax_rates r where r.country = c.address ->> 'country') as tax_rates
             from carts c where c.id = $1",
            id
        )
        .optional()?)
    }
}
