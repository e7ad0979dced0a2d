//! The rate of one client's requests, by the generic cell rate algorithm (ITU-T I.371, annex A). It keeps one instant for
//! each client, instead of a bucket of tokens and the time of its last refill.

use std::time::Duration;

use tokio::time::Instant;

/// How many requests a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The time between two requests of a client that sends as many as it may.
    interval: Duration,
    /// How much earlier than that a request may arrive.
    tolerance: Duration,
}

impl Rate {
    /// Allows `each_second` requests in the long run, and `burst` of them at once. `None` if `each_second` is 0, which
    /// allows any number.
    #[must_use]
    pub fn new(each_second: u32, burst: u32) -> Option<Self> {
        let interval = Duration::from_secs(1).checked_div(each_second)?;
        Some(Self { interval, tolerance: interval.saturating_mul(burst.saturating_sub(1)) })
    }

    /// Admits a request at `now`, or returns `None` if it is one too many. `expected` is the result for the client's
    /// last request. An instant in the past means the same as `None`.
    #[must_use]
    pub(super) fn admit(self, expected: Option<Instant>, now: Instant) -> Option<Instant> {
        let expected = expected.map_or(now, |expected| expected.max(now));
        let early = expected.saturating_duration_since(now);
        (early <= self.tolerance).then(|| expected + self.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends requests at these times in milliseconds. Returns the times of the admitted ones.
    fn admitted(rate: Rate, times: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let (start, mut expected) = (Instant::now(), None);
        let admit = |at: &u64| match rate.admit(expected, start + Duration::from_millis(*at)) {
            Some(next) => {
                expected = Some(next);
                true
            }
            None => false,
        };
        times.into_iter().filter(admit).collect()
    }

    #[test]
    fn a_client_may_send_a_burst_and_then_the_rate() {
        let rate = Rate::new(10, 3).unwrap();
        assert_eq!(admitted(rate, [0, 0, 0, 0, 0, 99, 100, 150, 199, 200]), [0, 0, 0, 100, 200]);
    }

    #[test]
    fn a_pause_gives_the_burst_back_and_no_more() {
        let rate = Rate::new(10, 2).unwrap();
        assert_eq!(admitted(rate, [0, 0, 60_000, 60_000, 60_000]), [0, 0, 60_000, 60_000]);
    }

    #[test]
    fn a_refused_request_does_not_count() {
        let rate = Rate::new(1, 1).unwrap();
        assert_eq!(admitted(rate, (0..=1000).step_by(10)), [0, 1000]);
    }

    #[test]
    fn zero_each_second_is_no_limit() {
        assert_eq!(Rate::new(0, 5), None);
    }
}
