//! Coupons as staff make them and see them.

use commerce_sdk::money::Currency;
use commerce_sdk::prelude::*;

use super::{Kind, normalised};
use crate::CouponId;

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
    let code = normalised(&body.code);
    // Customers take it off by its path.
    if code.contains('/') || code.chars().all(|letter| letter == '.') {
        return Err(
            Problem::unprocessable("invalid_coupon", "The coupon's code can't be used.")
                .field("/code", "is empty, nothing but points, or has a slash"),
        );
    }
    if let (Some(start), Some(end)) = (body.starts_at, body.ends_at)
        && start >= end
    {
        return Err(
            Problem::unprocessable("invalid_coupon", "The coupon ends before it begins.")
                .field("/ends_at", "is not after starts_at"),
        );
    }
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
    let store = store()?;
    if let Some(foreign) = currencies
        .into_iter()
        .flatten()
        .find(|currency| store.exponent(*currency).is_none())
    {
        return Err(
            Problem::unprocessable("invalid_coupon", "The coupon could never be used.")
                .field("/amount/currency", format!("{foreign} is not a currency of this store")),
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
        code,
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
    .on_constraint("code", || {
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
