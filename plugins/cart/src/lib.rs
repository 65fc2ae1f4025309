//! What a customer is about to buy.
//!
//! - [`carts`] opens, reads and merges carts; [`access`] says whose a cart is.
//! - [`lines`], [`shipping`], [`coupons`] are what a customer changes; each answers the whole cart.
//! - [`snapshot`] reads a cart with everything its totals depend on in one statement; [`priced`] makes the answer of it,
//!   asking [`shipping`] and [`pricing`] for what other plugins say; [`totals`] computes, and is pure.
//! - [`checkout`] closes a cart for the transaction plugin. [`taxes`] and [`coupons`] keep what staff set up.

mod access;
mod answers;
mod carts;
mod checkout;
mod coupons;
mod extensions;
mod lines;
mod priced;
mod pricing;
mod shipping;
mod snapshot;
mod taxes;
mod totals;

use commerce_sdk::prelude::*;

id_type!(pub CartId = "cart");
id_type!(pub LineId = "line");
id_type!(pub CouponId = "cpn");
id_type!(pub TaxRateId = "tax");

commerce_sdk::plugin! {
    routes: [
        carts::create,
        carts::current,
        carts::show,
        carts::merge,
        lines::add,
        lines::change,
        lines::remove,
        shipping::set_address,
        shipping::rates,
        shipping::choose,
        coupons::apply,
        coupons::withdraw,
        coupons::staff::create,
        coupons::staff::list,
        coupons::staff::change,
        taxes::create,
        taxes::list,
        taxes::remove,
    ],
    functions: [checkout::checkout, coupons::release_coupons, extensions::extend],
    schedules: [carts::expire],
    permissions: {
        "cart.read": "See carts, coupons and tax rates",
        "cart.write": "Manage coupons and tax rates",
    },
    settings: Settings,
}

/// What a store's staff set.
#[derive(Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// The largest quantity of one line.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_quantity: i64,
    #[schemars(range(min = 1, max = 500))]
    pub max_lines: i64,
    /// How long a cart that nobody touches is kept.
    #[schemars(range(min = 1, max = 365))]
    pub days_to_live: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_quantity: 999,
            max_lines: 100,
            days_to_live: 30,
        }
    }
}

impl Settings {
    pub fn time_to_live(&self) -> Duration {
        Duration::from_secs(u64::from(self.days_to_live) * 24 * 3600)
    }
}
