//! How long a peer may be waited for, if each byte that it moves buys only as much time as a minimum rate gives it.
//!
//! A timeout that every byte restarts lets a client hold a connection for ever with one byte per timeout (slowloris,
//! and its siblings for bodies and for reading). Here a wait adds up, and bytes pay for it: below the rate the wait
//! grows, above it the wait is soon forgotten. Apache's mod_reqtimeout has the same rule as `MinRate`.

use std::time::Duration;

/// How long a peer may be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The longest wait that is not paid for.
    pub idle: Duration,
    /// The bytes that pay for one second; 0 if one byte pays for everything.
    pub min_rate: u64,
}

impl Patience {
    /// Returns what is left of a wait that was not paid for, after `bytes` moved.
    #[must_use]
    pub fn pay(&self, waited: Duration, bytes: usize) -> Duration {
        if waited.is_zero() || (self.min_rate == 0 && bytes > 0) {
            return Duration::ZERO;
        }
        // Not milliseconds: above 1,000 bytes a second, they would round what a few bytes pay for to nothing.
        let nanos = (bytes as u64).saturating_mul(1_000_000_000).checked_div(self.min_rate).unwrap_or_default();
        waited.saturating_sub(Duration::from_nanos(nanos))
    }

    /// Returns how much longer the peer may be waited for.
    #[must_use]
    pub fn left(&self, waited: Duration) -> Duration {
        self.idle.saturating_sub(waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns after how many seconds a peer that moves `bytes` every `interval` is given up, within a day.
    fn given_up(patience: Patience, bytes: usize, interval: Duration) -> Option<u64> {
        let (mut waited, mut time) = (Duration::ZERO, Duration::ZERO);
        while time.as_secs() < 24 * 60 * 60 {
            let left = patience.left(waited);
            if interval >= left {
                return Some((time + left).as_secs());
            }
            time += interval;
            waited = patience.pay(waited + interval, bytes);
        }
        None
    }

    #[test]
    fn a_peer_below_the_rate_is_given_up_and_one_above_it_never() {
        let patience = Patience { idle: 30 * SECOND, min_rate: 500 };
        for (bytes, interval, expected) in [
            // Nothing at all.
            (0, 40 * SECOND, Some(30)),
            // One byte for each timeout, or each second.
            (1, 29 * SECOND, Some(30)),
            (1, SECOND, Some(30)),
            // Half of the rate: twice the time.
            (250, SECOND, Some(59)),
            (499, SECOND, Some(14_501)),
            (500, SECOND, None),
            (2000, 4 * SECOND, None),
            // A pause within the timeout, and much at once.
            (64 * 1024, 29 * SECOND, None),
        ] {
            assert_eq!(given_up(patience, bytes, interval), expected, "{bytes} bytes every {interval:?}");
        }
    }

    #[test]
    fn few_bytes_at_a_time_pay_at_a_high_rate_too() {
        let patience = Patience { idle: 30 * SECOND, min_rate: 100_000 };
        let interval = Duration::from_micros(100);
        let waited = |bytes| (0..10_000).fold(Duration::ZERO, |waited, _| patience.pay(waited + interval, bytes));
        assert_eq!(waited(10), Duration::ZERO);
        assert_eq!(waited(9), SECOND / 10);
    }

    #[test]
    fn without_a_rate_every_byte_restarts_the_timeout() {
        let patience = Patience { idle: 30 * SECOND, min_rate: 0 };
        assert_eq!(given_up(patience, 1, 29 * SECOND), None);
        assert_eq!(given_up(patience, 0, 29 * SECOND), Some(30));
    }
}
