//! How often one client may ask: per address before anything is looked up, per identity once it is known, and strictly
//! where passwords are tried. Counted in this process; each node has its own budget.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use ipnet::IpNet;

use super::network_of;
use super::problem::{Code, Problem};
use crate::config::RateLimitsConfig;

pub struct RateLimits {
    addresses: Limit<IpAddr>,
    callers: Limit<Arc<str>>,
    sign_ins: Limit<IpAddr>,
    /// Networks that only the limit for signing in holds for.
    spared: Vec<IpNet>,
}

impl RateLimits {
    pub fn new(config: &RateLimitsConfig) -> Self {
        Self {
            addresses: Limit::per_minute(config.per_address),
            callers: Limit::per_minute(config.per_caller),
            sign_ins: Limit::per_minute(config.sign_in_per_address),
            spared: config.spared.clone(),
        }
    }

    /// For requests that prove nothing, and for proofs that were refused.
    pub fn check_address(&self, address: IpAddr) -> Result<(), Problem> {
        if self.addresses.is_off() || self.spared.iter().any(|network| network.contains(&address)) {
            return Ok(());
        }
        self.addresses.check(&network_of(address))
    }

    pub fn check_caller(&self, identity: &str) -> Result<(), Problem> {
        if self.callers.is_off() {
            return Ok(());
        }
        self.callers.check(&Arc::from(identity))
    }

    /// For the routes on which a guess is worth something.
    pub fn check_sign_in(&self, address: IpAddr) -> Result<(), Problem> {
        self.sign_ins.check(&network_of(address))
    }

    /// Forgets clients that have been quiet; without it a scan through many addresses would fill the memory.
    pub fn forget_quiet(&self) {
        self.addresses.forget_quiet();
        self.callers.forget_quiet();
        self.sign_ins.forget_quiet();
    }
}

struct Limit<K: Hash + Eq + Clone>(Option<DefaultKeyedRateLimiter<K>>);

impl<K: Hash + Eq + Clone> Limit<K> {
    fn per_minute(rate: u32) -> Self {
        Self(NonZeroU32::new(rate).map(|rate| RateLimiter::keyed(Quota::per_minute(rate))))
    }

    fn is_off(&self) -> bool {
        self.0.is_none()
    }

    fn check(&self, key: &K) -> Result<(), Problem> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        limiter.check_key(key).map_err(|exceeded| {
            let wait = exceeded.wait_time_from(DefaultClock::default().now());
            Problem::from(Code::RateLimited).retry_after(whole_seconds(wait))
        })
    }

    fn forget_quiet(&self) {
        if let Some(limiter) = &self.0 {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

fn whole_seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1000))
        .unwrap_or(u32::MAX)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> RateLimits {
        RateLimits::new(&RateLimitsConfig {
            per_address: 2,
            per_caller: 2,
            sign_in_per_address: 1,
            spared: vec!["127.0.0.0/8".parse().unwrap()],
        })
    }

    #[test]
    fn an_address_is_told_how_long_to_wait_and_others_are_not_affected() {
        let limits = limits();
        let noisy = "203.0.113.1".parse().unwrap();
        assert!(limits.check_address(noisy).is_ok() && limits.check_address(noisy).is_ok());
        let problem = limits.check_address(noisy).unwrap_err();
        assert_eq!((problem.status, problem.retry_after_seconds), (429, Some(30)));
        assert!(limits.check_address("203.0.113.2".parse().unwrap()).is_ok());
    }

    #[test]
    fn walking_through_a_64_does_not_help() {
        let limits = limits();
        let refused = (0..10)
            .filter(|host| {
                limits
                    .check_address(format!("2001:db8::{host:x}").parse().unwrap())
                    .is_err()
            })
            .count();
        assert_eq!(refused, 8);
    }

    #[test]
    fn the_own_machine_is_spared_but_not_when_it_signs_in() {
        let limits = limits();
        let own = "127.0.0.1".parse().unwrap();
        assert!((0..10).all(|_| limits.check_address(own).is_ok()));
        assert!(limits.check_sign_in(own).is_ok());
        assert!(limits.check_sign_in(own).is_err());
    }
}
