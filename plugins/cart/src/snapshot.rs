//! A cart with everything its totals depend on, read in one statement, and what clients see of it.

use commerce_sdk::money::{Currency, Rate};
use commerce_sdk::prelude::*;
use commerce_sdk::sql::JsonColumn;
use serde_json::{Map, Value};

use crate::pricing;
use crate::shipping::{self, Quote};
use crate::totals::{
    AppliedDiscount, Computed, Discount, NamedDiscount, PricedLine, TableRate, TaxLine, Totals, compute, rates_at,
};
use crate::{CartId, CouponId, LineId};

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

#[derive(Clone, Debug, Deserialize)]
pub struct Coupon {
    pub id: CouponId,
    pub code: String,
    pub kind: String,
    pub numerator: Option<u32>,
    pub denominator: Option<u32>,
    pub amount: Option<i64>,
    pub currency: Option<Currency>,
    pub minimum: Option<i64>,
    pub starts_at: Option<Timestamp>,
    pub ends_at: Option<Timestamp>,
    pub limit_total: Option<i64>,
    pub used: i64,
    pub active: bool,
}

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

/// A cart whose prices have been looked up: what is left is arithmetic.
pub struct Priced {
    pub cart: Cart,
    /// The coupons that apply, in the order of `cart.discounts`.
    pub redeemable: Vec<Coupon>,
}

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

    /// Looks the shipping price up and computes the totals.
    pub fn priced(self, now: Timestamp) -> Result<Priced, Problem> {
        let offers = self.offers.map(|column| column.0).unwrap_or_default();
        let (mut bought, mut unavailable) = (Vec::new(), Vec::new());
        for line in self.lines.map(|column| column.0).unwrap_or_default() {
            let offer = offers
                .iter()
                .find(|offer| offer.variant_id == line.variant_id && offer.status == "active");
            match offer {
                Some(offer) => bought.push((line, offer)),
                None => unavailable.push(Unavailable {
                    id: line.id,
                    variant_id: line.variant_id,
                    quantity: line.quantity,
                    reason: "withdrawn",
                }),
            }
        }
        let money = |amount: i64| Money::new(amount, self.currency);
        let lines = bought
            .iter()
            .map(|(line, offer)| {
                Ok(PricedLine {
                    unit_price: money(offer.amount)?,
                    quantity: line.quantity,
                    tax_category: offer.taxable.then(|| offer.tax_category.clone()),
                })
            })
            .collect::<Result<Vec<_>, Problem>>()?;
        let goods = lines
            .iter()
            .map(|line| line.unit_price.times(line.quantity))
            .collect::<Result<Vec<_>, _>>()?;
        let subtotal = Money::sum(self.currency, goods)?;
        let address = self.address.map(|column| column.0);
        let shipping_rate = match (&self.rate_id, &address) {
            (Some(rate_id), Some(address)) => shipping::quote(rate_id, address, &bought, subtotal)?,
            _ => None,
        };
        let (mut coupons, mut redeemable, mut discounts) = (Vec::new(), Vec::new(), Vec::new());
        for coupon in self.coupons.map(|column| column.0).unwrap_or_default() {
            let problem = coupon.problem(subtotal, now);
            coupons.push(CartCoupon {
                code: coupon.code.clone(),
                problem,
            });
            if problem.is_none() {
                discounts.push(NamedDiscount {
                    code: coupon.code.clone(),
                    discount: coupon.discount()?,
                });
                redeemable.push(coupon);
            }
        }
        discounts.extend(pricing::adjustments(
            &self.id,
            &bought,
            subtotal,
            &coupons,
            self.account.as_deref(),
        )?);
        let rates = rates_at(
            address.as_ref(),
            self.tax_rates.map(|column| column.0).unwrap_or_default(),
        );
        let computed = compute(
            self.currency,
            &lines,
            shipping_rate.as_ref().map(|rate| rate.price),
            &discounts,
            &rates,
        )?;
        let Computed {
            lines: line_totals,
            totals,
            discounts,
            taxes,
        } = computed;
        let items = bought
            .into_iter()
            .zip(lines)
            .zip(line_totals)
            .map(|(((line, offer), priced), line_total)| {
                Ok(Item {
                    id: line.id,
                    variant_id: line.variant_id,
                    product_id: offer.product_id.clone(),
                    product_slug: offer.product_slug.clone(),
                    title: offer.title.clone(),
                    variant_title: offer.variant_title.clone(),
                    sku: offer.sku.clone(),
                    image_url: offer.image_url.clone(),
                    quantity: line.quantity,
                    unit_price: priced.unit_price,
                    compare_at: offer.compare_at.map(money).transpose()?,
                    subtotal: line_total.subtotal,
                    discount: line_total.discount,
                    tax: line_total.tax,
                    total: line_total.total,
                    weight_g: offer.weight_g,
                    requires_shipping: offer.requires_shipping,
                    available: offer.available,
                    limited: offer.limited,
                    extensions: line.extensions,
                })
            })
            .collect::<Result<Vec<_>, Problem>>()?;
        let cart = Cart {
            id: self.id,
            token: None,
            status: self.status,
            currency: self.currency,
            email: self.email,
            items,
            unavailable,
            totals,
            discounts,
            tax_lines: taxes,
            coupons,
            shipping_address: address,
            shipping_rate,
            extensions: self.extensions.0,
            expires_at: self.expires_at,
            created_at: self.created_at,
            updated_at: self.updated_at,
        };
        Ok(Priced { cart, redeemable })
    }
}

impl Coupon {
    /// Why it does not apply to a cart with these goods now, if it does not.
    pub fn problem(&self, subtotal: Money, now: Timestamp) -> Option<&'static str> {
        if !self.active || self.ends_at.is_some_and(|end| end <= now) {
            return Some("coupon_expired");
        }
        if self.starts_at.is_some_and(|start| start > now) {
            return Some("coupon_not_started");
        }
        if self.limit_total.is_some_and(|limit| self.used >= limit) {
            return Some("coupon_exhausted");
        }
        if self.currency.is_some_and(|currency| currency != subtotal.currency()) {
            return Some("coupon_not_applicable");
        }
        if self.minimum.is_some_and(|minimum| subtotal.amount() < minimum) {
            return Some("coupon_below_minimum");
        }
        None
    }

    fn discount(&self) -> Result<Discount, Problem> {
        Ok(
            match (
                self.kind.as_str(),
                self.numerator,
                self.denominator,
                self.amount,
                self.currency,
            ) {
                ("percent", Some(numerator), Some(denominator), ..) => {
                    Discount::Fraction(Rate::new(numerator, denominator)?)
                }
                ("fixed", _, _, Some(amount), Some(currency)) => Discount::Amount(Money::new(amount, currency)?),
                ("free_shipping", ..) => Discount::FreeShipping,
                _ => {
                    return Err(Problem::internal(format_args!("coupon {} has no value", self.id)));
                }
            },
        )
    }
}

/// The whole cart, as every write answers it.
pub fn answer(id: &CartId) -> Result<Json<Cart>, Problem> {
    let snapshot = Snapshot::by_id(id)?.ok_or_else(crate::access::not_found)?;
    Ok(Json(snapshot.priced(clock::now())?.cart))
}
