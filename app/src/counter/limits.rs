//! Bounds on waiting.

use std::time::Duration;

/// Bounds on waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest a hit waits for its number; [`Limits::LONGEST`] caps it. Default 1.8 s, so that the client
    /// has the answer within 2 s.
    pub deadline: Duration,
    /// The number of hits that may wait for the next round trip; one more is refused at once. Default 4096,
    /// about 100 bytes each.
    pub max_waiting: usize,
}

impl Limits {
    /// The longest deadline: no client waits longer.
    pub const LONGEST: Duration = Duration::from_secs(60);
}

impl Default for Limits {
    fn default() -> Self {
        Self { deadline: Duration::from_millis(1800), max_waiting: 4096 }
    }
}
