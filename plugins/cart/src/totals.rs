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
    let subtotals = lines
        .iter()
        .map(|line| line.unit_price.times(line.quantity))
        .collect::<Result<Vec<_>, _>>()?;
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
    let fractions: Vec<(i128, i128)> = inside.iter().map(|rate| parts(*rate)).collect();
    let common: i128 = fractions.iter().map(|(_, denominator)| denominator).product();
    let whole: i128 = common
        + fractions
            .iter()
            .map(|(numerator, denominator)| numerator * (common / denominator))
            .sum::<i128>();
    let (numerator, denominator) = parts(rate);
    let dividend = i128::from(base.amount())
        .checked_mul(numerator)
        .and_then(|product| product.checked_mul(common / denominator))
        .ok_or(MoneyError::TooLarge)?;
    let rounded = (dividend * 2 + whole) / (whole * 2);
    Money::new(
        i64::try_from(rounded).map_err(|_| MoneyError::TooLarge)?,
        base.currency(),
    )
}

fn parts(rate: Rate) -> (i128, i128) {
    (i128::from(rate.numerator()), i128::from(rate.denominator()))
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
mod tests {
    use super::*;
    use serde_json::json;

    fn idr(amount: i64) -> Money {
        Money::new(amount, "IDR".parse().unwrap()).unwrap()
    }

    fn line(price: i64, quantity: i64) -> PricedLine {
        PricedLine {
            unit_price: idr(price),
            quantity,
            tax_category: Some("standard".to_owned()),
        }
    }

    fn of(lines: &[PricedLine], shipping: i64, discounts: &[NamedDiscount], rates: &[TaxRate]) -> Computed {
        compute("IDR".parse().unwrap(), lines, Some(idr(shipping)), discounts, rates).unwrap()
    }

    fn named(discount: Discount) -> NamedDiscount {
        NamedDiscount {
            code: "CODE".to_owned(),
            discount,
        }
    }

    fn vat(percent: u32, inclusive: bool) -> TaxRate {
        TaxRate {
            name: format!("VAT {percent}"),
            category: None,
            rate: Rate::percent(percent),
            inclusive,
        }
    }

    /// What must hold for every cart, whatever is in it.
    fn must_add_up(computed: &Computed) {
        let t = &computed.totals;
        let sum = |part: fn(&LineTotals) -> Money| computed.lines.iter().map(|line| part(line).amount()).sum::<i64>();
        assert_eq!(sum(|line| line.subtotal), t.subtotal.amount());
        assert_eq!(
            computed.discounts.iter().map(|d| d.amount.amount()).sum::<i64>(),
            t.discount.amount()
        );
        assert_eq!(
            computed.taxes.iter().map(|d| d.amount.amount()).sum::<i64>(),
            t.tax.amount()
        );
        let total =
            t.subtotal.amount() - t.discount.amount() + t.shipping.amount() + t.tax.amount() - t.tax_included.amount();
        assert_eq!(total, t.total.amount());
        for line in &computed.lines {
            assert!(line.discount.amount() >= 0 && line.discount.amount() <= line.subtotal.amount());
        }
    }

    #[test]
    fn a_discount_that_does_not_divide_is_shared_out_to_the_last_unit() {
        let computed = of(
            &[line(100, 1), line(100, 1), line(100, 1)],
            0,
            &[named(Discount::Amount(idr(100)))],
            &[],
        );
        must_add_up(&computed);
        let shares: Vec<i64> = computed.lines.iter().map(|line| line.discount.amount()).collect();
        assert_eq!(shares.iter().sum::<i64>(), 100);
        assert!(shares.iter().all(|share| (33..=34).contains(share)), "{shares:?}");
    }

    #[test]
    fn a_fixed_discount_takes_no_more_than_there_is() {
        let computed = of(&[line(100, 2)], 10, &[named(Discount::Amount(idr(1_000)))], &[]);
        must_add_up(&computed);
        assert_eq!((computed.totals.discount, computed.totals.total), (idr(200), idr(10)));
    }

    #[test]
    fn two_discounts_can_not_take_the_same_money_twice() {
        let both = [
            named(Discount::Fraction(Rate::percent(80))),
            named(Discount::Fraction(Rate::percent(80))),
        ];
        let computed = of(&[line(100, 1)], 0, &both, &[]);
        must_add_up(&computed);
        assert_eq!(computed.totals.total, idr(0));
    }

    #[test]
    fn free_shipping_is_free_once() {
        let twice = [named(Discount::FreeShipping), named(Discount::FreeShipping)];
        let computed = of(&[line(100, 1)], 30, &twice, &[]);
        must_add_up(&computed);
        assert_eq!((computed.totals.discount, computed.totals.total), (idr(30), idr(100)));
    }

    #[test]
    fn a_tax_on_top_is_rounded_half_up_per_line() {
        let computed = of(&[line(5, 1), line(5, 1)], 0, &[], &[vat(10, false)]);
        must_add_up(&computed);
        assert_eq!((computed.totals.tax, computed.totals.total), (idr(2), idr(12)));
    }

    #[test]
    fn a_tax_inside_of_the_price_does_not_raise_the_total() {
        let computed = of(&[line(111, 1)], 0, &[], &[vat(11, true)]);
        must_add_up(&computed);
        assert_eq!(
            (computed.totals.tax, computed.totals.tax_included, computed.totals.total),
            (idr(11), idr(11), idr(111))
        );
    }

    #[test]
    fn two_taxes_inside_of_one_price_are_taken_out_together() {
        let computed = of(&[line(121, 1)], 0, &[], &[vat(10, true), vat(11, true)]);
        must_add_up(&computed);
        assert_eq!(
            computed.taxes.iter().map(|tax| tax.amount).collect::<Vec<_>>(),
            [idr(10), idr(11)]
        );
    }

    #[test]
    fn a_rate_for_just_this_category_replaces_the_one_for_all() {
        let reduced = TaxRate {
            category: Some("books".to_owned()),
            rate: Rate::percent(5),
            ..vat(10, false)
        };
        let book = PricedLine {
            tax_category: Some("books".to_owned()),
            ..line(100, 1)
        };
        let computed = of(&[book, line(100, 1)], 0, &[], &[vat(10, false), reduced]);
        must_add_up(&computed);
        assert_eq!(
            computed.lines.iter().map(|line| line.tax).collect::<Vec<_>>(),
            [idr(5), idr(10)]
        );
    }

    #[test]
    fn the_most_exact_place_wins() {
        let rate = |province: Option<&str>, postal_prefix: Option<&str>, numerator: u32| TableRate {
            name: "tax".to_owned(),
            province: province.map(str::to_owned),
            postal_prefix: postal_prefix.map(str::to_owned),
            category: None,
            numerator,
            denominator: 100,
            inclusive: false,
        };
        let table = vec![
            rate(None, None, 1),
            rate(Some("Bali"), None, 2),
            rate(None, Some("803"), 3),
            rate(Some("Aceh"), None, 4),
        ];
        let at = |province: &str, postal_code: &str| {
            let address = json!({ "province": province, "postal_code": postal_code });
            let rates = rates_at(Some(&address), table.clone());
            assert_eq!(rates.len(), 1);
            rates[0].rate
        };
        assert_eq!(at("Jakarta", "10000"), Rate::percent(1));
        assert_eq!(at("bali ", "10000"), Rate::percent(2));
        assert_eq!(at("Bali", "80361"), Rate::percent(3));
    }

    /// A cheap generator: the point is many shapes, not randomness.
    #[test]
    fn everything_adds_up_for_ten_thousand_carts() {
        let mut state: u64 = 42;
        let mut next = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..10_000 {
            let lines: Vec<PricedLine> = (0..next(6))
                .map(|_| line(next(1_000_000) as i64, 1 + next(9) as i64))
                .collect();
            let discounts: Vec<NamedDiscount> = (0..next(6))
                .map(|kind| {
                    named(match kind {
                        0 => Discount::Fraction(Rate::basis_points(next(10_001) as u32)),
                        1 => Discount::Amount(idr(next(2_000_000) as i64)),
                        2 => Discount::Line(next(6) as usize, idr(next(2_000_000) as i64)),
                        3 => Discount::Shipping(idr(next(60_000) as i64)),
                        _ => Discount::FreeShipping,
                    })
                })
                .collect();
            let rates: Vec<TaxRate> = (0..next(4))
                .map(|n| vat(1 + n as u32 + next(20) as u32, next(2) == 0))
                .collect();
            must_add_up(&of(&lines, next(50_000) as i64, &discounts, &rates));
        }
    }
}
