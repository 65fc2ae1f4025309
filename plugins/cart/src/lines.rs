//! What is in a cart. One line per variant; every change answers the whole cart.

use commerce_sdk::money::Currency;
use commerce_sdk::prelude::*;

use crate::access::{Holder, not_found, touch};
use crate::answers::{Cart, answer};
use crate::{CartId, LineId, Settings};

#[derive(Deserialize, JsonSchema)]
pub struct NewLine {
    #[schemars(length(max = 64))]
    pub variant_id: String,
    #[schemars(range(min = 1, max = 1_000_000))]
    pub quantity: i64,
}

/// Adds a variant, or more of it where it is in the cart already.
#[post(
    "/api/carts/{id}/items",
    access = public,
    headers("x-cart-token"),
    problems(
        404 = "not_found", 409 = "cart_closed", 409 = "out_of_stock", 422 = "variant_unavailable",
        422 = "quantity_too_large", 422 = "too_many_lines", 422 = "amount_too_large"
    )
)]
pub fn add(cx: &Context, Path(id): Path<CartId>, Json(body): Json<NewLine>) -> Result<Json<Cart>, Problem> {
    let settings: Settings = settings()?;
    let currency = touch(&id, &Holder::of(cx), &settings)?;
    let quantity = match put_in(&id, &body, currency)? {
        None => match follow_currency(&id, &body.variant_id)? {
            Some(currency) => put_in(&id, &body, currency)?,
            None => None,
        },
        added => added,
    };
    let Some(quantity) = quantity else {
        return Err(
            Problem::unprocessable("variant_unavailable", "The variant is not sold here.").field(
                "/variant_id",
                "is not a variant that can be bought in the cart's currency",
            ),
        );
    };
    check_quantity(quantity, &settings)?;
    let cart = answer(&id)?;
    if (cart.0.items.len() + cart.0.unavailable.len()) as i64 > settings.max_lines {
        return Err(Problem::unprocessable("too_many_lines", "The cart is full.").field(
            "/variant_id",
            format!("a cart has at most {} lines", settings.max_lines),
        ));
    }
    check_stock(&cart.0, &body.variant_id)?;
    Ok(cart)
}

/// How many there are then; none where the variant is not sold in this currency.
fn put_in(cart: &CartId, line: &NewLine, currency: Currency) -> Result<Option<i64>, Problem> {
    let row = sql!(
        "insert into lines (id, cart_id, variant_id, quantity, created_at)
         select $1, $2, s.variant_id, $4, $5 from product.sellable s
         where s.variant_id = $3 and s.currency = $6 and s.status = 'active'
         on conflict (cart_id, variant_id) do update set quantity = lines.quantity + excluded.quantity
         returning quantity",
        LineId::new(),
        cart,
        line.variant_id,
        line.quantity,
        clock::now(),
        currency
    )
    .optional::<(i64,)>()?;
    Ok(row.map(|(quantity,)| quantity))
}

/// Turns an empty cart, for which nobody named a currency, to one of the store's that the variant is priced in.
fn follow_currency(cart: &CartId, variant: &str) -> Result<Option<Currency>, Problem> {
    let priced = sql!(
        "select s.currency from product.sellable s where s.variant_id = $1 and s.status = 'active'",
        variant
    )
    .scalars::<Currency>()?;
    let mut currencies = store()?.currencies.into_iter().map(|facts| facts.code);
    let Some(currency) = currencies.find(|currency| priced.contains(currency)) else {
        return Ok(None);
    };
    let followed = sql!(
        "update carts set currency = $2
         where id = $1 and not currency_chosen and id not in (select l.cart_id from lines l where l.cart_id = $1)",
        cart,
        currency
    )
    .execute()?;
    Ok((followed == 1).then_some(currency))
}

#[derive(Deserialize, JsonSchema)]
pub struct LineChange {
    /// 0 removes the line.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub quantity: i64,
}

/// Changes how many.
#[patch(
    "/api/carts/{id}/items/{item_id}",
    access = public,
    headers("x-cart-token"),
    problems(
        404 = "not_found", 409 = "cart_closed", 409 = "out_of_stock", 422 = "quantity_too_large",
        422 = "amount_too_large"
    )
)]
pub fn change(
    cx: &Context,
    Path(id): Path<CartId>,
    Path(item_id): Path<LineId>,
    Json(body): Json<LineChange>,
) -> Result<Json<Cart>, Problem> {
    let settings: Settings = settings()?;
    touch(&id, &Holder::of(cx), &settings)?;
    if body.quantity == 0 {
        delete(&id, &item_id)?;
        return answer(&id);
    }
    check_quantity(body.quantity, &settings)?;
    let variant = sql!(
        "update lines set quantity = $3 where id = $1 and cart_id = $2 returning variant_id",
        item_id,
        id,
        body.quantity
    )
    .optional::<(String,)>()?
    .ok_or_else(no_such_line)?;
    let cart = answer(&id)?;
    check_stock(&cart.0, &variant.0)?;
    Ok(cart)
}

/// Removes a line.
#[delete(
    "/api/carts/{id}/items/{item_id}",
    access = public,
    headers("x-cart-token"),
    problems(404 = "not_found", 409 = "cart_closed", 422 = "amount_too_large")
)]
pub fn remove(cx: &Context, Path(id): Path<CartId>, Path(item_id): Path<LineId>) -> Result<Json<Cart>, Problem> {
    touch(&id, &Holder::of(cx), &settings()?)?;
    delete(&id, &item_id)?;
    answer(&id)
}

fn delete(id: &CartId, line: &LineId) -> Result<(), Problem> {
    match sql!("delete from lines where id = $1 and cart_id = $2", line, id).execute()? {
        0 => Err(no_such_line()),
        _ => Ok(()),
    }
}

fn no_such_line() -> Problem {
    Problem {
        detail: "The cart has no such item.".to_owned(),
        ..not_found()
    }
}

fn check_quantity(quantity: i64, settings: &Settings) -> Result<(), Problem> {
    if quantity <= settings.max_quantity {
        return Ok(());
    }
    Err(
        Problem::unprocessable("quantity_too_large", "That is more than one purchase may have.")
            .field("/quantity", format!("must be at most {}", settings.max_quantity)),
    )
}

/// Nothing is reserved by a cart; this only tells early what checkout would refuse.
fn check_stock(cart: &Cart, variant_id: &str) -> Result<(), Problem> {
    let Some(item) = cart.items.iter().find(|item| item.variant_id == variant_id) else {
        return Ok(());
    };
    if !item.limited || item.quantity <= item.available {
        return Ok(());
    }
    Err(Problem::conflict("out_of_stock", "There are not that many left.")
        .field("/quantity", format!("must be at most {}", item.available.max(0)))
        .with("available", item.available.max(0)))
}
