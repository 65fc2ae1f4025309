//! The currencies of ISO 4217 and how many decimal digits each minor unit has.
//!
//! The table is the standard's, but for the rupiah: on paper it has two digits, while banks and its people
//! count whole rupiahs, so that 150000 is Rp 150.000. Amounts everywhere follow this table, which
//! `GET /api/store` publishes. Codes that stand for no money one could pay with (metals, test codes) are left out.

use super::Currency;

const TABLE: &str = include_str!("currencies.csv");

pub fn all() -> impl Iterator<Item = Currency> {
    TABLE.lines().filter_map(|line| {
        let (code, exponent) = line.split_once(',')?;
        Some(Currency {
            code: code.to_owned(),
            exponent: exponent.parse().ok()?,
        })
    })
}

/// By its code in capitals.
pub fn find(code: &str) -> Option<Currency> {
    all().find(|currency| currency.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_currency_in_the_order_of_codes() {
        let codes: Vec<_> = all().map(|currency| currency.code).collect();
        assert_eq!(codes.len(), TABLE.lines().count());
        assert!(codes.is_sorted_by(|a, b| a < b));
        assert!(
            codes
                .iter()
                .all(|code| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()))
        );
    }

    #[test]
    fn exponents_are_those_in_use() {
        for (code, exponent) in [("USD", 2), ("IDR", 0), ("JPY", 0), ("KWD", 3), ("CLF", 4)] {
            assert_eq!(find(code).unwrap().exponent, exponent, "{code}");
        }
        for unknown in ["usd", "XXX", "XAU", "BTC", ""] {
            assert_eq!(find(unknown), None);
        }
    }
}
