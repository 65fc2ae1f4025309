//! `[plugins]` of `commerce.toml`: what the sandbox may use on this node.

use serde::{Deserialize, Serialize};

/// Defaults apply where a plugin's manifest is silent, caps where it asks for more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PluginsConfig {
    /// Top-level calls (requests, events, jobs) at the same time on this node.
    pub concurrent_calls: u32,
    /// How deep plugins may call each other within one call.
    pub call_depth: u32,
    /// How long a call waits for its turn before it is answered 503.
    pub queue_wait_ms: u64,
    pub deadline_ms: u64,
    pub deadline_cap_ms: u64,
    /// Linear memory of one call.
    pub memory_mib: u32,
    pub memory_cap_mib: u32,
    /// Linear memory of all calls of one plugin together, beyond the first 4 MiB of each.
    pub plugin_memory_mib: u32,
    pub answer_kib: u32,
    pub answer_cap_kib: u32,
    /// Top-level calls of one plugin at the same time on this node.
    pub instances: u32,
    pub instances_cap: u32,
    /// Database connections that the calls of one plugin may hold or wait for at the same time.
    pub connections: u32,
    pub connections_cap: u32,
    /// Instances that are kept warm when idle; each keeps up to 2 MiB.
    pub warm_instances: u32,
    pub http_timeout_cap_ms: u64,
    pub http_answer_kib: u32,
    /// Hosts with ports, such as `127.0.0.1:9000`, to which granted plugins may send plain HTTP and which may be private
    /// addresses. For simulators and tests; empty in production.
    pub http_plain_hosts: Vec<String>,
    /// Networks inside which granted hosts may lie although they are private, such as `10.1.0.0/16`.
    pub http_private_networks: Vec<ipnet::IpNet>,
}

impl Default for PluginsConfig {
    fn default() -> Self {
        Self {
            concurrent_calls: 512,
            call_depth: 8,
            queue_wait_ms: 1_000,
            deadline_ms: 5_000,
            deadline_cap_ms: 60_000,
            memory_mib: 64,
            memory_cap_mib: 256,
            plugin_memory_mib: 512,
            answer_kib: 4_096,
            answer_cap_kib: 16_384,
            instances: 64,
            instances_cap: 256,
            connections: 12,
            connections_cap: 64,
            warm_instances: 48,
            http_timeout_cap_ms: 30_000,
            http_answer_kib: 4_096,
            http_plain_hosts: Vec::new(),
            http_private_networks: Vec::new(),
        }
    }
}
