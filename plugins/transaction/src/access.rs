//! Who may see a transaction. Whoever may not is told that there is none.

use commerce_sdk::prelude::*;
use sha2::{Digest, Sha256};

use crate::record::Record;

pub const CART_TOKEN: &str = "x-cart-token";

/// How a guest's token is kept: a database that leaks gives no transaction away.
pub fn token_hash(token: &str) -> String {
    Sha256::digest(token.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

pub fn not_found() -> Problem {
    Problem::not_found("not_found", "There is no such transaction.")
}

/// Whether the caller is the buyer: the account it belongs to, or the guest who holds the cart's token.
pub fn is_buyer(record: &Record, cx: &Context) -> bool {
    let account = cx.caller().account();
    if record.account.is_some() {
        return record.account.as_deref() == account;
    }
    let holds_token = match (&record.guest_token_hash, cx.header(CART_TOKEN)) {
        (Some(hash), Some(token)) => *hash == token_hash(token),
        _ => false,
    };
    // A guest's purchase joins an account by its verified address only; anyone can claim an unverified one.
    holds_token || cx.caller().verified_email().is_some_and(|email| email == record.email)
}

/// The record, where the caller is staff who may read, or the buyer.
pub fn readable(record: Option<Record>, cx: &Context) -> Result<Record, Problem> {
    record
        .filter(|record| cx.caller().may("transaction.read") || is_buyer(record, cx))
        .ok_or_else(not_found)
}

/// What the history calls the caller.
pub fn actor(cx: &Context) -> String {
    let caller = cx.caller();
    match (caller.account(), caller.plugin()) {
        (Some(account), _) => account.to_owned(),
        (None, Some(plugin)) => format!("plugin:{plugin}"),
        (None, None) if caller.is_staff() => "staff".to_owned(),
        (None, None) => "guest".to_owned(),
    }
}
