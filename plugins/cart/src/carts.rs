//! Opening, reading, merging and expiring carts.

use commerce_sdk::money::Currency;
use commerce_sdk::prelude::*;

use crate::access::{CART_TOKEN, Holder, expiry, new_token, not_found, token_hash, touch};
use crate::answers::{Cart, answer};
use crate::coupons::MAX_COUPONS;
use crate::snapshot::Snapshot;
use crate::{CartId, Settings};

#[derive(Deserialize, JsonSchema)]
pub struct NewCart {
    /// Where nothing is said: the store's own, or that of the first thing put in, if it has no price in the store's own.
    pub currency: Option<Currency>,
    #[schemars(email, length(max = 254))]
    pub email: Option<String>,
}

/// Opens a cart. A signed-in customer gets the one that is open already; a guest's cart named by X-Cart-Token goes into it.
#[post(
    "/api/carts",
    access = public,
    headers("x-cart-token"),
    problems(409 = "state_changed", 422 = "unknown_currency", 422 = "amount_too_large")
)]
pub fn create(cx: &Context, Json(body): Json<NewCart>) -> Result<Created<Cart>, Problem> {
    let settings: Settings = settings()?;
    let store = store()?;
    let currency = body.currency.unwrap_or(store.currency);
    if store.exponent(currency).is_none() {
        return Err(
            Problem::unprocessable("unknown_currency", "The store has no prices in this currency.")
                .field("/currency", "must be one of the store's currencies"),
        );
    }
    let new = Opening {
        currency,
        currency_chosen: body.currency.is_some(),
        email: body.email.map(|email| email.trim().to_lowercase()),
    };
    let (id, token) = match cx.caller().account() {
        Some(account) => {
            let guest = match cx.header(CART_TOKEN) {
                Some(token) => open_guest_cart(&token_hash(token))?,
                None => None,
            };
            (customers_cart(account, guest, new, &settings)?, None)
        }
        None => {
            let token = new_token();
            let id = CartId::new();
            insert(&id, None, Some(&token_hash(&token)), new, &settings)?;
            (id, Some(token))
        }
    };
    let cart = Cart {
        token,
        ..answer(&id)?.0
    };
    Ok(Created {
        location: format!("/api/carts/{id}"),
        body: cart,
    })
}

/// What a new cart begins with.
struct Opening {
    currency: Currency,
    currency_chosen: bool,
    email: Option<String>,
}

fn insert(
    id: &CartId,
    account: Option<&str>,
    token_hash: Option<&str>,
    new: Opening,
    settings: &Settings,
) -> Result<u64, Problem> {
    let now = clock::now();
    // Somebody who opens a cart twice at once gets one: the second insert does nothing.
    let inserted = sql!(
        "insert into carts (id, account, open_account, token_hash, currency, currency_chosen, email, expires_at, created_at,
             updated_at)
         values ($1, $2, $2, $3, $4, $5, $6, $7, $8, $8)
         on conflict (open_account) do nothing",
        id,
        account,
        token_hash,
        new.currency,
        new.currency_chosen,
        new.email,
        expiry(now, settings),
        now
    )
    .execute()?;
    Ok(inserted)
}

fn open_guest_cart(token_hash: &str) -> Result<Option<CartId>, Problem> {
    let row = sql!(
        "select id from carts where token_hash = $1 and account is null and status = 'open' for update",
        token_hash
    )
    .optional::<(CartId,)>()?;
    Ok(row.map(|(id,)| id))
}

fn open_cart_of(account: &str) -> Result<Option<CartId>, Problem> {
    let row = sql!("select id from carts where open_account = $1 for update", account).optional::<(CartId,)>()?;
    Ok(row.map(|(id,)| id))
}

/// The customer's open cart, with what was in the guest's.
fn customers_cart(account: &str, guest: Option<CartId>, new: Opening, settings: &Settings) -> Result<CartId, Problem> {
    match (open_cart_of(account)?, guest) {
        (Some(own), Some(guest)) => {
            merge_into(&own, &guest, settings)?;
            Ok(own)
        }
        (Some(own), None) => Ok(own),
        (None, Some(guest)) => {
            // With nothing to merge into, the guest's cart itself becomes the customer's; its token is worth nothing then.
            let adopted = sql!(
                "update carts set account = $2, open_account = $2, token_hash = null, updated_at = $3, version = version + 1
                 where id = $1 and status = 'open' and account is null",
                guest, account, clock::now()
            )
            .execute()
            .on_constraint("open_account", opened_meanwhile)?;
            if adopted == 1 { Ok(guest) } else { Err(not_found()) }
        }
        (None, None) => {
            let id = CartId::new();
            if insert(&id, Some(account), None, new, settings)? == 1 {
                return Ok(id);
            }
            open_cart_of(account)?.ok_or_else(not_found)
        }
    }
}

/// A customer who signs in twice at once, with a cart each time.
fn opened_meanwhile() -> Problem {
    Problem::conflict(
        "state_changed",
        "Another cart of yours was opened meanwhile; ask again.",
    )
}

/// Adds the guest's lines to the customer's: quantities of the same variant add up to the rule, coupons come along. What
/// a cart has no room for is left behind: merging again and again must not make one that is too large to be read.
fn merge_into(own: &CartId, guest: &CartId, settings: &Settings) -> Result<(), Problem> {
    let now = clock::now();
    let (lines, coupons) = sql!(
        "select (select count(*) from lines where cart_id = $1) as lines,
             (select count(*) from cart_coupons where cart_id = $1) as coupons",
        own
    )
    .one::<(i64, i64)>()?;
    sql!(
        "update lines set quantity = least($3, lines.quantity + g.quantity)
         from (select variant_id, quantity from lines where cart_id = $2) as g
         where lines.cart_id = $1 and lines.variant_id = g.variant_id",
        own,
        guest,
        settings.max_quantity
    )
    .execute()?;
    sql!(
        "update lines set cart_id = $1
         where id in (
             select g.id from lines g
             where g.cart_id = $2 and g.variant_id not in (select o.variant_id from lines o where o.cart_id = $1)
             order by g.created_at, g.id limit $3)",
        own,
        guest,
        settings.max_lines - lines
    )
    .execute()?;
    sql!("delete from lines where cart_id = $1", guest).execute()?;
    sql!(
        "insert into cart_coupons (cart_id, coupon_id, added_at)
         select $1, g.coupon_id, g.added_at from cart_coupons g
         where g.cart_id = $2 and g.coupon_id not in (select o.coupon_id from cart_coupons o where o.cart_id = $1)
         order by g.added_at, g.coupon_id limit $3",
        own,
        guest,
        MAX_COUPONS - coupons
    )
    .execute()?;
    sql!(
        "update carts
         set address = coalesce(carts.address, g.address), email = coalesce(carts.email, g.email),
             currency = (case when carts.currency_chosen or $4 > 0 then carts.currency else g.currency end),
             updated_at = $3, version = carts.version + 1
         from (select address, email, currency from carts where id = $2) as g
         where carts.id = $1",
        own,
        guest,
        now,
        lines
    )
    .execute()?;
    sql!(
        "update carts set status = 'merged', updated_at = $2 where id = $1",
        guest,
        now
    )
    .execute()?;
    Ok(())
}

/// Merges a guest's cart into the signed-in customer's open one, which is the answer.
#[post(
    "/api/carts/{id}/merge",
    access = customer,
    headers("x-cart-token"),
    problems(404 = "not_found", 409 = "cart_closed", 409 = "state_changed", 422 = "amount_too_large")
)]
pub fn merge(cx: &Context, Path(id): Path<CartId>) -> Result<Json<Cart>, Problem> {
    let settings: Settings = settings()?;
    let account = cx.caller().account().ok_or_else(not_found)?;
    // The account's own carts are not merged: only the token's.
    let holder = Holder::new(None, cx.header(CART_TOKEN));
    let currency = touch(&id, &holder, &settings)?;
    let new = Opening {
        currency,
        currency_chosen: true,
        email: None,
    };
    answer(&customers_cart(account, Some(id), new, &settings)?)
}

/// Reads the signed-in customer's open cart.
#[get("/api/carts/current", access = customer, problems(404 = "not_found", 422 = "amount_too_large"))]
pub fn current(cx: &Context) -> Result<Json<Cart>, Problem> {
    let account = cx.caller().account().ok_or_else(not_found)?;
    let id = sql!("select id from carts where open_account = $1", account).optional::<(CartId,)>()?;
    answer(&id.ok_or_else(not_found)?.0)
}

/// Reads a cart, with totals of today's prices.
#[get(
    "/api/carts/{id}",
    access = public,
    headers("x-cart-token"),
    problems(404 = "not_found", 422 = "amount_too_large")
)]
pub fn show(cx: &Context, Path(id): Path<CartId>) -> Result<Json<Cart>, Problem> {
    Ok(Json(readable(cx, &id)?.priced(clock::now())?.cart))
}

/// The cart, where the caller is its holder, or staff who may read.
pub fn readable(cx: &Context, id: &CartId) -> Result<Snapshot, Problem> {
    let snapshot = Snapshot::by_id(id)?.ok_or_else(not_found)?;
    let holder = Holder::of(cx);
    let own = match &snapshot.account {
        Some(account) => holder.account.as_ref() == Some(account),
        None => snapshot.token_hash.is_some() && holder.token_hash == snapshot.token_hash,
    };
    if !(own || cx.caller().may("cart.read")) || snapshot.status == "merged" {
        return Err(not_found());
    }
    Ok(snapshot)
}

/// So many at a time, that no lock is held for long.
const BATCH: i64 = 500;

/// Closes carts that nobody touched for long, and forgets those that came to nothing as long again after that.
#[schedule("expire", cron = "*/5 * * * *")]
pub fn expire() -> Result<(), Problem> {
    let now = clock::now();
    // The outer condition again: a cart that was touched since it was picked goes on living.
    sql!(
        "update carts set status = 'expired', open_account = null, updated_at = $1
         where status = 'open' and expires_at < $1 and id in (
             select e.id from carts e where e.status = 'open' and e.expires_at < $1 order by e.expires_at limit $2)",
        now,
        BATCH
    )
    .execute()?;
    let settings: Settings = settings()?;
    for status in ["expired", "merged"] {
        sql!(
            "delete from carts where id in (
                 select e.id from carts e where e.status = $1 and e.expires_at < $2 order by e.expires_at limit $3)",
            status,
            now - settings.time_to_live(),
            BATCH
        )
        .execute()?;
    }
    Ok(())
}
