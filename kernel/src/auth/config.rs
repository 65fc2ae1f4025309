//! `[auth]` of `commerce.toml`; `config/keys.rs` says what each key means.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    pub access_token_minutes: u32,
    pub refresh_token_days: u32,
    /// How long a used refresh token is answered again instead of ending the session.
    pub refresh_grace_ms: u64,
    pub argon2_memory_kib: u32,
    pub argon2_iterations: u32,
    pub argon2_lanes: u32,
    /// 0: one per processor.
    pub hashing_concurrency: u32,
    pub hashing_queue: u32,
    pub login_attempts: u32,
    pub login_attempts_per_address: u32,
    pub login_delay_ms: u64,
    pub login_max_delay_ms: u64,
    pub login_forget_minutes: u32,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            access_token_minutes: 15,
            refresh_token_days: 30,
            refresh_grace_ms: 0,
            argon2_memory_kib: 19_456,
            argon2_iterations: 2,
            argon2_lanes: 1,
            hashing_concurrency: 0,
            hashing_queue: 64,
            login_attempts: 5,
            login_attempts_per_address: 50,
            login_delay_ms: 1_000,
            login_max_delay_ms: 900_000,
            login_forget_minutes: 60,
        }
    }
}
