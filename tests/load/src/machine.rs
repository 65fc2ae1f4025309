//! Where the figures come from.

use std::fs;

use serde_json::{Value, json};

pub fn facts() -> Value {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([' ', '\t', ':']));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    json!({
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "processor": model,
        "memory_mb": field("/proc/meminfo", "MemTotal:").map(|kib| kib / 1024),
        "kernel": fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        // Others at work on the same machine make every absolute figure smaller.
        "load_average_before": load.split(' ').next(),
    })
}

/// Resident memory of a process in MB.
pub fn resident_mb(pid: u32) -> f64 {
    field(&format!("/proc/{pid}/status"), "VmRSS:").map_or(0.0, |kib| kib as f64 / 1024.0)
}

fn field(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}
