//! From what was read to what is to be paid: looks prices of shipping and of other plugins up, and leaves the rest to
//! [`crate::totals`].

use commerce_sdk::money::{Currency, MoneyError};
use commerce_sdk::prelude::*;
use commerce_sdk::sql::JsonColumn;

use crate::answers::{Cart, CartCoupon, Item, Unavailable};
use crate::coupons::Coupon;
use crate::snapshot::{Bought, LineRow, Offer, Snapshot};
use crate::totals::{Computed, LineTotals, PricedLine, compute, rates_at, subtotal};
use crate::{pricing, shipping};

/// A cart whose prices have been looked up.
pub struct Priced {
    pub cart: Cart,
    /// The coupons that apply, in the order of `cart.discounts`.
    pub redeemable: Vec<Coupon>,
}

impl Snapshot {
    pub fn priced(self, now: Timestamp) -> Result<Priced, Problem> {
        let currency = self.currency;
        let offers = list(self.offers);
        let (bought, unavailable) = offered(list(self.lines), &offers);
        let lines = price_lines(currency, &bought)?;
        let goods = subtotal(currency, &lines)?;
        let address = self.address.map(|column| column.0);
        let shipping_rate = match (&self.rate_id, &address) {
            (Some(rate_id), Some(address)) => shipping::quote(rate_id, address, &bought, goods)?,
            _ => None,
        };
        let (coupons, redeemable) = applicable(list(self.coupons), goods, now);
        let mut discounts = redeemable.iter().map(Coupon::discount).collect::<Result<Vec<_>, _>>()?;
        let account = self.account.as_deref();
        discounts.extend(pricing::adjustments(&self.id, &bought, goods, &coupons, account)?);
        let rates = rates_at(address.as_ref(), list(self.tax_rates));
        let shipping_price = shipping_rate.as_ref().map(|rate| rate.price);
        let Computed {
            lines: line_totals,
            totals,
            discounts,
            taxes,
        } = compute(currency, &lines, shipping_price, &discounts, &rates)?;
        let items = bought
            .into_iter()
            .zip(line_totals)
            .map(|(bought, totals)| item(bought, totals, currency))
            .collect::<Result<_, _>>()?;
        let cart = Cart {
            id: self.id,
            token: None,
            status: self.status,
            currency,
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

/// The rows of a column that is null where there are none.
pub fn list<T>(column: Option<JsonColumn<Vec<T>>>) -> Vec<T> {
    column.map(|column| column.0).unwrap_or_default()
}

/// The lines that can be bought now, and those that can't.
pub fn offered(lines: Vec<LineRow>, offers: &[Offer]) -> (Vec<Bought<'_>>, Vec<Unavailable>) {
    let (mut bought, mut unavailable) = (Vec::with_capacity(lines.len()), Vec::new());
    for line in lines {
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
    (bought, unavailable)
}

pub fn price_lines(currency: Currency, bought: &[Bought]) -> Result<Vec<PricedLine>, MoneyError> {
    let priced = |(line, offer): &Bought| {
        Ok(PricedLine {
            unit_price: Money::new(offer.amount, currency)?,
            quantity: line.quantity,
            tax_category: offer.taxable.then(|| offer.tax_category.clone()),
        })
    };
    bought.iter().map(priced).collect()
}

/// What is said of each coupon, and those that apply.
fn applicable(coupons: Vec<Coupon>, goods: Money, now: Timestamp) -> (Vec<CartCoupon>, Vec<Coupon>) {
    let said = coupons.iter().map(|coupon| CartCoupon {
        code: coupon.code.clone(),
        problem: coupon.problem(goods, now),
    });
    let said: Vec<CartCoupon> = said.collect();
    let both = coupons.into_iter().zip(&said);
    let applicable = both
        .filter(|(_, said)| said.problem.is_none())
        .map(|(coupon, _)| coupon)
        .collect();
    (said, applicable)
}

fn item((line, offer): Bought, totals: LineTotals, currency: Currency) -> Result<Item, MoneyError> {
    let money = |amount| Money::new(amount, currency);
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
        unit_price: money(offer.amount)?,
        compare_at: offer.compare_at.map(money).transpose()?,
        subtotal: totals.subtotal,
        discount: totals.discount,
        tax: totals.tax,
        total: totals.total,
        weight_g: offer.weight_g,
        requires_shipping: offer.requires_shipping,
        available: offer.available,
        limited: offer.limited,
        extensions: line.extensions,
    })
}
