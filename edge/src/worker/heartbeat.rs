//! A worker's heartbeat: a thread that is stuck stops recording it.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// When a worker last recorded a heartbeat, in milliseconds since the Unix epoch; 0 before the first.
#[derive(Debug, Default)]
pub struct Heartbeat(AtomicU64);

impl Heartbeat {
    /// Records a heartbeat at `now`.
    pub fn beat(&self, now: SystemTime) {
        self.0.store(millis(now), Relaxed);
    }

    /// The time since the last heartbeat; `None` before the first.
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
