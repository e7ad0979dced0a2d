//! A worker's sign of life: a thread that is stuck stops giving it.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// When a worker last showed that it turns.
#[derive(Debug, Default)]
pub struct Heartbeat(AtomicU64);

impl Heartbeat {
    /// The worker turns.
    pub fn beat(&self, now: SystemTime) {
        self.0.store(millis(now), Relaxed);
    }

    /// How long ago it last did; `None` before the first time.
    #[must_use]
    pub fn age(&self, now: SystemTime) -> Option<Duration> {
        match self.0.load(Relaxed) {
            0 => None,
            last => Some(Duration::from_millis(millis(now).saturating_sub(last))),
        }
    }
}

fn millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
