//! Pure: whether a receiver fails, how gravely, and when to try it again.

use std::time::Duration;

use crate::{
    alert::{
        notifier::group::{Failure, Retry},
        time::millis,
    },
    cluster_state::{Millis, Severity},
};

/// How long after its last failure an unused receiver counts as working again.
const FAILURE_TIMEOUT: Millis = 20 * 60_000;

/// Failures over a shorter time are worth an alert only while a message waits: another instance may have sent it.
const LASTING: Millis = 3 * 60_000;

/// Failures over this time are critical: whoever relies on the channel has to know.
const CRITICAL: Millis = 15 * 60_000;

/// The failures of a receiver since its last success.
#[derive(Debug)]
pub(super) struct Failing {
    error: String,
    /// How many in a row.
    times: u32,
    /// One such failure is enough for an alert.
    is_permanent: bool,
    since: Millis,
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
            times: times(before).saturating_add(1),
            is_permanent: failure.retry == Retry::Permanent,
            since: before.map_or(now, |before| before.since),
            last: now,
            retry_at: now.saturating_add(millis(pause)),
        }
    }

    /// The receiver must not be tried yet.
    pub(super) fn is_paused(&self, now: Millis) -> bool {
        self.retry_at > now
    }

    /// The error and its severity, if it is worth an alert. `is_waiting`: a message waits for the next attempt.
    pub(super) fn error(&self, is_waiting: bool, now: Millis) -> Option<(Severity, &str)> {
        let lasts = self.last - self.since;
        let is_lasting = self.times > 1 && (is_waiting || lasts >= LASTING);
        let severity = if lasts >= CRITICAL { Severity::Critical } else { Severity::Warning };
        let counts = (self.is_permanent || is_lasting) && now - self.last < FAILURE_TIMEOUT;
        counts.then_some((severity, &self.error))
    }
}

/// How many failures there were in a row.
pub(super) fn times(failing: Option<&Failing>) -> u32 {
    failing.map_or(0, |failing| failing.times)
}
