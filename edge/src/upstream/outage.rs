//! For how long no connection to an endpoint could be opened.
//!
//! A program that is restarted refuses connections for a moment. Requests wait for that long, and no longer: once an
//! endpoint is known to be away, an answer at once is better. Time is an argument.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

/// After this time without a failure, the next one begins another outage: nobody may have noticed the end of the last.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// No outage.
const NONE: u64 = 0;

/// Since when an endpoint cannot be reached, as all workers and the checks see it.
///
/// Each of them writes without regard for the others. At worst, a failure that is reported late makes an outage out of
/// one that has just ended.
#[derive(Debug)]
pub struct Outage {
    /// What the times below count from.
    epoch: Instant,
    /// When it began, in milliseconds; [`NONE`] if there is none.
    since: AtomicU64,
    /// The last failure.
    last: AtomicU64,
}

impl Outage {
    /// There is none.
    #[must_use]
    pub fn new(epoch: Instant) -> Self {
        Self { epoch, since: AtomicU64::new(NONE), last: AtomicU64::new(NONE) }
    }

    /// Notes a failure. `goes_on` says that the outage cannot have ended unnoticed since the last one.
    pub fn note(&self, now: Instant, goes_on: bool) {
        let now = self.millis(now);
        let (since, last) = (self.since.load(Relaxed), self.last.swap(now, Relaxed));
        let is_new = !goes_on && Duration::from_millis(now.saturating_sub(last)) > FORGOTTEN;
        if since == NONE || is_new {
            self.since.store(now, Relaxed);
        }
    }

    /// Notes that the endpoint was reached. Returns whether that ends an outage. Only reads if there is none.
    pub fn end(&self) -> bool {
        self.since.load(Relaxed) != NONE && self.since.swap(NONE, Relaxed) != NONE
    }

    /// How long it has lasted; `None` if there is none.
    #[must_use]
    pub fn age(&self, now: Instant) -> Option<Duration> {
        let since = self.since.load(Relaxed);
        (since != NONE).then(|| Duration::from_millis(self.millis(now).saturating_sub(since)))
    }

    /// Never [`NONE`].
    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.epoch).as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_outage_lasts_from_its_first_failure_until_the_endpoint_is_reached() {
        let start = Instant::now();
        let outage = Outage::new(start);
        assert_eq!((outage.age(start), outage.end()), (None, false));
        outage.note(start, false);
        outage.note(start + SECOND, false);
        assert_eq!(outage.age(start + 3 * SECOND), Some(3 * SECOND));
        assert!(outage.end());
        assert_eq!((outage.age(start + 3 * SECOND), outage.end()), (None, false));
        outage.note(start + 4 * SECOND, false);
        assert_eq!(outage.age(start + 5 * SECOND), Some(SECOND));
    }

    #[test]
    fn a_failure_long_after_the_last_one_begins_another_outage_unless_checks_failed_meanwhile() {
        for (goes_on, expected) in [(false, Duration::ZERO), (true, 60 * SECOND)] {
            let start = Instant::now();
            let outage = Outage::new(start);
            outage.note(start, goes_on);
            outage.note(start + 60 * SECOND, goes_on);
            assert_eq!(outage.age(start + 60 * SECOND), Some(expected), "{goes_on}");
        }
    }
}
