//! How long a connection may do nothing useful: send its head byte by byte, never send one, never read its answer.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use http::Version;

use crate::config::HttpConfig;

/// What HTTP/2 writes for its own upkeep (a ping's answer has 17 bytes) is shorter: a client that only pings is idle.
const LEAST_BYTES_OF_AN_ANSWER: usize = 64;

pub(super) struct Patience {
    head: Duration,
    idle: Duration,
    /// From a request's head to the last byte of its answer.
    whole: Duration,
}

impl Patience {
    pub fn new(config: &HttpConfig) -> Self {
        Self {
            head: Duration::from_millis(config.header_timeout_ms),
            idle: Duration::from_millis(config.idle_timeout_ms),
            whole: Duration::from_millis(config.request_timeout_ms),
        }
    }

    pub fn tick(&self) -> Duration {
        (self.head.min(self.idle).min(self.whole) / 4).clamp(Duration::from_millis(20), Duration::from_secs(1))
    }
}

/// What happened on a connection and when, in milliseconds since it was opened.
pub(super) struct ConnectionClock {
    opened: Instant,
    requests: AtomicU32,
    /// When the last request's head was complete.
    asked: AtomicU64,
    /// Whether nothing more can be written until the client has read what was written before.
    full: AtomicBool,
    /// The last time something moved: a request ended, bytes were written.
    moved: AtomicU64,
    /// When the first byte of a head that is not complete yet came; 0: none did.
    head_began: AtomicU64,
    /// Frames come at any time there, heads whole or not at all; only idleness is watched.
    multiplexed: AtomicBool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Fine,
    TooSlow,
    Idle,
}

impl ConnectionClock {
    pub fn new() -> Self {
        Self {
            opened: Instant::now(),
            requests: AtomicU32::new(0),
            asked: AtomicU64::new(0),
            full: AtomicBool::new(false),
            moved: AtomicU64::new(0),
            head_began: AtomicU64::new(0),
            multiplexed: AtomicBool::new(false),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .max(1)
    }

    pub fn bytes_came(&self) {
        if self.requests.load(Ordering::Relaxed) == 0 && self.head_began.load(Ordering::Relaxed) == 0 {
            self.head_began.store(self.now(), Ordering::Relaxed);
        }
    }

    /// What became of an attempt to write.
    pub fn wrote(&self, outcome: &Poll<io::Result<usize>>) {
        match outcome {
            Poll::Ready(Ok(bytes)) => self.bytes_went(*bytes),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.full.store(true, Ordering::Relaxed),
        }
    }

    fn bytes_went(&self, bytes: usize) {
        self.full.store(false, Ordering::Relaxed);
        if !self.multiplexed.load(Ordering::Relaxed) || bytes >= LEAST_BYTES_OF_AN_ANSWER {
            self.moved();
        }
    }

    fn moved(&self) {
        self.moved.store(self.now(), Ordering::Relaxed);
    }

    pub fn verdict(&self, patience: &Patience) -> Verdict {
        if self.requests.load(Ordering::Relaxed) > 0 {
            return Verdict::Fine;
        }
        let since = |then: u64| Duration::from_millis(self.now().saturating_sub(then));
        let head_began = self.head_began.load(Ordering::Relaxed);
        if head_began > 0 && !self.multiplexed.load(Ordering::Relaxed) && since(head_began) > patience.head {
            return Verdict::TooSlow;
        }
        // An answer that is taken a few bytes at a time keeps moving and would stay in memory for hours.
        if self.full.load(Ordering::Relaxed) && since(self.asked.load(Ordering::Relaxed)) > patience.whole {
            return Verdict::TooSlow;
        }
        if since(self.moved.load(Ordering::Relaxed)) > patience.idle {
            Verdict::Idle
        } else {
            Verdict::Fine
        }
    }
}

/// A request being answered on a connection.
pub(super) struct Busy(Arc<ConnectionClock>);

impl Busy {
    pub fn new(clock: &Arc<ConnectionClock>, version: Version) -> Self {
        clock.requests.fetch_add(1, Ordering::Relaxed);
        clock.head_began.store(0, Ordering::Relaxed);
        clock.asked.store(clock.now(), Ordering::Relaxed);
        if version == Version::HTTP_2 {
            clock.multiplexed.store(true, Ordering::Relaxed);
        }
        Self(clock.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.moved();
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience(head_ms: u64, idle_ms: u64) -> Patience {
        Patience {
            head: Duration::from_millis(head_ms),
            idle: Duration::from_millis(idle_ms),
            whole: Duration::from_millis(idle_ms),
        }
    }

    #[test]
    fn a_head_that_does_not_end_is_told_from_a_quiet_connection() {
        let clock = Arc::new(ConnectionClock::new());
        assert_eq!(clock.verdict(&patience(5, 1000)), Verdict::Fine);
        clock.bytes_came();
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(clock.verdict(&patience(5, 1000)), Verdict::TooSlow);
        let busy = Busy::new(&clock, Version::HTTP_11);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(clock.verdict(&patience(5, 5)), Verdict::Fine);
        drop(busy);
        assert_eq!(clock.verdict(&patience(5, 1000)), Verdict::Fine);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(clock.verdict(&patience(5, 5)), Verdict::Idle);
    }

    #[test]
    fn an_answer_taken_a_few_bytes_at_a_time_is_given_up() {
        let clock = Arc::new(ConnectionClock::new());
        clock.bytes_came();
        drop(Busy::new(&clock, Version::HTTP_11));
        for _ in 0..6 {
            clock.wrote(&Poll::Ready(Ok(1000)));
            clock.wrote(&Poll::Pending);
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(clock.verdict(&patience(1000, 40)), Verdict::TooSlow);
        // Taken whole, the connection is only quiet.
        clock.wrote(&Poll::Ready(Ok(1000)));
        assert_eq!(clock.verdict(&patience(1000, 40)), Verdict::Fine);
    }
}
