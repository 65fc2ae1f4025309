//! Codes that take something off: applied by customers, made by staff, used up by checkouts.

use commerce_sdk::money::Currency;
use commerce_sdk::prelude::*;

use crate::access::{Holder, touch};
use crate::snapshot::{Cart, Coupon, answer};
use crate::{CartId, CouponId};

/// More codes than a customer has; fewer than would make a cart slow.
const MAX_COUPONS: usize = 5;

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
        422 = "coupon_below_minimum", 422 = "too_many_coupons"
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
    if cart.0.coupons.len() > MAX_COUPONS {
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
    problems(404 = "not_found", 409 = "cart_closed")
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

/// Uses a coupon up for a purchase: one conditional statement for the total, which also locks the coupon, so that the
/// count of the customer's own uses that follows can't change before the commit.
pub fn redeem(coupon: &Coupon, reference: &str, customer: &str, now: Timestamp) -> Result<(), Problem> {
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
        "insert into coupon_uses (coupon_id, reference, customer, used_at)
         select k.id, $2, $3, $4 from coupons k
         where k.id = $1 and (cast($5 as bigint) is null or $5 > (
             select count(*) from coupon_uses u where u.coupon_id = $1 and u.customer = $3 and u.released = false))",
        coupon.id,
        reference,
        customer,
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
    let coupons = sql!(
        "update coupon_uses set released = true where reference = $1 and released = false returning coupon_id",
        ask.reference
    )
    .scalars::<CouponId>()?;
    for coupon in &coupons {
        sql!("update coupons set used = used - 1 where id = $1 and used > 0", coupon).execute()?;
    }
    Ok(Released {
        released: coupons.len() as u64,
    })
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Percent,
    Fixed,
    FreeShipping,
}

#[derive(Deserialize, JsonSchema)]
pub struct NewCoupon {
    /// What customers type; upper and lower case are the same.
    #[schemars(length(min = 1, max = 64))]
    pub code: String,
    pub kind: Kind,
    /// With kind `percent`: 10 takes off a tenth of the goods' price.
    #[schemars(range(min = 1, max = 100))]
    pub percent: Option<u32>,
    /// With kind `fixed`.
    pub amount: Option<Money>,
    /// The smallest subtotal it is good for; of the same currency as `amount`, where both are given.
    pub minimum: Option<Money>,
    pub starts_at: Option<Timestamp>,
    pub ends_at: Option<Timestamp>,
    /// How often it can be used by all together.
    #[schemars(range(min = 1))]
    pub limit_total: Option<i64>,
    #[schemars(range(min = 1))]
    pub limit_per_customer: Option<i64>,
}

/// What staff see of a coupon.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CouponDetails")]
pub struct StaffCoupon {
    pub id: CouponId,
    pub code: String,
    pub kind: Kind,
    pub percent: Option<u32>,
    pub amount: Option<Money>,
    pub minimum: Option<Money>,
    pub starts_at: Option<Timestamp>,
    pub ends_at: Option<Timestamp>,
    pub limit_total: Option<i64>,
    pub limit_per_customer: Option<i64>,
    pub used: i64,
    pub active: bool,
    pub created_at: Timestamp,
}

#[derive(Deserialize)]
struct CouponRow {
    id: CouponId,
    code: String,
    kind: Kind,
    numerator: Option<u32>,
    amount: Option<i64>,
    currency: Option<Currency>,
    minimum: Option<i64>,
    starts_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
    limit_total: Option<i64>,
    limit_per_customer: Option<i64>,
    used: i64,
    active: bool,
    created_at: Timestamp,
}

impl CouponRow {
    fn into_answer(self) -> Result<StaffCoupon, Problem> {
        let money = |amount: Option<i64>| match (amount, self.currency) {
            (Some(amount), Some(currency)) => Money::new(amount, currency).map(Some),
            _ => Ok(None),
        };
        Ok(StaffCoupon {
            amount: money(self.amount)?,
            minimum: money(self.minimum)?,
            id: self.id,
            code: self.code,
            kind: self.kind,
            percent: self.numerator,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
            limit_total: self.limit_total,
            limit_per_customer: self.limit_per_customer,
            used: self.used,
            active: self.active,
            created_at: self.created_at,
        })
    }
}

macro_rules! coupon_columns {
    () => {
        "id, code, kind, numerator, amount, currency, minimum, starts_at, ends_at, limit_total, limit_per_customer, used,
         active, created_at"
    };
}

/// Makes a coupon.
#[post(
    "/api/coupons",
    access = staff("cart.write"),
    operation = "create_coupon",
    problems(409 = "code_taken", 422 = "invalid_coupon")
)]
pub fn create(Json(body): Json<NewCoupon>) -> Result<Created<StaffCoupon>, Problem> {
    let value = match body.kind {
        Kind::Percent if body.percent.is_none() => Some("/percent"),
        Kind::Fixed if body.amount.is_none_or(|amount| amount.amount() <= 0) => Some("/amount"),
        _ => None,
    };
    if let Some(pointer) = value {
        return Err(
            Problem::unprocessable("invalid_coupon", "The coupon takes nothing off.")
                .field(pointer, "is needed for this kind of coupon"),
        );
    }
    let amount = body.amount.filter(|_| body.kind == Kind::Fixed);
    let currencies = [amount, body.minimum].map(|money| money.map(Money::currency));
    if let [Some(of_amount), Some(of_minimum)] = currencies
        && of_amount != of_minimum
    {
        return Err(
            Problem::unprocessable("invalid_coupon", "Amount and minimum have different currencies.")
                .field("/minimum/currency", format!("must be {of_amount}")),
        );
    }
    let percent = body.percent.filter(|_| body.kind == Kind::Percent);
    let row: CouponRow = sql!(
        concat!(
            "insert into coupons (id, code, kind, numerator, denominator, amount, currency, minimum, starts_at, ends_at,
                 limit_total, limit_per_customer, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
             returning ", coupon_columns!()
        ),
        CouponId::new(),
        normalised(&body.code),
        body.kind,
        percent,
        percent.map(|_| 100),
        amount.map(Money::amount),
        currencies[0].or(currencies[1]),
        body.minimum.map(Money::amount),
        body.starts_at,
        body.ends_at,
        body.limit_total,
        body.limit_per_customer,
        clock::now()
    )
    .one()
    .on_constraint("coupons_code", || {
        Problem::conflict("code_taken", "There is a coupon with this code.").field("/code", "is taken")
    })?;
    Ok(Created {
        location: format!("/api/coupons/{}", row.id),
        body: row.into_answer()?,
    })
}

#[derive(Deserialize, JsonSchema)]
pub struct CouponListing {
    /// At most 100; 20 where nothing is said.
    #[schemars(range(min = 1, max = 100))]
    pub limit: Option<u32>,
    pub after: Option<Cursor>,
}

/// Lists coupons by code.
#[get("/api/coupons", access = staff("cart.read"), operation = "list_coupons", problems(422 = "invalid_cursor"))]
pub fn list(Query(query): Query<CouponListing>) -> Result<Json<Page<StaffCoupon>>, Problem> {
    let limit = query.limit.unwrap_or(20);
    let after = Cursor::read::<String>(&query.after)?.unwrap_or_default();
    let rows = sql!(
        concat!(
            "select ",
            coupon_columns!(),
            " from coupons where code > $1 order by code limit $2"
        ),
        after,
        limit + 1
    )
    .all::<CouponRow>()?;
    let page = Page::of(rows, limit, |row| Cursor::new(&row.code));
    let items = page
        .items
        .into_iter()
        .map(CouponRow::into_answer)
        .collect::<Result<_, _>>()?;
    Ok(Json(Page { items, next: page.next }))
}

#[derive(Deserialize, JsonSchema)]
pub struct CouponChange {
    pub active: bool,
}

/// Switches a coupon on or off. What it takes off can't be changed: make another.
#[patch(
    "/api/coupons/{id}",
    access = staff("cart.write"),
    operation = "change_coupon",
    problems(404 = "not_found")
)]
pub fn change(Path(id): Path<CouponId>, Json(body): Json<CouponChange>) -> Result<Json<StaffCoupon>, Problem> {
    let row = sql!(
        concat!(
            "update coupons set active = $2 where id = $1 returning ",
            coupon_columns!()
        ),
        id,
        body.active
    )
    .optional::<CouponRow>()?;
    let row = row.ok_or_else(|| Problem::not_found("not_found", "There is no such coupon."))?;
    Ok(Json(row.into_answer()?))
}
