//! Amounts: integers of a currency's minor unit, never floats, within what a JSON number holds exactly.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::problem::Problem;

/// 2^53-1: JavaScript clients read larger numbers wrongly, so larger amounts are refused.
pub const MAX_AMOUNT: i64 = (1 << 53) - 1;

/// ISO 4217: three upper-case letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("made of ASCII letters")
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(letters) if letters.iter().all(u8::is_ascii_uppercase) => Ok(Self(letters)),
            _ => Err(MoneyError::Currency),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for Currency {
    fn schema_name() -> Cow<'static, str> {
        "Currency".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Z]{3}$" })
    }
}

/// `{"amount": 150000, "currency": "IDR"}`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Money {
    amount: i64,
    currency: Currency,
}

#[derive(Deserialize)]
struct Unchecked {
    amount: i64,
    currency: Currency,
}

impl TryFrom<Unchecked> for Money {
    type Error = MoneyError;

    fn try_from(money: Unchecked) -> Result<Self, MoneyError> {
        Self::new(money.amount, money.currency)
    }
}

impl Money {
    pub fn new(amount: i64, currency: Currency) -> Result<Self, MoneyError> {
        if amount.unsigned_abs() > MAX_AMOUNT as u64 {
            return Err(MoneyError::TooLarge);
        }
        Ok(Self { amount, currency })
    }

    pub const fn zero(currency: Currency) -> Self {
        Self { amount: 0, currency }
    }

    /// In minor units.
    pub const fn amount(self) -> i64 {
        self.amount
    }

    pub const fn currency(self) -> Currency {
        self.currency
    }

    pub const fn is_zero(self) -> bool {
        self.amount == 0
    }

    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        // Two amounts within the bound can't overflow.
        Self::new(self.amount + self.same_currency(other)?, self.currency)
    }

    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        Self::new(self.amount - self.same_currency(other)?, self.currency)
    }

    pub fn times(self, count: i64) -> Result<Self, MoneyError> {
        Self::new(
            self.amount.checked_mul(count).ok_or(MoneyError::TooLarge)?,
            self.currency,
        )
    }

    /// Never less than zero: what is left of a price after a discount.
    pub fn minus_at_most(self, other: Self) -> Result<Self, MoneyError> {
        Self::new((self.amount - self.same_currency(other)?).max(0), self.currency)
    }

    pub fn sum(currency: Currency, amounts: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        amounts.into_iter().try_fold(Self::zero(currency), Self::plus)
    }

    /// Splits by weights into parts that add up to the whole: each part is cut down, and the units that are left go one
    /// each to the parts that lost most, the earlier first. Without any weight the first part takes all.
    pub fn split(self, weights: &[u64]) -> Vec<Self> {
        let total: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
        let part = |amount: i64| Self {
            amount,
            currency: self.currency,
        };
        if total == 0 {
            return (0..weights.len())
                .map(|at| part(if at == 0 { self.amount } else { 0 }))
                .collect();
        }
        let (whole, sign) = (u128::from(self.amount.unsigned_abs()), self.amount.signum());
        let shares = weights
            .iter()
            .map(|&weight| (whole * u128::from(weight) / total, whole * u128::from(weight) % total));
        let (mut parts, losses): (Vec<u128>, Vec<u128>) = shares.unzip();
        let left = whole - parts.iter().sum::<u128>();
        let mut by_loss: Vec<usize> = (0..parts.len()).collect();
        by_loss.sort_by_key(|&at| (std::cmp::Reverse(losses[at]), at));
        by_loss.into_iter().take(left as usize).for_each(|at| parts[at] += 1);
        parts.into_iter().map(|amount| part(sign * amount as i64)).collect()
    }

    fn same_currency(self, other: Self) -> Result<i64, MoneyError> {
        if self.currency == other.currency {
            Ok(other.amount)
        } else {
            Err(MoneyError::CurrencyMismatch)
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

impl JsonSchema for Money {
    fn schema_name() -> Cow<'static, str> {
        "Money".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let currency = generator.subschema_for::<Currency>();
        json_schema!({
            "description": "An amount in the currency's minor unit.",
            "type": "object",
            "properties": {
                "amount": { "type": "integer", "minimum": -MAX_AMOUNT, "maximum": MAX_AMOUNT },
                "currency": currency,
            },
            "required": ["amount", "currency"],
        })
    }
}

/// A fraction of a base: a tax, a discount, a commission. 11 % is `Rate::percent(11)`, 8.875 % `Rate::new(8_875, 100_000)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "UncheckedRate")]
pub struct Rate {
    numerator: u32,
    #[schemars(range(min = 1))]
    denominator: u32,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Rate")]
struct UncheckedRate {
    numerator: u32,
    #[schemars(range(min = 1))]
    denominator: u32,
}

impl TryFrom<UncheckedRate> for Rate {
    type Error = MoneyError;

    fn try_from(rate: UncheckedRate) -> Result<Self, MoneyError> {
        Self::new(rate.numerator, rate.denominator)
    }
}

impl Rate {
    pub const fn new(numerator: u32, denominator: u32) -> Result<Self, MoneyError> {
        if denominator == 0 {
            return Err(MoneyError::Rate);
        }
        Ok(Self { numerator, denominator })
    }

    pub const fn numerator(self) -> u32 {
        self.numerator
    }

    pub const fn denominator(self) -> u32 {
        self.denominator
    }

    pub const fn percent(percent: u32) -> Self {
        Self {
            numerator: percent,
            denominator: 100,
        }
    }

    pub const fn basis_points(points: u32) -> Self {
        Self {
            numerator: points,
            denominator: 10_000,
        }
    }

    /// The rate of a base, as for a tax on top of a price; rounded half up, away from zero.
    pub fn of(self, base: Money) -> Result<Money, MoneyError> {
        self.share(base, self.denominator.into())
    }

    /// How much of an amount is the rate that it already includes, as for a tax inside of a price; rounded likewise.
    pub fn within(self, amount: Money) -> Result<Money, MoneyError> {
        self.share(amount, u64::from(self.denominator) + u64::from(self.numerator))
    }

    fn share(self, money: Money, denominator: u64) -> Result<Money, MoneyError> {
        let product = u128::from(money.amount.unsigned_abs()) * u128::from(self.numerator);
        let rounded = (product * 2 + u128::from(denominator)) / (u128::from(denominator) * 2);
        let amount = i64::try_from(rounded).map_err(|_| MoneyError::TooLarge)?;
        Money::new(money.amount.signum() * amount, money.currency)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoneyError {
    Currency,
    CurrencyMismatch,
    TooLarge,
    Rate,
}

impl fmt::Display for MoneyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Currency => "a currency is three upper-case letters of ISO 4217",
            Self::CurrencyMismatch => "amounts of different currencies can't be combined",
            Self::TooLarge => "an amount may not exceed 2^53-1 minor units",
            Self::Rate => "a rate's denominator may not be zero",
        })
    }
}

impl std::error::Error for MoneyError {}

impl From<MoneyError> for Problem {
    fn from(error: MoneyError) -> Self {
        let code = match error {
            MoneyError::Currency => "invalid_currency",
            MoneyError::CurrencyMismatch => "currency_mismatch",
            MoneyError::TooLarge => "amount_too_large",
            MoneyError::Rate => "invalid_rate",
        };
        Self::unprocessable(code, format!("The amount can't be used: {error}."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idr(amount: i64) -> Money {
        Money::new(amount, "IDR".parse().unwrap()).unwrap()
    }

    #[test]
    fn amounts_beyond_what_json_holds_are_refused_wherever_they_arise() {
        assert_eq!(idr(MAX_AMOUNT).plus(idr(1)), Err(MoneyError::TooLarge));
        assert_eq!(idr(-MAX_AMOUNT).minus(idr(1)), Err(MoneyError::TooLarge));
        assert_eq!(idr(MAX_AMOUNT).times(i64::MAX), Err(MoneyError::TooLarge));
        assert_eq!(Rate::percent(u32::MAX).of(idr(MAX_AMOUNT)), Err(MoneyError::TooLarge));
        assert!(serde_json::from_str::<Money>(r#"{"amount": 9007199254740992, "currency": "IDR"}"#).is_err());
        assert!(serde_json::from_str::<Money>(r#"{"amount": 1.5, "currency": "IDR"}"#).is_err());
        assert!(serde_json::from_str::<Money>(r#"{"amount": 1, "currency": "idr"}"#).is_err());
    }

    #[test]
    fn currencies_do_not_mix() {
        let usd = Money::new(1, "USD".parse().unwrap()).unwrap();
        assert_eq!(idr(1).plus(usd), Err(MoneyError::CurrencyMismatch));
    }

    #[test]
    fn rates_round_half_up() {
        for (base, tax) in [(50, 6), (49, 5), (45, 5), (0, 0), (-50, -6), (100_000, 11_000)] {
            assert_eq!(Rate::percent(11).of(idr(base)), Ok(idr(tax)), "11 % of {base}");
        }
        assert_eq!(Rate::new(8_875, 100_000).unwrap().of(idr(10_000)), Ok(idr(888)));
        assert_eq!(Rate::percent(11).within(idr(111_000)), Ok(idr(11_000)));
        assert_eq!(Rate::new(1, 0), Err(MoneyError::Rate));
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let amounts = |money: Money, weights: &[u64]| {
            money
                .split(weights)
                .iter()
                .map(|part| part.amount())
                .collect::<Vec<_>>()
        };
        assert_eq!(amounts(idr(100), &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(amounts(idr(-100), &[1, 1, 1]), [-34, -33, -33]);
        assert_eq!(amounts(idr(5), &[3, 1]), [4, 1]);
        assert_eq!(amounts(idr(7), &[0, 0]), [7, 0]);
        assert_eq!(amounts(idr(7), &[]), [0; 0]);
        assert_eq!(
            amounts(idr(MAX_AMOUNT), &[u64::MAX, u64::MAX, 1]).iter().sum::<i64>(),
            MAX_AMOUNT
        );
    }
}
