//! Providing a service, and calling the providers of another one.

use commerce_sdk::prelude::*;

/// What the contract `shipping@1` gives, as far as a flat rate looks at it.
#[derive(Deserialize, JsonSchema)]
pub struct Parcel {
    subtotal: Money,
}

#[derive(Serialize, JsonSchema)]
pub struct Rates {
    rates: Vec<ShippingRate>,
}

#[derive(Serialize, JsonSchema)]
struct ShippingRate {
    id: String,
    name: String,
    price: Money,
}

/// One flat rate, less what every `pricing@1` provider takes off.
#[function(reads)]
pub fn rates(parcel: Parcel) -> Result<Rates, Problem> {
    let settings = settings::<crate::Settings>()?;
    let mut price = settings
        .shipping_price
        .unwrap_or(Money::zero(parcel.subtotal.currency()));
    for provider in plugins::providers("pricing@1")? {
        let off: Money = plugins::provider("pricing@1", &provider, "shipping_discount", &price)?;
        price = price.minus_at_most(off)?;
    }
    Ok(Rates {
        rates: vec![ShippingRate {
            id: "flat".to_owned(),
            name: "Flat".to_owned(),
            price,
        }],
    })
}
