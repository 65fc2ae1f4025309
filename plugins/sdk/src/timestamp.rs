//! A moment, to the microsecond; as text always RFC 3339 in UTC with six decimals, so that texts sort as moments do.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const MICROS: i64 = 1_000_000;
const DAY: i64 = 86_400;
/// Years beyond four digits have no RFC 3339 text.
const FIRST: i64 = days_before(1, 1, 1) * DAY * MICROS;
const LAST: i64 = days_before(10_000, 1, 1) * DAY * MICROS - 1;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Microseconds since 1970 UTC; beyond the years 1 to 9999 the nearest moment within.
    pub const fn from_micros(micros: i64) -> Self {
        Self(if micros < FIRST {
            FIRST
        } else if micros > LAST {
            LAST
        } else {
            micros
        })
    }

    pub const fn as_micros(self) -> i64 {
        self.0
    }

    pub(crate) fn from_host(micros: u64) -> Self {
        Self::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    /// The kernel counts from 1970: earlier is due at once.
    pub(crate) fn to_host(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0)
    }

    /// How long after `earlier` this is; zero where it is before.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self::from_micros(self.0.saturating_add(micros(duration)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self::from_micros(self.0.saturating_sub(micros(duration)))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, fraction) = (self.0.div_euclid(MICROS), self.0.rem_euclid(MICROS));
        let (year, month, day) = civil(seconds.div_euclid(DAY));
        let second = seconds.rem_euclid(DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:06}Z"
        )
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an RFC 3339 date and time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTimestamp;

impl fmt::Display for InvalidTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an RFC 3339 date and time, such as 2026-01-31T09:30:00Z")
    }
}

impl std::error::Error for InvalidTimestamp {}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    /// Any offset and any number of decimals; what is finer than a microsecond is cut off.
    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        parse(text.as_bytes()).map(Self).ok_or(InvalidTimestamp)
    }
}

fn parse(text: &[u8]) -> Option<i64> {
    let (clock, rest) = text.split_at_checked(19)?;
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if separators.iter().any(|&(at, separator)| clock[at] != separator) || !matches!(clock[10], b'T' | b't' | b' ') {
        return None;
    }
    let (year, month, day) = (number(&clock[..4])?, number(&clock[5..7])?, number(&clock[8..10])?);
    let (hour, minute, second) = (
        number(&clock[11..13])?,
        number(&clock[14..16])?,
        number(&clock[17..19])?,
    );
    let in_range = year >= 1 && (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    // A leap second counts as the first of the next minute.
    if !in_range || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, offset) = split_fraction(rest)?;
    let seconds = days_before(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset_seconds(offset)?;
    let micros = seconds * MICROS + fraction;
    (FIRST..=LAST).contains(&micros).then_some(micros)
}

/// `.25Z` to 250,000 microseconds and `Z`.
fn split_fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(decimals) = text.strip_prefix(b".") else {
        return Some((0, text));
    };
    let length = decimals.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let digit = |at: usize| {
        decimals
            .get(at)
            .filter(|_| at < length)
            .map_or(0, |byte| i64::from(byte - b'0'))
    };
    let fraction = (0..6).fold(0, |sum, at| sum * 10 + digit(at));
    Some((fraction, &decimals[length..]))
}

fn offset_seconds(text: &[u8]) -> Option<i64> {
    match text {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            let seconds = hours * 3600 + minutes * 60;
            (hours <= 23 && minutes <= 59).then_some(if *sign == b'+' { seconds } else { -seconds })
        }
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, byte| {
        byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0'))
    })
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Years are counted from March, so that the leap day is the
/// last of its year and month lengths follow one line (153 days in every five months).
const fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + leap_days + day_of_year - 719_468
}

/// The inverse of [`days_before`].
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (cycle, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = cycle * 400 + year;
    if month < 10 {
        (year, month + 3, day)
    } else {
        (year + 1, month - 9, day)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_reads_back_as_it_was_written() {
        for micros in [FIRST, -1, 0, 1, 951_827_696_000_000, 4_107_542_399_999_999, LAST] {
            let moment = Timestamp::from_micros(micros);
            assert_eq!(moment.to_string().parse(), Ok(moment), "{moment}");
        }
    }

    #[test]
    fn every_day_of_eight_centuries_follows_the_one_before() {
        let mut expected = (1600, 1, 1);
        for days in days_before(1600, 1, 1)..days_before(2400, 1, 1) {
            assert_eq!(civil(days), expected);
            let (year, month, day) = expected;
            assert_eq!(days_before(year, month, day), days);
            expected = match (month, day == days_in(year, month)) {
                (12, true) => (year + 1, 1, 1),
                (_, true) => (year, month + 1, 1),
                (_, false) => (year, month, day + 1),
            };
        }
    }

    #[test]
    fn offsets_and_decimals_are_understood() {
        let moment = "2024-02-29T23:30:00.5+07:00".parse::<Timestamp>().unwrap();
        assert_eq!(moment.to_string(), "2024-02-29T16:30:00.500000Z");
        assert_eq!("2024-02-29 16:30:00.5000009z".parse(), Ok(moment));
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "2024-02-30T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:00",
            "2024-01-01",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00+7:00",
            "0000-01-01T00:00:00Z",
            "2024-01-01T00:00:00Zé",
            "20é4-01-01T00:00:00Z",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(InvalidTimestamp), "{text}");
        }
    }

    #[test]
    fn durations_add_up() {
        let start = "2024-12-31T23:59:59Z".parse::<Timestamp>().unwrap();
        let later = start + Duration::from_millis(1_500);
        assert_eq!(later.to_string(), "2025-01-01T00:00:00.500000Z");
        assert_eq!(later.since(start), Duration::from_millis(1_500));
        assert_eq!(start.since(later), Duration::ZERO);
        assert_eq!(later - Duration::from_millis(1_500), start);
        assert_eq!((start + Duration::MAX).as_micros(), LAST);
    }
}
