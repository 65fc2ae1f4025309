//! Prices as other systems write them, into amounts: whole minor units, never a fraction, never rounded.

use commerce_sdk::money::MAX_AMOUNT;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PriceError {
    NotANumber,
    /// More digits behind the point than the currency has, other than zeros.
    TooPrecise {
        exponent: u32,
    },
    TooLarge,
}

impl std::fmt::Display for PriceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotANumber => f.write_str("is not a price such as 10.99"),
            Self::TooPrecise { exponent: 0 } => f.write_str("has a fraction, and the currency has none"),
            Self::TooPrecise { exponent } => write!(f, "has more than the {exponent} decimal places of the currency"),
            Self::TooLarge => f.write_str("is larger than an amount can be"),
        }
    }
}

/// `10.99` in a currency of two decimal places is 1099. `24.00` fits a currency without any; `24.50` does not.
pub fn parse_price(text: &str, exponent: u32) -> Result<i64, PriceError> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return Err(PriceError::NotANumber);
    }
    let places = exponent as usize;
    let (kept, beyond) = fraction.split_at(fraction.len().min(places));
    if beyond.bytes().any(|digit| digit != b'0') {
        return Err(PriceError::TooPrecise { exponent });
    }
    let zeros = std::iter::repeat_n(b'0', places - kept.len());
    let mut amount: i64 = 0;
    for digit in whole.bytes().chain(kept.bytes()).chain(zeros) {
        amount = amount
            .checked_mul(10)
            .and_then(|amount| amount.checked_add(i64::from(digit - b'0')))
            .filter(|amount| *amount <= MAX_AMOUNT)
            .ok_or(PriceError::TooLarge)?;
    }
    Ok(amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_becomes_minor_units_by_the_currencys_exponent() {
        for (text, exponent, amount) in [
            ("10.99", 2, 1099),
            ("3", 2, 300),
            ("3.5", 2, 350),
            ("329.00", 2, 32_900),
            ("0.00", 2, 0),
            (".5", 2, 50),
            ("150000", 0, 150_000),
            ("24.00", 0, 24),
            ("1.234", 3, 1_234),
            ("10.9900", 2, 1_099),
            ("007.10", 2, 710),
        ] {
            assert_eq!(parse_price(text, exponent), Ok(amount), "{text} with {exponent} places");
        }
    }

    #[test]
    fn a_price_that_does_not_fit_is_never_rounded() {
        assert_eq!(parse_price("10.99", 0), Err(PriceError::TooPrecise { exponent: 0 }));
        assert_eq!(parse_price("10.995", 2), Err(PriceError::TooPrecise { exponent: 2 }));
        assert_eq!(parse_price("90071992547409.92", 2), Err(PriceError::TooLarge));
        assert_eq!(parse_price("90071992547409.91", 2), Ok(MAX_AMOUNT));
        assert_eq!(parse_price("99999999999999999999999999", 0), Err(PriceError::TooLarge));
    }

    #[test]
    fn what_is_not_a_plain_decimal_number_is_refused() {
        for text in [
            "", ".", "-1", "+1", "1,299.00", "1e3", "$5", "5 USD", "NaN", "1.2.3", "١٢",
        ] {
            assert_eq!(parse_price(text, 2), Err(PriceError::NotANumber), "{text:?}");
        }
    }
}
