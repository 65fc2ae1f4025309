//! Section `[http]` of the configuration: where the kernel listens, and every limit of the edge.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    pub address: IpAddr,
    /// 0 takes any free port.
    pub port: u16,
    /// Where `/metrics` is served: a listener of its own, so that the public one has no such path. Empty: nowhere.
    pub metrics_address: String,
    /// Networks (CIDR) of proxies whose `X-Forwarded-For`, `-Proto` and `-Host` are believed.
    pub trusted_proxies: Vec<String>,

    pub max_connections: usize,
    pub max_headers: usize,
    pub max_header_kib: usize,
    /// From the first byte of a request to the end of its head.
    pub header_timeout_ms: u64,
    /// The whole body.
    pub body_timeout_ms: u64,
    /// A connection on which nothing happens.
    pub idle_timeout_ms: u64,
    /// From the end of the head to the answer. A change that takes longer is still carried out; only its answer is lost.
    pub request_timeout_ms: u64,
    /// How long requests in flight may still take once the kernel is told to stop.
    pub drain_timeout_ms: u64,
    /// Between `/readyz` turning to 503 and the listener closing, so that load balancers notice first.
    pub drain_delay_ms: u64,
    pub max_body_kib: u32,

    /// Origins that browsers may call from: `https://shop.example`, or `*`.
    pub cors_origins: Vec<String>,
    pub cors_max_age_seconds: u32,

    pub rate_limit: RateLimitConfig,
    pub response_cache: ResponseCacheConfig,
    /// How long the answer to an `Idempotency-Key` is kept.
    pub idempotency_hours: u32,
    /// How long a request that died with its node keeps its `Idempotency-Key` occupied, at most.
    pub idempotency_lease_ms: u64,
    /// Answers smaller than this are sent as they are.
    pub compress_from_bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimitConfig {
    /// Requests per second of one client address (IPv6: of one /64); 0 switches this limit off.
    pub address_per_second: u32,
    pub address_burst: u32,
    /// Requests per second of one account or API key.
    pub identity_per_second: u32,
    pub identity_burst: u32,
    /// Sign-ins per minute of one client address.
    pub login_per_minute: u32,
    /// Registrations, and refreshed tokens, per minute of one client address.
    pub register_per_minute: u32,
    /// Networks that the limit per address spares; the strict ones for signing in hold for them too. The own machine is
    /// among them because what arrives from there is a proxy that nobody declared, and all its clients would share one limit.
    pub spared: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResponseCacheConfig {
    /// 0 switches the cache off.
    pub max_mib: u32,
    /// Larger answers are not kept.
    pub max_answer_kib: u32,
    /// Upper bound of an answer's `max-age`.
    pub max_age_seconds: u32,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            address: IpAddr::from([127, 0, 0, 1]),
            port: 8080,
            metrics_address: "127.0.0.1:9090".to_owned(),
            trusted_proxies: Vec::new(),
            max_connections: 10_000,
            max_headers: 64,
            max_header_kib: 32,
            header_timeout_ms: 10_000,
            body_timeout_ms: 30_000,
            idle_timeout_ms: 75_000,
            request_timeout_ms: 60_000,
            drain_timeout_ms: 20_000,
            drain_delay_ms: 0,
            max_body_kib: 1024,
            cors_origins: vec!["*".to_owned()],
            cors_max_age_seconds: 7200,
            rate_limit: RateLimitConfig::default(),
            response_cache: ResponseCacheConfig::default(),
            idempotency_hours: 24,
            idempotency_lease_ms: 120_000,
            compress_from_bytes: 1024,
        }
    }
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        Self {
            address_per_second: 200,
            address_burst: 1000,
            identity_per_second: 500,
            identity_burst: 2000,
            login_per_minute: 30,
            register_per_minute: 120,
            spared: vec!["127.0.0.0/8".to_owned(), "::1/128".to_owned()],
        }
    }
}

impl Default for ResponseCacheConfig {
    fn default() -> Self {
        Self { max_mib: 32, max_answer_kib: 512, max_age_seconds: 3600 }
    }
}

impl HttpConfig {
    /// What the types alone do not exclude. The error names the key and the remedy.
    pub fn check(&self) -> Result<(), String> {
        networks("http.trusted_proxies", &self.trusted_proxies)?;
        networks("http.rate_limit.spared", &self.rate_limit.spared)?;
        if !self.metrics_address.is_empty() && self.metrics_address.parse::<std::net::SocketAddr>().is_err() {
            return Err("http.metrics_address: write ADDRESS:PORT, or nothing for no metrics".to_owned());
        }
        for origin in &self.cors_origins {
            if origin != "*" && !is_origin(origin) {
                return Err(format!("http.cors_origins: {origin:?} is no origin; write https://shop.example, or *"));
            }
        }
        for (key, value) in [
            ("max_connections", self.max_connections as u64),
            ("max_headers", self.max_headers as u64),
            ("header_timeout_ms", self.header_timeout_ms),
            ("body_timeout_ms", self.body_timeout_ms),
            ("idle_timeout_ms", self.idle_timeout_ms),
            ("request_timeout_ms", self.request_timeout_ms),
            ("max_body_kib", u64::from(self.max_body_kib)),
            ("idempotency_hours", u64::from(self.idempotency_hours)),
            ("idempotency_lease_ms", self.idempotency_lease_ms),
        ] {
            if value == 0 {
                return Err(format!("http.{key}: must be at least 1"));
            }
        }
        if self.max_header_kib < 8 {
            return Err("http.max_header_kib: must be at least 8".to_owned());
        }
        Ok(())
    }
}

/// Parses a list of CIDR networks; a single address is its own network.
pub(super) fn networks(key: &str, list: &[String]) -> Result<Vec<IpNet>, String> {
    list.iter()
        .map(|text| {
            text.parse::<IpNet>()
                .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
                .map_err(|_| format!("{key}: {text:?} is no network; write 10.0.0.0/8 or 10.1.2.3"))
        })
        .collect()
}

fn is_origin(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|uri| {
        uri.scheme().is_some() && uri.authority().is_some() && !text.ends_with('/') && uri.path_and_query().is_none_or(|path| path == "/")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_pass_their_own_check() {
        HttpConfig::default().check().unwrap();
    }

    #[test]
    fn a_wrong_network_is_named_with_its_key() {
        let config = HttpConfig { trusted_proxies: vec!["10.0.0.0/40".to_owned()], ..HttpConfig::default() };
        assert!(config.check().unwrap_err().starts_with("http.trusted_proxies"));
    }
}
