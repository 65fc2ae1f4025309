//! Checkout, payment and fulfilment.
//!
//! - [`checkout`] makes a transaction of a cart, in one database transaction with the cart and product plugins.
//! - [`state`] is the table of steps; [`steps`] takes one: locks the row, moves it, writes the history.
//! - [`payments`], [`cancel`], [`shipments`], [`refunds`] are the steps that staff, customers and time take.
//! - [`goods`] moves the stock that a purchase reserved.
//! - [`record`] reads a transaction with all that belongs to it in one statement; [`access`] says who may.
//! - [`functions`] is what other plugins may ask.

mod access;
mod cancel;
mod checkout;
mod functions;
mod goods;
mod listing;
mod payments;
mod record;
mod refunds;
mod shipments;
mod state;
mod steps;

use commerce_sdk::prelude::*;

id_type!(pub TransactionId = "txn");
id_type!(pub ItemId = "item");
id_type!(pub PaymentId = "pay");
id_type!(pub RefundId = "ref");
id_type!(pub ShipmentId = "ship");
id_type!(pub StepId = "step");

commerce_sdk::plugin! {
    routes: [
        checkout::create,
        listing::list,
        listing::show,
        listing::history,
        payments::confirm,
        cancel::cancel,
        refunds::refund,
        shipments::ship,
        shipments::deliver,
        shipments::take_back,
    ],
    functions: [functions::get, functions::extend],
    jobs: [payments::expire],
    publishes: {
        "created": steps::Stepped,
        "paid": steps::Stepped,
        "shipped": steps::Stepped,
        "delivered": steps::Stepped,
        "returned": steps::Stepped,
        "refunded": steps::Stepped,
        "completed": steps::Stepped,
        "cancelled": steps::Stepped,
        "expired": steps::Stepped,
    },
    permissions: {
        "transaction.read": "See all transactions of the store",
        "transaction.write": "Confirm payments, ship, cancel and refund",
    },
    settings: payments::Settings,
}
