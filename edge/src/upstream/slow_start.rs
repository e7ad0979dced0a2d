//! Slow start: an endpoint that is new or recovered gets its share of the requests step by step.
//!
//! A program that has just started has empty caches, no warm code and no connections of its own, and fails under a load
//! that it carries a minute later. Its weight therefore begins with a tenth of what is configured and grows evenly to
//! all of it, as with `slowstart` of HAProxy and nginx, and as Envoy's `slow_start_config` does it with its defaults
//! (`aggression` 1.0, `min_weight_percent` 10 %). Weights are relative: endpoints that are all new share all requests.
//!
//! Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use super::endpoint::{EndpointState, WEIGHT_UNIT};

/// The percentage of an endpoint that has all of its weight.
pub const FULL: u32 = WEIGHT_UNIT;

/// The percentage with which it begins.
const LEAST: u32 = 10;

/// Where an endpoint is between new and warm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowStart {
    /// It has all of its weight.
    #[default]
    Done,
    /// It is new or out of use: it begins when the endpoint gets requests.
    Due,
    /// The endpoint gets requests since the last [tick](Self::tick).
    Begun,
    /// The endpoint gets requests since this time.
    Since(Instant),
}

impl SlowStart {
    /// Follows the state of the endpoint. Returns whether it begins.
    ///
    /// An endpoint that drained is as warm as before.
    pub fn follow(&mut self, state: EndpointState) -> bool {
        match state {
            EndpointState::Unhealthy
            | EndpointState::Ejected
            | EndpointState::Probation
            | EndpointState::Maintenance => *self = Self::Due,
            EndpointState::Healthy if *self == Self::Due => {
                *self = Self::Begun;
                return true;
            }
            EndpointState::Healthy | EndpointState::Unchecked | EndpointState::Draining => {}
        }
        false
    }

    /// Goes on to `now`, and returns the percentage of its weight that the endpoint has. It takes `duration` in all.
    pub fn tick(&mut self, duration: Duration, now: Instant) -> u32 {
        let since = match *self {
            Self::Done => return FULL,
            // In a panic it gets no more than one that has just begun.
            Self::Due => return LEAST,
            Self::Begun => now,
            Self::Since(since) => since,
        };
        let percentage = percentage(now.saturating_duration_since(since), duration);
        *self = if percentage < FULL { Self::Since(since) } else { Self::Done };
        percentage
    }
}

/// The percentage after `elapsed`.
#[must_use]
pub fn percentage(elapsed: Duration, duration: Duration) -> u32 {
    let passed = elapsed.as_nanos().saturating_mul(u128::from(FULL)).checked_div(duration.as_nanos());
    passed.and_then(|passed| u32::try_from(passed).ok()).unwrap_or(FULL).clamp(LEAST, FULL)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEN_SECONDS: Duration = Duration::from_secs(10);

    #[test]
    fn weight_grows_from_a_tenth_to_all_of_it() {
        let mut slow_start = SlowStart::Due;
        assert!(slow_start.follow(EndpointState::Healthy) && !slow_start.follow(EndpointState::Healthy));
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        for (seconds, expected) in [(0, 10), (1, 10), (2, 20), (5, 50), (9, 90), (10, 100), (11, 100)] {
            assert_eq!(slow_start.tick(TEN_SECONDS, at(seconds)), expected, "after {seconds} s");
        }
        assert_eq!(slow_start, SlowStart::Done);
    }

    #[test]
    fn endpoint_that_fails_meanwhile_begins_again() {
        let mut slow_start = SlowStart::Due;
        let now = Instant::now();
        slow_start.follow(EndpointState::Healthy);
        slow_start.tick(TEN_SECONDS, now);
        assert!(!slow_start.follow(EndpointState::Unhealthy));
        assert_eq!(slow_start.tick(TEN_SECONDS, now + TEN_SECONDS), LEAST, "in a panic it is used");
        assert!(slow_start.follow(EndpointState::Healthy));
        assert_eq!(slow_start.tick(TEN_SECONDS, now + TEN_SECONDS), LEAST);
    }

    #[test]
    fn known_and_draining_endpoints_keep_their_weight() {
        let mut slow_start = SlowStart::Done;
        for state in [EndpointState::Unchecked, EndpointState::Healthy, EndpointState::Draining] {
            assert!(!slow_start.follow(state) && !slow_start.follow(EndpointState::Healthy), "{state:?}");
        }
    }

    proptest! {
        #[test]
        fn percentage_never_falls_and_ends_at_all(
            one in 0_u64..100_000, other in 0_u64..100_000, duration in 0_u64..100_000,
        ) {
            let of = |millis| percentage(Duration::from_millis(millis), Duration::from_millis(duration));
            let (earlier, later) = (one.min(other), one.max(other));
            prop_assert!(LEAST <= of(earlier) && of(earlier) <= of(later) && of(later) <= FULL);
            prop_assert_eq!(of(duration), FULL);
        }
    }
}
