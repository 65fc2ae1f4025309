//! Shipping prices from a table that the store's staff keep in the settings: the first zone that fits the address, the
//! first step that fits the weight. It has no table of its own and talks to nobody.

use commerce_sdk::money::Currency;
use commerce_sdk::prelude::*;

commerce_sdk::plugin! {
    provides: { "shipping@1": [rates] },
    settings: Settings,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// Looked at from the top; the first that fits the address counts.
    pub zones: Vec<Zone>,
    /// What one parcel costs where no zone fits and none is set, by currency.
    pub fallback: Vec<Money>,
}

impl Default for Settings {
    fn default() -> Self {
        let fallback = [(20_000, "IDR"), (900, "USD"), (900, "EUR"), (900, "SGD")];
        let money = |(amount, code): (i64, &str)| Money::new(amount, code.parse::<Currency>().ok()?).ok();
        Self {
            zones: Vec::new(),
            fallback: fallback.into_iter().filter_map(money).collect(),
        }
    }
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Zone {
    /// Stable: carts keep it.
    #[schemars(regex(pattern = "^[a-z0-9_-]{1,40}$"))]
    pub id: String,
    pub name: String,
    /// ISO 3166-1 alpha-2; every country where it is empty.
    #[serde(default)]
    pub countries: Vec<String>,
    /// Every province where it is empty.
    #[serde(default)]
    pub provinces: Vec<String>,
    /// By weight, the lightest first.
    pub steps: Vec<Step>,
    /// From this subtotal on it costs nothing.
    pub free_from: Option<Money>,
    pub min_days: Option<u32>,
    pub max_days: Option<u32>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub struct Step {
    /// Up to and with this weight; any weight where nothing is said.
    pub up_to_g: Option<i64>,
    pub price: Money,
}

/// What `shipping@1` tells, as far as it matters here.
#[derive(Deserialize, JsonSchema)]
pub struct Parcel {
    address: Address,
    items: Vec<Item>,
    subtotal: Money,
}

#[derive(Deserialize, JsonSchema)]
struct Address {
    country: String,
    #[serde(default)]
    province: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Item {
    quantity: i64,
    weight_g: i64,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct Rates {
    rates: Vec<ShippingRate>,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct ShippingRate {
    id: String,
    name: String,
    price: Money,
    min_days: Option<u32>,
    max_days: Option<u32>,
}

/// The rate of the first zone that fits; none where the store does not deliver there.
#[function(reads)]
pub fn rates(parcel: Parcel) -> Result<Rates, Problem> {
    Ok(Rates {
        rates: settings::<Settings>()?.rate_for(&parcel).into_iter().collect(),
    })
}

impl Settings {
    fn rate_for(&self, parcel: &Parcel) -> Option<ShippingRate> {
        let currency = parcel.subtotal.currency();
        if self.zones.is_empty() {
            let price = *self.fallback.iter().find(|price| price.currency() == currency)?;
            let name = "Standard shipping".to_owned();
            return Some(ShippingRate {
                id: "standard".to_owned(),
                name,
                price,
                min_days: None,
                max_days: None,
            });
        }
        let zone = self.zones.iter().find(|zone| zone.delivers_to(&parcel.address))?;
        let price = zone.price(parcel.weight_g(), parcel.subtotal)?;
        Some(ShippingRate {
            id: zone.id.clone(),
            name: zone.name.clone(),
            price,
            min_days: zone.min_days,
            max_days: zone.max_days,
        })
    }
}

impl Parcel {
    fn weight_g(&self) -> i64 {
        self.items.iter().fold(0, |sum: i64, item| {
            sum.saturating_add(item.weight_g.saturating_mul(item.quantity))
        })
    }
}

impl Zone {
    fn delivers_to(&self, address: &Address) -> bool {
        let among = |list: &[String], value: &str| {
            list.is_empty() || list.iter().any(|one| one.trim().eq_ignore_ascii_case(value.trim()))
        };
        among(&self.countries, &address.country)
            && among(&self.provinces, address.province.as_deref().unwrap_or_default())
    }

    fn price(&self, weight_g: i64, subtotal: Money) -> Option<Money> {
        let currency = subtotal.currency();
        let free = self
            .free_from
            .is_some_and(|from| from.currency() == currency && subtotal.amount() >= from.amount());
        if free {
            return Some(Money::zero(currency));
        }
        let fits = |step: &&Step| step.price.currency() == currency && step.up_to_g.is_none_or(|most| weight_g <= most);
        self.steps.iter().find(fits).map(|step| step.price)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn settings() -> Settings {
        serde_json::from_value(json!({
            "zones": [
                { "id": "jakarta", "name": "Jakarta", "countries": ["ID"], "provinces": ["DKI Jakarta"],
                  "steps": [{ "up_to_g": 1000, "price": { "amount": 10000, "currency": "IDR" } },
                            { "price": { "amount": 25000, "currency": "IDR" } }],
                  "free_from": { "amount": 500000, "currency": "IDR" } },
                { "id": "indonesia", "name": "Indonesia", "countries": ["ID"],
                  "steps": [{ "up_to_g": 5000, "price": { "amount": 40000, "currency": "IDR" } }] },
            ],
        }))
        .unwrap()
    }

    fn parcel(country: &str, province: &str, weight_g: i64, subtotal: i64) -> Parcel {
        serde_json::from_value(json!({
            "address": { "country": country, "province": province },
            "items": [{ "quantity": 2, "weight_g": weight_g / 2 }],
            "subtotal": { "amount": subtotal, "currency": "IDR" },
        }))
        .unwrap()
    }

    fn price(parcel: &Parcel) -> Option<(String, i64)> {
        settings().rate_for(parcel).map(|rate| (rate.id, rate.price.amount()))
    }

    #[test]
    fn the_first_zone_and_step_that_fit_count() {
        assert_eq!(
            price(&parcel("ID", "dki jakarta", 1000, 1)),
            Some(("jakarta".to_owned(), 10_000))
        );
        assert_eq!(
            price(&parcel("ID", "DKI Jakarta", 1002, 1)),
            Some(("jakarta".to_owned(), 25_000))
        );
        assert_eq!(
            price(&parcel("ID", "Bali", 1000, 1)),
            Some(("indonesia".to_owned(), 40_000))
        );
    }

    #[test]
    fn a_large_purchase_is_delivered_free() {
        assert_eq!(
            price(&parcel("ID", "DKI Jakarta", 9000, 500_000)),
            Some(("jakarta".to_owned(), 0))
        );
    }

    #[test]
    fn where_nothing_fits_nothing_is_offered() {
        assert_eq!(price(&parcel("SG", "", 1000, 1)), None);
        assert_eq!(price(&parcel("ID", "Bali", 6000, 1)), None);
    }

    #[test]
    fn a_store_without_zones_delivers_for_one_price() {
        let rate = Settings::default().rate_for(&parcel("ID", "Bali", 1000, 1)).unwrap();
        assert_eq!((rate.id.as_str(), rate.price.amount()), ("standard", 20_000));
    }
}
