//! Slows down guessing: failed sign-ins are counted per account and address, and per address, and each further one must
//! wait twice as long.
//!
//! Counted in memory; `sign_in` keeps a copy in the database, so that neither a restart nor another node gives new
//! attempts away. Accounts that do not exist are counted like those that do: being slowed down tells nothing. There is no
//! count per account alone: it would let anybody lock anybody out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::config::AuthConfig;
use crate::http::network_of;

/// What failures are counted for, in one store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    pub store: i64,
    /// The kind and a digest: what people mistype into an address field (a password, now and then) is kept nowhere.
    pub name: String,
}

const ACCOUNT: &str = "account:";
const ADDRESS: &str = "address:";

impl Subject {
    pub fn account_and_address(store: i64, email: &str, address: IpAddr) -> Self {
        let digest = Sha256::digest(format!("{email}\0{}", network_of(address)));
        Self {
            store,
            name: format!("{ACCOUNT}{}", hex::encode(digest)),
        }
    }

    pub fn address(store: i64, address: IpAddr) -> Self {
        let digest = Sha256::digest(network_of(address).to_string());
        Self {
            store,
            name: format!("{ADDRESS}{}", hex::encode(digest)),
        }
    }
}

#[derive(Clone)]
pub struct Throttle {
    limits: Arc<Limits>,
    counts: Arc<Mutex<HashMap<Subject, Count>>>,
}

struct Limits {
    account_and_address: u32,
    address: u32,
    delay_us: i64,
    max_delay_us: i64,
    forget_us: i64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    failures: u32,
    /// Attempts whose outcome is still open. They count as failures, or else a hundred guesses at once would all pass.
    open: u32,
    /// When the last attempt failed.
    last_us: i64,
}

/// The client has to wait this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    pub seconds: u32,
}

impl Throttle {
    pub fn new(config: &AuthConfig) -> Self {
        let micros = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1000);
        let limits = Limits {
            account_and_address: config.login_attempts,
            address: config.login_attempts_per_address,
            delay_us: micros(config.login_delay_ms),
            max_delay_us: micros(config.login_max_delay_ms),
            forget_us: micros(u64::from(config.login_forget_minutes) * 60_000),
        };
        Self {
            limits: Arc::new(limits),
            counts: Arc::default(),
        }
    }

    /// Failures before this no longer count.
    pub fn forgotten_before_us(&self, now_us: i64) -> i64 {
        now_us.saturating_sub(self.limits.forget_us)
    }

    /// Asks for leave to try. The attempt is open until its outcome is told; dropped, it counts as if it had never been.
    pub fn begin(&self, subjects: [Subject; 2], now_us: i64) -> Result<Attempt, Wait> {
        let mut counts = self.counts.lock();
        for subject in &subjects {
            if let Some(count) = counts.get_mut(subject) {
                if count.last_us < self.forgotten_before_us(now_us) {
                    count.failures = 0;
                }
                if let Some(wait_us) = self.limits.wait_us(subject, count, now_us) {
                    let seconds = u32::try_from(wait_us.div_ceil(1_000_000)).unwrap_or(u32::MAX);
                    return Err(Wait {
                        seconds: seconds.max(1),
                    });
                }
            }
        }
        for subject in &subjects {
            counts.entry(subject.clone()).or_default().open += 1;
        }
        Ok(Attempt {
            throttle: self.clone(),
            subjects,
        })
    }

    /// What the database knows of a subject: after a restart, or because another node has counted as well.
    pub fn learn(&self, subject: Subject, failures: u32, last_us: i64) {
        let mut counts = self.counts.lock();
        let count = counts.entry(subject).or_default();
        count.failures = count.failures.max(failures);
        count.last_us = count.last_us.max(last_us);
    }

    /// Drops what no longer counts, so that memory follows the failures of the last hour.
    pub fn tidy(&self, now_us: i64) {
        let before = self.forgotten_before_us(now_us);
        self.counts
            .lock()
            .retain(|_, count| count.open > 0 || count.last_us >= before);
    }
}

impl Limits {
    fn wait_us(&self, subject: &Subject, count: &Count, now_us: i64) -> Option<u64> {
        let allowed = if subject.name.starts_with(ACCOUNT) {
            self.account_and_address
        } else {
            self.address
        };
        if let Some(beyond) = count.failures.checked_sub(allowed) {
            let delay = self
                .delay_us
                .saturating_mul(1_i64 << beyond.min(40))
                .min(self.max_delay_us);
            let until = count.last_us.saturating_add(delay);
            if now_us < until {
                return Some(until.abs_diff(now_us));
            }
        }
        // Once the free attempts are used up: one at a time.
        (count.open > 0 && count.failures.saturating_add(count.open) >= allowed).then_some(1_000_000)
    }
}

/// One sign-in that is being tried.
pub struct Attempt {
    throttle: Throttle,
    subjects: [Subject; 2],
}

impl Attempt {
    /// Answers what was counted.
    pub fn failed(self, now_us: i64) -> [Subject; 2] {
        let mut counts = self.throttle.counts.lock();
        for subject in &self.subjects {
            let count = counts.entry(subject.clone()).or_default();
            count.failures = count.failures.saturating_add(1);
            count.last_us = now_us;
        }
        self.subjects.clone()
    }

    /// Forgives the account's failures; answers what to forget in the database, if there were any. Those of the address
    /// stay: one password that is known must not be a way to guess others for ever.
    pub fn succeeded(self) -> Option<Subject> {
        let mut counts = self.throttle.counts.lock();
        let [account_and_address, _] = &self.subjects;
        let count = counts.get_mut(account_and_address)?;
        (std::mem::take(&mut count.failures) > 0).then(|| account_and_address.clone())
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut counts = self.throttle.counts.lock();
        for subject in &self.subjects {
            if let Some(count) = counts.get_mut(subject) {
                count.open = count.open.saturating_sub(1);
                if count.open == 0 && count.failures == 0 {
                    counts.remove(subject);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn throttle() -> Throttle {
        Throttle::new(&AuthConfig {
            login_attempts: 3,
            login_attempts_per_address: 5,
            ..AuthConfig::default()
        })
    }

    fn subjects(email: &str, address: &str) -> [Subject; 2] {
        let address = address.parse().unwrap();
        [
            Subject::account_and_address(1, email, address),
            Subject::address(1, address),
        ]
    }

    fn fail(throttle: &Throttle, email: &str, address: &str, times: usize) {
        for _ in 0..times {
            throttle.begin(subjects(email, address), 0).unwrap().failed(0);
        }
    }

    #[test]
    fn after_the_free_attempts_each_failure_doubles_the_wait() {
        let throttle = Throttle::new(&AuthConfig {
            login_attempts: 3,
            ..AuthConfig::default()
        });
        fail(&throttle, "a@b.c", "1.1.1.1", 3);
        let mut now = 0;
        for wait in [1, 2, 4, 8] {
            let refused = throttle.begin(subjects("a@b.c", "1.1.1.1"), now).map(drop).unwrap_err();
            assert_eq!(refused.seconds, wait);
            now += i64::from(wait) * SECOND;
            throttle.begin(subjects("a@b.c", "1.1.1.1"), now).unwrap().failed(now);
        }
    }

    #[test]
    fn a_hundred_guesses_at_once_do_not_pass_together() {
        let throttle = throttle();
        let open: Vec<_> = (0..100)
            .filter_map(|_| throttle.begin(subjects("a@b.c", "1.1.1.1"), 0).ok())
            .collect();
        assert_eq!(open.len(), 3);
    }

    #[test]
    fn another_address_is_not_locked_out() {
        let throttle = throttle();
        fail(&throttle, "a@b.c", "1.1.1.1", 3);
        assert!(throttle.begin(subjects("a@b.c", "1.1.1.1"), 0).is_err());
        assert!(throttle.begin(subjects("a@b.c", "2.2.2.2"), 0).is_ok());
    }

    #[test]
    fn many_accounts_from_one_address_are_slowed_as_well() {
        let throttle = throttle();
        for account in 0..5 {
            fail(&throttle, &format!("{account}@b.c"), "1.1.1.1", 1);
        }
        assert!(throttle.begin(subjects("9@b.c", "1.1.1.1"), 0).is_err());
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let throttle = throttle();
        for host in 0..3 {
            fail(&throttle, "a@b.c", &format!("2001:db8::{host}"), 1);
        }
        assert!(throttle.begin(subjects("a@b.c", "2001:db8::ffff"), 0).is_err());
        assert!(throttle.begin(subjects("a@b.c", "2001:db8:0:1::1"), 0).is_ok());
    }

    #[test]
    fn success_forgives_the_account_but_not_the_address() {
        let throttle = throttle();
        fail(&throttle, "a@b.c", "1.1.1.1", 2);
        assert!(
            throttle
                .begin(subjects("a@b.c", "1.1.1.1"), 0)
                .unwrap()
                .succeeded()
                .is_some()
        );
        fail(&throttle, "a@b.c", "1.1.1.1", 3);
        assert!(throttle.begin(subjects("other@b.c", "1.1.1.1"), 0).is_err());
    }

    #[test]
    fn failures_are_forgotten_and_so_is_their_memory() {
        let throttle = throttle();
        fail(&throttle, "a@b.c", "1.1.1.1", 3);
        let later = 3601 * SECOND;
        assert!(throttle.begin(subjects("a@b.c", "1.1.1.1"), later).is_ok());
        throttle.tidy(later * 3);
        assert!(throttle.counts.lock().is_empty());
    }

    #[test]
    fn an_attempt_that_was_given_up_counts_for_nothing() {
        let throttle = throttle();
        for _ in 0..100 {
            drop(throttle.begin(subjects("a@b.c", "1.1.1.1"), 0).unwrap());
        }
        assert!(throttle.counts.lock().is_empty());
    }
}
