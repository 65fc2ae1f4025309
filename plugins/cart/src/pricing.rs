//! Discounts that other plugins give: every provider of `pricing@1`, in the order the operator gave them, each told what
//! the ones before it took off.

use commerce_sdk::money::Currency;
use commerce_sdk::prelude::*;
use serde_json::{Value, json};

use crate::CartId;
use crate::answers::CartCoupon;
use crate::snapshot::Bought;
use crate::totals::{Discount, NamedDiscount};

#[derive(Deserialize)]
struct Adjusted {
    adjustments: Vec<Adjustment>,
}

#[derive(Deserialize, Serialize)]
struct Adjustment {
    code: String,
    label: String,
    target: Target,
    /// Zero or less.
    amount: Money,
    line_id: Option<String>,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Target {
    Line,
    Cart,
    Shipping,
}

pub fn adjustments(
    id: &CartId,
    bought: &[Bought],
    subtotal: Money,
    coupons: &[CartCoupon],
    account: Option<&str>,
) -> Result<Vec<NamedDiscount>, Problem> {
    let providers = plugins::providers("pricing@1")?;
    if providers.is_empty() || bought.is_empty() {
        return Ok(Vec::new());
    }
    let currency = subtotal.currency();
    let lines = bought
        .iter()
        .map(|(line, offer)| {
            let price = Money::new(offer.amount, currency)?;
            Ok(json!({
                "id": line.id,
                "variant_id": line.variant_id,
                "product_id": offer.product_id,
                "quantity": line.quantity,
                "price": price,
                "subtotal": price.times(line.quantity)?,
            }))
        })
        .collect::<Result<Vec<Value>, Problem>>()?;
    let codes: Vec<&str> = coupons.iter().map(|coupon| coupon.code.as_str()).collect();
    let mut all: Vec<Adjustment> = Vec::new();
    for provider in providers {
        let ask = json!({
            "cart_id": id,
            "currency": currency,
            "lines": lines,
            "adjustments": all,
            "customer": account.map(|account| json!({ "account": account })),
            "codes": codes,
        });
        let answer: Adjusted = plugins::provider("pricing@1", &provider, "adjust", &ask)?;
        all.extend(answer.adjustments);
    }
    Ok(all
        .iter()
        .filter_map(|adjustment| discount(adjustment, currency, bought))
        .collect())
}

/// None where the provider took nothing off, or off something that is not in the cart, or in another currency.
fn discount(adjustment: &Adjustment, currency: Currency, bought: &[Bought]) -> Option<NamedDiscount> {
    let off = Money::new(adjustment.amount.amount().checked_neg()?, adjustment.amount.currency()).ok()?;
    if off.amount() <= 0 || off.currency() != currency {
        return None;
    }
    let discount = match adjustment.target {
        Target::Cart => Discount::Amount(off),
        Target::Shipping => Discount::Shipping(off),
        Target::Line => {
            let line = adjustment.line_id.as_deref()?;
            Discount::Line(bought.iter().position(|(row, _)| row.id.as_ref() == line)?, off)
        }
    };
    Some(NamedDiscount {
        code: adjustment.code.clone(),
        discount,
    })
}
