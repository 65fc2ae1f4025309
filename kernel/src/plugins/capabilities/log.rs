//! `log`: without a grant, but bounded, and blind to secrets.
//!
//! A line of a plugin stands under its name, version and request id. Control characters are escaped, so that no line can look
//! like one of the kernel's, and the values of secrets that the call has read are blotted out.

use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::super::bindings::imports::log::{Host, Level};
use super::super::instance::CallState;

const LINES_PER_CALL: u32 = 100;
const LINES_PER_SECOND: NonZeroU32 = NonZeroU32::new(200).unwrap();
const MAX_LINE_BYTES: usize = 8 << 10;
/// Blotting out shorter ones would tell more than it hides.
const MIN_SECRET_BYTES: usize = 4;

/// How many lines a plugin may write on this node, over all its calls.
pub struct LogRate(DefaultDirectRateLimiter);

impl Default for LogRate {
    fn default() -> Self {
        Self(RateLimiter::direct(Quota::per_second(LINES_PER_SECOND)))
    }
}

/// What one call has written, and which values it must not write.
#[derive(Default)]
pub struct LogBudget {
    lines: u32,
    secrets: Vec<String>,
}

impl LogBudget {
    /// Called with every secret that the call is given.
    pub fn never_show(&mut self, secret: &str) {
        if secret.len() >= MIN_SECRET_BYTES {
            self.secrets.push(secret.to_owned());
        }
    }

    fn clean(&self, mut message: String) -> String {
        for secret in &self.secrets {
            if message.contains(secret.as_str()) {
                message = message.replace(secret.as_str(), "[redacted]");
            }
        }
        if message.len() > MAX_LINE_BYTES {
            message.truncate(message.floor_char_boundary(MAX_LINE_BYTES));
            message.push('…');
        }
        if message.contains(char::is_control) {
            message = message
                .chars()
                .flat_map(|one| {
                    if one.is_control() {
                        one.escape_default().collect()
                    } else {
                        vec![one]
                    }
                })
                .collect();
        }
        message
    }
}

impl Host for CallState {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.log.lines += 1;
        if self.log.lines > LINES_PER_CALL {
            return Ok(());
        }
        let message = self.log.clean(message);
        let Some(call) = &self.call else {
            tracing::warn!(target: "plugin", "while it described itself: {message}");
            return Ok(());
        };
        if call.plugin.log_rate.0.check().is_err() {
            call.plugin.counts.lines_dropped.inc();
            return Ok(());
        }
        let (plugin, version, request_id) = (&call.plugin.name, &call.plugin.version, call.tree.request_id());
        match level {
            Level::Debug => tracing::debug!(target: "plugin", %plugin, %version, request_id, "{message}"),
            Level::Info => tracing::info!(target: "plugin", %plugin, %version, request_id, "{message}"),
            Level::Warn => tracing::warn!(target: "plugin", %plugin, %version, request_id, "{message}"),
            Level::Error => tracing::error!(target: "plugin", %plugin, %version, request_id, "{message}"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_a_call_has_read_never_reaches_the_log() {
        let mut budget = LogBudget::default();
        budget.never_show("xnd_live_51aa");
        assert_eq!(
            budget.clean("sent xnd_live_51aa twice".to_owned()),
            "sent [redacted] twice"
        );
    }

    #[test]
    fn a_line_cannot_forge_another_line() {
        let line = LogBudget::default().clean("done\n2026-11-01 INFO kernel: paid \u{1b}[2J".to_owned());
        assert_eq!(line, "done\\n2026-11-01 INFO kernel: paid \\u{1b}[2J");
    }
}
