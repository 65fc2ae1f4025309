//! What a cart costs. Pure: prices, coupons, tax rates and the shipping price in, totals out.
//!
//! Discounts of the whole cart are shared out over its lines so that the shares add up exactly; a tax is rounded half up
//! per line and rate. For every cart: `total = subtotal - discount + shipping + tax - tax_included`.

use commerce_sdk::money::{Currency, MoneyError, Rate};
use commerce_sdk::prelude::*;
use serde_json::Value;

/// A line as the catalogue prices it now.
#[derive(Clone, Debug)]
pub struct PricedLine {
    pub unit_price: Money,
    pub quantity: i64,
    /// None for goods that are not taxed.
    pub tax_category: Option<String>,
}

impl PricedLine {
    fn subtotal(&self) -> Result<Money, MoneyError> {
        self.unit_price.times(self.quantity)
    }
}

/// What the goods cost, before anything is taken off.
pub fn subtotal(currency: Currency, lines: &[PricedLine]) -> Result<Money, MoneyError> {
    lines
        .iter()
        .try_fold(Money::zero(currency), |sum, line| sum.plus(line.subtotal()?))
}

#[derive(Clone, Debug, PartialEq)]
pub enum Discount {
    /// A fraction of what the goods cost before any discount.
    Fraction(Rate),
    /// At most what is left to take it from.
    Amount(Money),
    /// Off one line, by its place in the cart.
    Line(usize, Money),
    /// Off the shipping price.
    Shipping(Money),
    FreeShipping,
}

#[derive(Clone, Debug)]
pub struct NamedDiscount {
    pub code: String,
    pub discount: Discount,
}

/// A tax rate that applies at the cart's address.
#[derive(Clone, Debug, PartialEq)]
pub struct TaxRate {
    pub name: String,
    /// None: every taxed line. `shipping`: the shipping price.
    pub category: Option<String>,
    pub rate: Rate,
    pub inclusive: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LineTotals {
    pub subtotal: Money,
    pub discount: Money,
    pub tax: Money,
    /// What the line adds to the total: without the taxes that its price includes already.
    pub total: Money,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Totals {
    pub subtotal: Money,
    pub discount: Money,
    pub shipping: Money,
    pub tax: Money,
    /// The part of `tax` that the prices include already.
    pub tax_included: Money,
    pub total: Money,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct AppliedDiscount {
    pub code: String,
    pub amount: Money,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct TaxLine {
    pub name: String,
    pub amount: Money,
    pub inclusive: bool,
}

#[derive(Clone, Debug)]
pub struct Computed {
    pub lines: Vec<LineTotals>,
    pub totals: Totals,
    pub discounts: Vec<AppliedDiscount>,
    pub taxes: Vec<TaxLine>,
}

/// The category of rates that tax the shipping price.
const SHIPPING: &str = "shipping";

pub fn compute(
    currency: Currency,
    lines: &[PricedLine],
    shipping: Option<Money>,
    discounts: &[NamedDiscount],
    rates: &[TaxRate],
) -> Result<Computed, MoneyError> {
    let zero = Money::zero(currency);
    let subtotals = lines.iter().map(PricedLine::subtotal).collect::<Result<Vec<_>, _>>()?;
    let subtotal = Money::sum(currency, subtotals.iter().copied())?;
    let shipping = shipping.unwrap_or(zero);

    let mut taken = vec![zero; lines.len()];
    let mut shipping_off = zero;
    let mut applied = Vec::new();
    for NamedDiscount { code, discount } in discounts {
        let left = subtotals
            .iter()
            .zip(&taken)
            .map(|(all, off)| all.minus(*off))
            .collect::<Result<Vec<_>, _>>()?;
        let left_over = Money::sum(currency, left.iter().copied())?;
        let shipping_left = shipping.minus(shipping_off)?;
        let (wanted, most) = match discount {
            Discount::Fraction(rate) => (rate.of(subtotal)?, left_over),
            Discount::Amount(amount) => (*amount, left_over),
            Discount::Line(at, amount) => (*amount, left.get(*at).copied().unwrap_or(zero)),
            Discount::Shipping(amount) => (*amount, shipping_left),
            Discount::FreeShipping => (shipping_left, shipping_left),
        };
        let amount = if wanted.amount() > most.amount() { most } else { wanted };
        applied.push(AppliedDiscount {
            code: code.clone(),
            amount,
        });
        match discount {
            Discount::Shipping(_) | Discount::FreeShipping => {
                shipping_off = shipping_off.plus(amount)?;
                continue;
            }
            Discount::Line(at, _) => {
                if let Some(off) = taken.get_mut(*at) {
                    *off = off.plus(amount)?;
                }
                continue;
            }
            Discount::Fraction(_) | Discount::Amount(_) => {}
        }
        let weights: Vec<u64> = left.iter().map(|money| money.amount().unsigned_abs()).collect();
        for (off, share) in taken.iter_mut().zip(amount.split(&weights)) {
            *off = off.plus(share)?;
        }
    }

    let mut tax_lines: Vec<TaxLine> = Vec::new();
    let mut tax = zero;
    let mut tax_included = zero;
    let mut line_totals = Vec::with_capacity(lines.len());
    for ((line, line_subtotal), discount) in lines.iter().zip(&subtotals).zip(&taken) {
        let base = line_subtotal.minus(*discount)?;
        let category = line.tax_category.as_deref();
        let taxed = match category {
            Some(category) => taxes_of(base, &rates_for(category, rates), &mut tax_lines)?,
            None => Taxed {
                all: zero,
                included: zero,
            },
        };
        tax = tax.plus(taxed.all)?;
        tax_included = tax_included.plus(taxed.included)?;
        line_totals.push(LineTotals {
            subtotal: *line_subtotal,
            discount: *discount,
            tax: taxed.all,
            total: base.plus(taxed.all)?.minus(taxed.included)?,
        });
    }
    let shipping_rates: Vec<&TaxRate> = rates
        .iter()
        .filter(|rate| rate.category.as_deref() == Some(SHIPPING))
        .collect();
    let taxed = taxes_of(shipping.minus(shipping_off)?, &shipping_rates, &mut tax_lines)?;
    tax = tax.plus(taxed.all)?;
    tax_included = tax_included.plus(taxed.included)?;

    let discount = Money::sum(currency, taken)?.plus(shipping_off)?;
    let total = subtotal
        .minus(discount)?
        .plus(shipping)?
        .plus(tax)?
        .minus(tax_included)?;
    Ok(Computed {
        lines: line_totals,
        totals: Totals {
            subtotal,
            discount,
            shipping,
            tax,
            tax_included,
            total,
        },
        discounts: applied,
        taxes: tax_lines,
    })
}

struct Taxed {
    all: Money,
    included: Money,
}

/// The rates for goods of one category: of each name, one for just this category wins over one for all.
fn rates_for<'a>(category: &str, rates: &'a [TaxRate]) -> Vec<&'a TaxRate> {
    let exact = |rate: &TaxRate| rate.category.as_deref() == Some(category);
    rates
        .iter()
        .filter(|rate| {
            exact(rate)
                || (rate.category.is_none() && !rates.iter().any(|other| exact(other) && other.name == rate.name))
        })
        .collect()
}

/// Taxes one base by each rate and adds them to the lines by name. Several rates inside of one price are taken out of it
/// together: of 121 with 10 % and 11 % inside, 10 and 11.
fn taxes_of(base: Money, rates: &[&TaxRate], lines: &mut Vec<TaxLine>) -> Result<Taxed, MoneyError> {
    let zero = Money::zero(base.currency());
    let mut taxed = Taxed {
        all: zero,
        included: zero,
    };
    let inside: Vec<Rate> = rates
        .iter()
        .filter(|rate| rate.inclusive)
        .map(|rate| rate.rate)
        .collect();
    for rate in rates {
        let amount = if rate.inclusive {
            within_all(rate.rate, &inside, base)?
        } else {
            rate.rate.of(base)?
        };
        taxed.all = taxed.all.plus(amount)?;
        if rate.inclusive {
            taxed.included = taxed.included.plus(amount)?;
        }
        match lines
            .iter_mut()
            .find(|line| line.name == rate.name && line.inclusive == rate.inclusive)
        {
            Some(line) => line.amount = line.amount.plus(amount)?,
            None => lines.push(TaxLine {
                name: rate.name.clone(),
                amount,
                inclusive: rate.inclusive,
            }),
        }
    }
    Ok(taxed)
}

/// `base * rate / (1 + sum of all rates inside)`, rounded half up.
fn within_all(rate: Rate, inside: &[Rate], base: Money) -> Result<Money, MoneyError> {
    if inside.len() == 1 {
        return rate.within(base);
    }
    let amount = rounded_share(rate, inside, base.amount()).ok_or(MoneyError::TooLarge)?;
    Money::new(amount, base.currency())
}

/// None where it can't be computed exactly: a wrong tax is worse than none.
fn rounded_share(rate: Rate, inside: &[Rate], base: i64) -> Option<i64> {
    let parts = |rate: &Rate| (i128::from(rate.numerator()), i128::from(rate.denominator()));
    let common = inside.iter().map(parts).try_fold(1_i128, |common, (_, denominator)| {
        (common / greatest_divisor(common, denominator)).checked_mul(denominator)
    })?;
    let whole = inside
        .iter()
        .map(parts)
        .try_fold(common, |whole, (numerator, denominator)| {
            whole.checked_add(numerator.checked_mul(common / denominator)?)
        })?;
    let (numerator, denominator) = parts(&rate);
    let dividend = i128::from(base)
        .checked_mul(numerator)?
        .checked_mul(common / denominator)?;
    let rounded = dividend.checked_mul(2)?.checked_add(whole)? / whole.checked_mul(2)?;
    i64::try_from(rounded).ok()
}

fn greatest_divisor(a: i128, b: i128) -> i128 {
    if b == 0 { a } else { greatest_divisor(b, a % b) }
}

/// A tax rate as the table keeps it, before the place is looked at.
#[derive(Clone, Debug, Deserialize)]
pub struct TableRate {
    pub name: String,
    pub province: Option<String>,
    pub postal_prefix: Option<String>,
    pub category: Option<String>,
    pub numerator: u32,
    pub denominator: u32,
    pub inclusive: bool,
}

/// The rates of a country that apply at an address: of each name and category the most exact one.
pub fn rates_at(address: Option<&Value>, table: Vec<TableRate>) -> Vec<TaxRate> {
    let part = |key: &str| {
        address
            .and_then(|address| address[key].as_str())
            .unwrap_or_default()
            .trim()
            .to_lowercase()
    };
    let (province, postal_code) = (part("province"), part("postal_code"));
    let fits = |rate: &TableRate| {
        rate.province
            .as_ref()
            .is_none_or(|wanted| wanted.trim().to_lowercase() == province)
            && rate
                .postal_prefix
                .as_ref()
                .is_none_or(|prefix| postal_code.starts_with(&prefix.trim().to_lowercase()))
    };
    let exactness = |rate: &TableRate| {
        (
            rate.postal_prefix.as_ref().map_or(0, |prefix| prefix.len()),
            rate.province.is_some(),
        )
    };
    let mut best: Vec<TableRate> = Vec::new();
    for rate in table.into_iter().filter(fits) {
        match best
            .iter_mut()
            .find(|other| other.name == rate.name && other.category == rate.category)
        {
            Some(other) if exactness(&rate) > exactness(other) => *other = rate,
            Some(_) => {}
            None => best.push(rate),
        }
    }
    best.into_iter()
        .filter_map(|rate| {
            Some(TaxRate {
                rate: Rate::new(rate.numerator, rate.denominator).ok()?,
                name: rate.name,
                category: rate.category,
                inclusive: rate.inclusive,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
