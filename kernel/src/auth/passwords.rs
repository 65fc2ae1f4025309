//! Passwords: argon2id, as many at once as the machine can bear.
//!
//! Each hash takes tens of milliseconds and megabytes by intention, so whoever can start hashes without limit can stop
//! the kernel. A few run at once, on threads that no request needs; some wait; the rest is told to come back.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tokio::sync::Semaphore;

use super::config::AuthConfig;
use crate::http::problem::{Code, Problem};
use crate::secrets::{Secret, random_bytes};

pub const MIN_BYTES: usize = 8;
/// Longer ones would only cost us time.
pub const MAX_BYTES: usize = 128;

pub struct Passwords {
    argon2: Argon2<'static>,
    /// Start of every hash made with the parameters in force.
    prefix: String,
    /// Verified in place of an account that does not exist, so that the time of an answer does not tell who has one.
    nobodys: String,
    /// Those that wait or run.
    admitted: Arc<Semaphore>,
    /// Those that run.
    running: Arc<Semaphore>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Wrong,
    Right,
    /// Right, and hashed with other parameters than those in force: to be hashed again.
    Outdated,
}

impl Passwords {
    pub fn new(config: &AuthConfig) -> anyhow::Result<Self> {
        let params = Params::new(
            config.argon2_memory_kib,
            config.argon2_iterations,
            config.argon2_lanes,
            None,
        )
        .map_err(|error| anyhow::anyhow!("auth.argon2_…: {error}"))?;
        let prefix = format!(
            "$argon2id$v=19$m={},t={},p={}$",
            params.m_cost(),
            params.t_cost(),
            params.p_cost()
        );
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let concurrency = match config.hashing_concurrency {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            given => given as usize,
        };
        Ok(Self {
            argon2,
            nobodys: nobodys_hash(&prefix),
            prefix,
            admitted: Arc::new(Semaphore::new(concurrency + config.hashing_queue as usize)),
            running: Arc::new(Semaphore::new(concurrency)),
        })
    }

    pub async fn hash(&self, password: Secret<String>) -> Result<String, Problem> {
        let argon2 = self.argon2.clone();
        let hash = self
            .in_turn(move || argon2.hash_password(password.expose().as_bytes()))
            .await?;
        hash.map(|hash| hash.to_string()).map_err(|error| {
            tracing::error!(%error, "a password could not be hashed");
            Problem::internal()
        })
    }

    /// `stored`: the account's hash, or none where there is no such account; both take the same time.
    pub async fn verify(&self, password: Secret<String>, stored: Option<&str>) -> Result<Verdict, Problem> {
        let exists = stored.is_some();
        let stored = stored.unwrap_or(&self.nobodys).to_owned();
        let current = stored.starts_with(&self.prefix);
        let argon2 = self.argon2.clone();
        let compare = move || {
            // Computed with the parameters that the stored hash names.
            PasswordHash::new(&stored)
                .is_ok_and(|hash| argon2.verify_password(password.expose().as_bytes(), &hash).is_ok())
        };
        let matches = self.in_turn(compare).await?;
        Ok(match (exists && matches, current) {
            (false, _) => Verdict::Wrong,
            (true, true) => Verdict::Right,
            (true, false) => Verdict::Outdated,
        })
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let overloaded = || Problem::from(Code::Overloaded).retry_after(1);
        let admitted = self.admitted.clone().try_acquire_owned().map_err(|_| overloaded())?;
        let running = self.running.clone().acquire_owned().await.map_err(|_| overloaded())?;
        let result = tokio::task::spawn_blocking(move || {
            // Held by the thread and not by the request: a client that hangs up makes no room for another hash.
            let _turn = (admitted, running);
            work()
        });
        result.await.map_err(|error| {
            tracing::error!(%error, "hashing a password panicked");
            Problem::internal()
        })
    }
}

/// In the shape of a hash with the parameters in force, and the hash of nothing that anybody knows. Computing a real one
/// would cost every start what a sign-in costs.
fn nobodys_hash(prefix: &str) -> String {
    let (salt, output) = (random_bytes::<16>(), random_bytes::<32>());
    format!(
        "{prefix}{}${}",
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(output)
    )
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn config() -> AuthConfig {
        AuthConfig {
            argon2_memory_kib: 64,
            argon2_iterations: 1,
            ..AuthConfig::default()
        }
    }

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    fn one_at_a_time(hashing_queue: u32) -> Arc<Passwords> {
        Arc::new(
            Passwords::new(&AuthConfig {
                hashing_concurrency: 1,
                hashing_queue,
                ..config()
            })
            .unwrap(),
        )
    }

    #[tokio::test]
    async fn only_the_right_password_is_right() {
        let passwords = Passwords::new(&config()).unwrap();
        let hash = passwords.hash(secret("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
        assert_eq!(
            passwords.verify(secret("correct horse"), Some(&hash)).await.unwrap(),
            Verdict::Right
        );
        assert_eq!(
            passwords.verify(secret("correct cow"), Some(&hash)).await.unwrap(),
            Verdict::Wrong
        );
        assert_eq!(
            passwords.verify(secret("anything"), Some("damaged")).await.unwrap(),
            Verdict::Wrong
        );
    }

    #[tokio::test]
    async fn nobodys_password_opens_nothing() {
        let passwords = Passwords::new(&config()).unwrap();
        // What is compared is read like any hash: what could not be read would be answered sooner.
        assert!(PasswordHash::new(&passwords.nobodys).is_ok());
        assert!(
            passwords
                .argon2
                .verify_password(b"", &PasswordHash::new(&passwords.nobodys).unwrap())
                .is_err()
        );
        assert_eq!(passwords.verify(secret(""), None).await.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn stronger_parameters_make_old_hashes_outdated() {
        let old = Passwords::new(&config()).unwrap();
        let hash = old.hash(secret("correct horse")).await.unwrap();
        let new = Passwords::new(&AuthConfig {
            argon2_iterations: 2,
            ..config()
        })
        .unwrap();
        assert_eq!(
            new.verify(secret("correct horse"), Some(&hash)).await.unwrap(),
            Verdict::Outdated
        );
    }

    #[tokio::test]
    async fn more_hashes_than_may_wait_are_told_to_come_back() {
        let passwords = one_at_a_time(1);
        let (running, waiting) = (passwords.clone(), passwords.clone());
        let running =
            tokio::spawn(async move { running.in_turn(|| std::thread::sleep(Duration::from_millis(300))).await });
        tokio::time::sleep(Duration::from_millis(50)).await;
        let waiting = tokio::spawn(async move { waiting.hash(secret("correct horse")).await });
        tokio::time::sleep(Duration::from_millis(50)).await;

        let start = Instant::now();
        let refused = passwords.hash(secret("correct horse")).await.unwrap_err();
        assert!(start.elapsed() < Duration::from_millis(100));
        assert_eq!((refused.status, refused.retry_after_seconds), (503, Some(1)));
        running.await.unwrap().unwrap();
        waiting.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_client_that_hangs_up_makes_no_room_for_another_hash() {
        let passwords = one_at_a_time(0);
        let gone = passwords.clone();
        let request =
            tokio::spawn(async move { gone.in_turn(|| std::thread::sleep(Duration::from_millis(300))).await });
        tokio::time::sleep(Duration::from_millis(50)).await;
        request.abort();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(passwords.hash(secret("correct horse")).await.unwrap_err().status, 503);
    }

    /// Both take the same path; only which hash is compared differs. Measured loosely, because machines are busy.
    #[tokio::test]
    async fn an_unknown_address_takes_as_long_as_a_wrong_password() {
        let costly = AuthConfig {
            argon2_memory_kib: 4096,
            argon2_iterations: 3,
            ..config()
        };
        let passwords = Passwords::new(&costly).unwrap();
        let hash = passwords.hash(secret("correct horse")).await.unwrap();
        let (mut known, mut unknown) = (Duration::MAX, Duration::MAX);
        for _ in 0..7 {
            let start = Instant::now();
            passwords.verify(secret("guess guess"), Some(&hash)).await.unwrap();
            known = known.min(start.elapsed());
            let start = Instant::now();
            passwords.verify(secret("guess guess"), None).await.unwrap();
            unknown = unknown.min(start.elapsed());
        }
        assert!(unknown * 3 > known && known * 3 > unknown, "{known:?} {unknown:?}");
    }
}
