//! Who may finish a row: a claim's fence, and the pause before the next try.
//!
//! A claim writes the node's name, the time its lease ends, and the next number of the row's fence. Whatever ends the
//! claim names both node and fence, so that a node that slept through its lease changes nothing: its `done` affects
//! no row, and its transaction, the consumer's effects included, is rolled back. Times only decide how soon a row is
//! taken over; that it has one effect never depends on a clock.

use std::time::Duration;

use super::EventsConfig;
use crate::storage::sql::Time;

/// What proves that a row is still ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// The row: the order in which rows were written.
    pub sequence: i64,
    /// How often the row has been claimed so far, by whomever.
    pub fence: i64,
}

/// The time `wait` from now.
pub(super) fn after(wait: Duration) -> Time {
    let wait = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
    Time(Time::now().0.saturating_add(wait))
}

/// The time `age` before now.
pub(super) fn before(age: Duration) -> Time {
    let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
    Time(Time::now().0.saturating_sub(age))
}

/// The pause after the given number of failures: doubled each time, capped, and between half and all of that by
/// chance, so that what failed together does not come back together.
pub(super) fn backoff(config: &EventsConfig, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(32);
    let full = config
        .backoff_ms
        .saturating_mul(1 << doublings)
        .min(config.backoff_cap_ms);
    Duration::from_millis(rand::random_range(full / 2..=full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_differ() {
        let config = EventsConfig {
            backoff_ms: 1_000,
            backoff_cap_ms: 60_000,
            ..EventsConfig::default()
        };
        for (failures, full) in [(1, 1_000), (2, 2_000), (5, 16_000), (7, 60_000), (u32::MAX, 60_000)] {
            for _ in 0..100 {
                let pause = backoff(&config, failures).as_millis();
                assert!((full / 2..=full).contains(&pause), "{failures} failures: {pause} ms");
            }
        }
        let pauses: std::collections::BTreeSet<_> = (0..50).map(|_| backoff(&config, 7)).collect();
        assert!(pauses.len() > 10);
    }
}
