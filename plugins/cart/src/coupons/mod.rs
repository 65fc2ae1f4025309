//! Codes that take something off: applied by customers, used up by checkouts, made by [`staff`].

pub mod staff;

use commerce_sdk::money::{Currency, Rate};
use commerce_sdk::prelude::*;

use crate::access::{Holder, touch};
use crate::answers::{Cart, answer};
use crate::totals::{Discount, NamedDiscount};
use crate::{CartId, CouponId};

/// More codes than a customer has; fewer than would make a cart slow.
pub const MAX_COUPONS: i64 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Percent,
    Fixed,
    FreeShipping,
}

/// A coupon on a cart.
#[derive(Clone, Debug, Deserialize)]
pub struct Coupon {
    pub id: CouponId,
    pub code: String,
    pub kind: Kind,
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

    /// What it takes off.
    pub fn discount(&self) -> Result<NamedDiscount, Problem> {
        let fraction = self.numerator.zip(self.denominator);
        let fixed = self.amount.zip(self.currency);
        let discount = match (self.kind, fraction, fixed) {
            (Kind::Percent, Some((numerator, denominator)), _) => {
                Discount::Fraction(Rate::new(numerator, denominator)?)
            }
            (Kind::Fixed, _, Some((amount, currency))) => Discount::Amount(Money::new(amount, currency)?),
            (Kind::FreeShipping, ..) => Discount::FreeShipping,
            _ => return Err(Problem::internal(format_args!("coupon {} has no value", self.id))),
        };
        Ok(NamedDiscount {
            code: self.code.clone(),
            discount,
        })
    }
}

#[derive(Deserialize, JsonSchema)]
pub struct Code {
    #[schemars(length(min = 1, max = 64))]
    pub code: String,
}

fn normalised(code: &str) -> String {
    code.trim().to_uppercase()
}

/// Applies a coupon.
#[post(
    "/api/carts/{id}/coupons",
    access = public,
    headers("x-cart-token"),
    problems(
        404 = "not_found", 409 = "cart_closed", 422 = "unknown_coupon", 422 = "coupon_expired",
        422 = "coupon_not_started", 422 = "coupon_exhausted", 422 = "coupon_not_applicable",
        422 = "coupon_below_minimum", 422 = "too_many_coupons", 422 = "amount_too_large"
    )
)]
pub fn apply(cx: &Context, Path(id): Path<CartId>, Json(body): Json<Code>) -> Result<Json<Cart>, Problem> {
    touch(&id, &Holder::of(cx), &settings()?)?;
    let code = normalised(&body.code);
    sql!(
        "insert into cart_coupons (cart_id, coupon_id, added_at)
         select $1, k.id, $3 from coupons k where k.code = $2
         on conflict (cart_id, coupon_id) do nothing",
        id,
        code,
        clock::now()
    )
    .execute()?;
    let cart = answer(&id)?;
    if cart.0.coupons.len() as i64 > MAX_COUPONS {
        return Err(Problem::unprocessable(
            "too_many_coupons",
            "A cart takes at most five coupons.",
        ));
    }
    match cart.0.coupons.iter().find(|coupon| coupon.code == code) {
        None => Err(Problem::unprocessable("unknown_coupon", "There is no such coupon.").field("/code", "is unknown")),
        Some(coupon) => match coupon.problem {
            Some(problem) => Err(refused(problem).field("/code", "does not apply to this cart")),
            None => Ok(cart),
        },
    }
}

/// The problem of a coupon that does not apply.
pub fn refused(code: &'static str) -> Problem {
    let detail = match code {
        "coupon_expired" => "The coupon has expired.",
        "coupon_not_started" => "The coupon is not valid yet.",
        "coupon_exhausted" => "The coupon has been used as often as it may be.",
        "coupon_below_minimum" => "The cart is below the coupon's minimum.",
        _ => "The coupon does not apply to this cart.",
    };
    Problem::unprocessable(code, detail)
}

/// Takes a coupon off the cart.
#[delete(
    "/api/carts/{id}/coupons/{code}",
    access = public,
    headers("x-cart-token"),
    problems(404 = "not_found", 409 = "cart_closed", 422 = "amount_too_large")
)]
pub fn withdraw(cx: &Context, Path(id): Path<CartId>, Path(code): Path<String>) -> Result<Json<Cart>, Problem> {
    touch(&id, &Holder::of(cx), &settings()?)?;
    sql!(
        "delete from cart_coupons
         where cart_id = $1 and coupon_id in (select k.id from coupons k where k.code = $2)",
        id,
        normalised(&code)
    )
    .execute()?;
    answer(&id)
}

/// Who uses a coupon. The same person may buy signed in and as a guest, so that either of the two counts.
pub struct Buyer<'a> {
    pub account: Option<&'a str>,
    pub email: &'a str,
}

/// Uses a coupon up for a purchase: one conditional statement for the total, which also locks the coupon, so that the
/// count of the customer's own uses that follows can't change before the commit.
pub fn redeem(coupon: &Coupon, buyer: &Buyer, reference: &str, now: Timestamp) -> Result<(), Problem> {
    let limit = sql!(
        "update coupons set used = used + 1
         where id = $1 and active and (limit_total is null or used < limit_total)
             and (starts_at is null or starts_at <= $2) and (ends_at is null or ends_at > $2)
         returning limit_per_customer",
        coupon.id,
        now
    )
    .optional::<(Option<i64>,)>()?;
    let Some((limit,)) = limit else {
        return Err(refused("coupon_exhausted").with("coupon", &coupon.code));
    };
    let used = sql!(
        "insert into coupon_uses (coupon_id, reference, customer, email, used_at)
         select k.id, $2, $3, $4, $5 from coupons k
         where k.id = $1 and (cast($6 as bigint) is null or $6 > (
             select count(*) from coupon_uses u
             where u.coupon_id = $1 and u.released = false and (u.customer = $3 or u.email = $4)))",
        coupon.id,
        reference,
        buyer.account.unwrap_or(buyer.email),
        buyer.email,
        now,
        limit
    )
    .execute()?;
    if used == 0 {
        return Err(refused("coupon_exhausted").with("coupon", &coupon.code));
    }
    Ok(())
}

#[derive(Deserialize, JsonSchema)]
pub struct Release {
    pub reference: String,
}

#[derive(Serialize, JsonSchema)]
pub struct Released {
    pub released: u64,
}

/// Gives back the coupons of a purchase that came to nothing. Doing it again changes nothing.
#[function]
pub fn release_coupons(ask: Release) -> Result<Released, Problem> {
    let mut coupons = sql!(
        "update coupon_uses set released = true where reference = $1 and released = false returning coupon_id",
        ask.reference
    )
    .scalars::<CouponId>()?;
    // As at checkout: two that lock the same coupons in different orders would wait for each other.
    coupons.sort_by(|a, b| a.as_ref().cmp(b.as_ref()));
    for coupon in &coupons {
        sql!("update coupons set used = used - 1 where id = $1 and used > 0", coupon).execute()?;
    }
    Ok(Released {
        released: coupons.len() as u64,
    })
}
