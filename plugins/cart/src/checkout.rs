//! Closing a cart for a purchase. The transaction plugin calls this inside its own unit of work: stock, coupons and the
//! cart's state change together with the transaction, or not at all.

use commerce_sdk::money::Currency;
use commerce_sdk::prelude::*;
use serde_json::{Value, json};

use crate::CartId;
use crate::access::{Holder, why_not_open};
use crate::answers::Item;
use crate::coupons::{Buyer, redeem, refused};
use crate::shipping::Quote;
use crate::snapshot::Snapshot;
use crate::totals::{AppliedDiscount, TaxLine, Totals};

#[derive(Deserialize, JsonSchema)]
pub struct Checkout {
    pub cart_id: String,
    /// The guest's, where the cart is a guest's. Whose account it is, the kernel says.
    pub cart_token: Option<String>,
    /// What the purchase is called; stock and coupons are kept under it.
    pub reference: String,
    pub email: String,
}

/// Everything the customer agrees to, computed now.
#[derive(Serialize, JsonSchema)]
pub struct CheckedOut {
    pub currency: Currency,
    pub items: Vec<Item>,
    pub totals: Totals,
    pub discounts: Vec<AppliedDiscount>,
    pub tax_lines: Vec<TaxLine>,
    pub shipping_address: Option<Value>,
    pub shipping_rate: Option<Quote>,
    pub account: Option<String>,
}

/// Closes the cart, reserves its stock, uses its coupons up, and answers what is to be paid.
#[function]
pub fn checkout(cx: &Context, ask: Checkout) -> Result<CheckedOut, Problem> {
    let id: CartId = ask.cart_id.parse().map_err(|_| crate::access::not_found())?;
    let holder = Holder::new(cx.caller().account(), ask.cart_token.as_deref());
    let now = clock::now();
    let email = ask.email.trim().to_lowercase();
    // A guest's cart that is checked out by somebody signed in is their purchase. Not so by staff, who do it for others.
    let buyer = cx.caller().account().filter(|_| !cx.caller().is_staff());
    // Locks the cart and closes it in one statement: of two checkouts of one cart, the second finds it closed.
    let closed = sql!(
        "update carts set status = 'ordered', open_account = null, account = coalesce(account, $7), reference = $4,
             email = $5, updated_at = $6
         where id = $1 and status = 'open' and (account = $2 or (account is null and token_hash = $3))",
        id,
        holder.account,
        holder.token_hash,
        ask.reference,
        email,
        now,
        buyer
    )
    .execute()?;
    if closed == 0 {
        return Err(why_not_open(&id, &holder)?);
    }
    let snapshot = Snapshot::by_id(&id)?.ok_or_else(crate::access::not_found)?;
    let account = snapshot.account.clone();
    let priced = snapshot.priced(now)?;
    let cart = priced.cart;
    if let Some(line) = cart.unavailable.first() {
        return Err(
            Problem::unprocessable("variant_unavailable", "Something in the cart is not sold any more.")
                .field(format!("/items/{}", line.variant_id), "can't be bought"),
        );
    }
    if cart.items.is_empty() {
        return Err(Problem::unprocessable("cart_empty", "There is nothing in the cart."));
    }
    if cart.items.iter().any(|item| item.requires_shipping) {
        if cart.shipping_address.is_none() {
            return Err(Problem::unprocessable(
                "shipping_address_required",
                "Set the shipping address first.",
            ));
        }
        if cart.shipping_rate.is_none() {
            return Err(Problem::unprocessable(
                "shipping_rate_required",
                "Choose a shipping rate first.",
            ));
        }
    }
    // A coupon that stopped applying after it was added would change the total behind the customer's back.
    if let Some(problem) = cart.coupons.iter().find_map(|coupon| coupon.problem) {
        return Err(refused(problem));
    }
    let lines: Vec<Value> = cart
        .items
        .iter()
        .map(|item| json!({ "variant_id": item.variant_id, "quantity": item.quantity }))
        .collect();
    plugins::call::<Value>(
        "product",
        "reserve",
        &json!({ "reference": ask.reference, "lines": lines }),
    )?;
    let buyer = Buyer {
        account: account.as_deref(),
        email: &email,
    };
    // In the order of their ids, as every lock here is taken, so that two checkouts can't wait for each other.
    let mut coupons = priced.redeemable;
    coupons.sort_by(|a, b| a.id.as_ref().cmp(b.id.as_ref()));
    for coupon in &coupons {
        redeem(coupon, &buyer, &ask.reference, now)?;
    }
    Ok(CheckedOut {
        currency: cart.currency,
        items: cart.items,
        totals: cart.totals,
        discounts: cart.discounts,
        tax_lines: cart.tax_lines,
        shipping_address: cart.shipping_address,
        shipping_rate: cart.shipping_rate,
        account,
    })
}
