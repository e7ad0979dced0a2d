//! Pure: whether a receiver fails, and when to try it again.

use std::time::Duration;

use crate::{
    alert::{
        notifier::group::{Failure, Retry},
        time::millis,
    },
    cluster_state::Millis,
};

/// How long after its last failure an unused receiver counts as working again.
const FAILURE_TIMEOUT: Millis = 20 * 60_000;

/// The failures of a receiver since its last success.
#[derive(Debug)]
pub(super) struct Failing {
    error: String,
    /// How many in a row.
    times: u32,
    /// One such failure is enough for an alert.
    is_grave: bool,
    last: Millis,
    /// The earliest time of the next attempt.
    retry_at: Millis,
}

impl Failing {
    /// Adds a failure to those `before`.
    pub(super) fn after(before: Option<&Self>, failure: Failure, now: Millis) -> Self {
        let pause = match failure.retry {
            Retry::After(pause) => pause,
            Retry::Partial | Retry::Permanent => Duration::ZERO,
        };
        Self {
            error: failure.error,
            times: times(before) + 1,
            is_grave: !matches!(failure.retry, Retry::After(_)),
            last: now,
            retry_at: now.saturating_add(millis(pause)),
        }
    }

    /// The receiver must not be tried yet.
    pub(super) fn is_paused(&self, now: Millis) -> bool {
        self.retry_at > now
    }

    /// The error, if it is worth an alert.
    pub(super) fn error(&self, now: Millis) -> Option<&str> {
        let is_lasting = self.is_grave || self.times > 1;
        (is_lasting && now - self.last < FAILURE_TIMEOUT).then_some(&self.error)
    }
}

/// How many failures there were in a row.
pub(super) fn times(failing: Option<&Failing>) -> u32 {
    failing.map_or(0, |failing| failing.times)
}
