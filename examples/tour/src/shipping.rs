//! Providing a service.

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

/// One flat rate, where the store has set one in the cart's currency.
#[function(reads)]
pub fn rates(parcel: Parcel) -> Result<Rates, Problem> {
    let price = settings::<crate::Settings>()?.shipping_price;
    let price = price.filter(|price| price.currency() == parcel.subtotal.currency());
    let rates = price.map(|price| ShippingRate {
        id: "flat".to_owned(),
        name: "Flat".to_owned(),
        price,
    });
    Ok(Rates {
        rates: rates.into_iter().collect(),
    })
}
