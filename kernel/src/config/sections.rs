//! The settings as the parts of the kernel take them. Units are in the names; `keys.rs` says what each means.

use std::path::PathBuf;

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    pub host: String,
    pub port: u16,
    pub trusted_proxies: Vec<ipnet::IpNet>,
    pub cors_origins: Vec<String>,
    pub body_kib: u32,
    pub header_kib: u32,
    pub headers: u32,
    pub connections: u32,
    pub connections_per_address: u32,
    pub header_timeout_ms: u64,
    pub body_timeout_ms: u64,
    pub idle_timeout_ms: u64,
    pub request_timeout_ms: u64,
    pub shutdown_timeout_ms: u64,
    pub shutdown_delay_ms: u64,
    pub compression: bool,
    pub cache_mib: u32,
    pub idempotency_hours: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsConfig {
    pub enabled: bool,
    pub host: String,
    pub port: u16,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlConfig {
    pub url: Option<String>,
    pub max_connections: u32,
    pub connections_per_plugin: u32,
    pub statement_timeout_ms: u64,
    pub lock_timeout_ms: u64,
    pub queue_wait_ms: u64,
    pub max_rows: usize,
    pub max_bytes: usize,
    pub transaction_max_age_ms: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginsConfig {
    pub concurrent_calls: u32,
    pub call_depth: u32,
    pub queue_wait_ms: u64,
    pub deadline_ms: u64,
    pub deadline_cap_ms: u64,
    pub memory_mib: u32,
    pub memory_cap_mib: u32,
    pub plugin_memory_mib: u32,
    pub answer_kib: u32,
    pub answer_cap_kib: u32,
    pub instances: u32,
    pub instances_cap: u32,
    pub connections: u32,
    pub connections_cap: u32,
    pub warm_instances: u32,
    pub http_timeout_cap_ms: u64,
    pub http_answer_kib: u32,
    pub http_plain_hosts: Vec<String>,
    pub http_private_networks: Vec<ipnet::IpNet>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsConfig {
    pub workers: u32,
    pub poll_ms: u64,
    pub lease_ms: u64,
    pub max_attempts: u32,
    pub keep_hours: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    pub access_token_minutes: u32,
    pub refresh_token_days: u32,
    pub session_days: u32,
    pub refresh_grace_ms: u64,
    pub argon2_memory_kib: u32,
    pub argon2_iterations: u32,
    pub argon2_lanes: u32,
    pub hashing_concurrency: u32,
    pub hashing_queue: u32,
    pub login_attempts: u32,
    pub login_attempts_per_address: u32,
    pub login_delay_ms: u64,
    pub login_max_delay_ms: u64,
    pub login_forget_minutes: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimitsConfig {
    pub per_address: u32,
    pub per_caller: u32,
    pub sign_in_per_address: u32,
    pub spared: Vec<ipnet::IpNet>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoresConfig {
    pub default: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    pub format: LogFormat,
    pub level: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

/// Where the kernel keeps its files.
impl super::Config {
    pub fn control_socket(&self) -> PathBuf {
        self.data_dir.join("control.sock")
    }
}
