//! Whose a cart is: an account's, or whoever's holds its token. Whoever has neither is told that there is no such cart.

use commerce_sdk::money::Currency;
use commerce_sdk::prelude::*;
use sha2::{Digest, Sha256};

use crate::{CartId, Settings};

pub const CART_TOKEN: &str = "x-cart-token";

/// How the caller may open carts.
pub struct Holder {
    pub account: Option<String>,
    pub token_hash: Option<String>,
}

impl Holder {
    pub fn of(cx: &Context) -> Self {
        Self::new(cx.caller().account(), cx.header(CART_TOKEN))
    }

    pub fn new(account: Option<&str>, token: Option<&str>) -> Self {
        Self {
            account: account.map(str::to_owned),
            token_hash: token.map(token_hash),
        }
    }
}

/// 256 bits, as the guest keeps them.
pub fn new_token() -> String {
    hex(&ids::random::<32>())
}

/// How a token is kept: a database that leaks opens no cart.
pub fn token_hash(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn not_found() -> Problem {
    Problem::not_found("not_found", "There is no such cart.")
}

pub fn closed() -> Problem {
    Problem::conflict("cart_closed", "The cart is closed; open a new one.")
}

/// Locks the caller's open cart for a change and moves its expiry, in one statement; answers its currency.
pub fn touch(id: &CartId, holder: &Holder, settings: &Settings) -> Result<Currency, Problem> {
    let now = clock::now();
    let touched = sql!(
        "update carts set updated_at = $4, expires_at = $5, version = version + 1
         where id = $1 and status = 'open' and (account = $2 or (account is null and token_hash = $3))
         returning currency",
        id,
        holder.account,
        holder.token_hash,
        now,
        expiry(now, settings)
    )
    .optional::<(Currency,)>()?;
    match touched {
        Some((currency,)) => Ok(currency),
        None => Err(why_not_open(id, holder)?),
    }
}

/// What to say of a cart that is not the caller's open one: closed to its holder, unknown to all others.
pub fn why_not_open(id: &CartId, holder: &Holder) -> Result<Problem, Problem> {
    let own = sql!(
        "select status from carts
         where id = $1 and (account = $2 or (account is null and token_hash = $3))",
        id,
        holder.account,
        holder.token_hash
    )
    .optional::<(String,)>()?;
    Ok(if own.is_some() { closed() } else { not_found() })
}

pub fn expiry(now: Timestamp, settings: &Settings) -> Timestamp {
    now + settings.time_to_live()
}
