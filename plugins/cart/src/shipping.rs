//! Where a cart goes and what that costs. Prices come from the providers of `shipping@1` and are asked for at every
//! reading; the cart keeps only which rate was chosen.

use commerce_sdk::prelude::*;
use commerce_sdk::sql::JsonColumn;
use serde_json::{Value, json};

use crate::CartId;
use crate::access::{Holder, touch};
use crate::answers::{Cart, answer};
use crate::carts::readable;
use crate::priced::{list, offered, price_lines};
use crate::snapshot::Bought;
use crate::totals::subtotal;

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Address {
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    #[schemars(length(min = 1, max = 40))]
    pub phone: String,
    #[schemars(length(min = 1, max = 300))]
    pub line1: String,
    #[schemars(length(max = 300))]
    pub line2: Option<String>,
    #[schemars(length(max = 120))]
    pub district: Option<String>,
    #[schemars(length(min = 1, max = 120))]
    pub city: String,
    #[schemars(length(max = 120))]
    pub province: String,
    #[schemars(length(min = 1, max = 20))]
    pub postal_code: String,
    /// ISO 3166-1 alpha-2.
    #[schemars(regex(pattern = "^[A-Z]{2}$"))]
    pub country: String,
    #[schemars(range(min = -90, max = 90))]
    pub latitude: Option<f64>,
    #[schemars(range(min = -180, max = 180))]
    pub longitude: Option<f64>,
    #[schemars(length(max = 500))]
    pub notes: Option<String>,
}

/// A way of bringing the cart to its address.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "ShippingQuote")]
pub struct Quote {
    /// What to choose it by.
    pub id: String,
    pub provider: String,
    pub name: String,
    pub price: Money,
    /// Estimated days until it arrives.
    pub min_days: Option<i64>,
    pub max_days: Option<i64>,
}

#[derive(Deserialize)]
struct Rates {
    rates: Vec<Rate>,
}

#[derive(Deserialize)]
struct Rate {
    id: String,
    name: String,
    price: Money,
    min_days: Option<i64>,
    max_days: Option<i64>,
}

/// Sets where the cart goes. A rate chosen before is kept if it is still offered there.
#[put(
    "/api/carts/{id}/shipping-address",
    access = public,
    headers("x-cart-token"),
    problems(404 = "not_found", 409 = "cart_closed", 422 = "amount_too_large")
)]
pub fn set_address(cx: &Context, Path(id): Path<CartId>, Json(address): Json<Address>) -> Result<Json<Cart>, Problem> {
    touch(&id, &Holder::of(cx), &settings()?)?;
    sql!("update carts set address = $2 where id = $1", id, JsonColumn(address)).execute()?;
    answer(&id)
}

/// Lists what the providers offer for the cart's address.
#[get(
    "/api/carts/{id}/shipping-rates",
    access = public,
    headers("x-cart-token"),
    problems(404 = "not_found", 422 = "shipping_address_required", 422 = "amount_too_large")
)]
pub fn rates(cx: &Context, Path(id): Path<CartId>) -> Result<Json<Page<Quote>>, Problem> {
    let snapshot = readable(cx, &id)?;
    let Some(JsonColumn(address)) = snapshot.address else {
        return Err(Problem::unprocessable(
            "shipping_address_required",
            "Set the shipping address first.",
        ));
    };
    let offers = list(snapshot.offers);
    let (bought, _) = offered(list(snapshot.lines), &offers);
    let goods = subtotal(snapshot.currency, &price_lines(snapshot.currency, &bought)?)?;
    let mut items = Vec::new();
    for provider in plugins::providers("shipping@1")? {
        items.extend(quotes(&provider, &address, &bought, goods)?);
    }
    Ok(Json(Page { items, next: None }))
}

#[derive(Deserialize, JsonSchema)]
pub struct RateChoice {
    #[schemars(length(min = 1, max = 200))]
    pub rate_id: String,
}

/// Chooses one of the rates.
#[put(
    "/api/carts/{id}/shipping-rate",
    access = public,
    headers("x-cart-token"),
    problems(
        404 = "not_found", 409 = "cart_closed", 422 = "shipping_address_required", 422 = "shipping_rate_unavailable",
        422 = "amount_too_large"
    )
)]
pub fn choose(cx: &Context, Path(id): Path<CartId>, Json(choice): Json<RateChoice>) -> Result<Json<Cart>, Problem> {
    touch(&id, &Holder::of(cx), &settings()?)?;
    sql!("update carts set rate_id = $2 where id = $1", id, choice.rate_id).execute()?;
    let cart = answer(&id)?;
    if cart.0.shipping_address.is_none() {
        return Err(Problem::unprocessable(
            "shipping_address_required",
            "Set the shipping address first.",
        ));
    }
    if cart.0.shipping_rate.is_none() {
        return Err(
            Problem::unprocessable("shipping_rate_unavailable", "This rate is not offered for the cart.")
                .field("/rate_id", "is not one of the cart's shipping rates"),
        );
    }
    Ok(cart)
}

/// The chosen rate at today's price; none where its provider does not offer it any more.
pub fn quote(rate_id: &str, address: &Value, bought: &[Bought], subtotal: Money) -> Result<Option<Quote>, Problem> {
    let Some((provider, _)) = rate_id.split_once(':') else {
        return Ok(None);
    };
    // The name came from a client: only what is a provider of this store is called.
    if !plugins::providers("shipping@1")?.iter().any(|known| known == provider) {
        return Ok(None);
    }
    Ok(quotes(provider, address, bought, subtotal)?
        .into_iter()
        .find(|quote| quote.id == rate_id))
}

fn quotes(provider: &str, address: &Value, bought: &[Bought], subtotal: Money) -> Result<Vec<Quote>, Problem> {
    let items: Vec<Value> = bought
        .iter()
        .filter(|(_, offer)| offer.requires_shipping)
        .map(|(line, offer)| {
            json!({
                "variant_id": line.variant_id,
                "quantity": line.quantity,
                "weight_g": offer.weight_g,
                "price": { "amount": offer.amount, "currency": subtotal.currency() },
            })
        })
        .collect();
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let ask = json!({ "address": address, "items": items, "subtotal": subtotal });
    let answer: Rates = plugins::provider("shipping@1", provider, "rates", &ask)?;
    // Whatever a provider says: the cart's currency only, and nobody is paid for a parcel.
    let offered = answer
        .rates
        .into_iter()
        .filter(|rate| rate.price.currency() == subtotal.currency() && rate.price.amount() >= 0);
    Ok(offered
        .map(|rate| Quote {
            id: format!("{provider}:{}", rate.id),
            provider: provider.to_owned(),
            name: rate.name,
            price: rate.price,
            min_days: rate.min_days,
            max_days: rate.max_days,
        })
        .collect())
}
