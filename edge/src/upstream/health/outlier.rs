//! Passive ejection: an endpoint that fails consecutive requests gets none for some time.
//!
//! Pure: time is an argument. This is Envoy's outlier detection reduced to its most useful part: consecutive failures
//! (refused, reset, timed out), an ejection that grows each time, and a cap on the ejected share of a pool. It detects
//! what a check cannot: an endpoint that passes its checks and fails its users. [`error_share`](super::error_share)
//! decides about statuses.

use std::time::Duration;

use tokio::time::Instant;

use crate::config;

/// The ejections of one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outlier {
    ejection: Ejection,
    /// Consecutive ejections, which determine how long the next one lasts.
    consecutive: u32,
    /// When the last ejection ended.
    ended: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ejection {
    #[default]
    NotEjected,
    /// Ejected until this time.
    Until(Instant),
    /// Ejected, and the time is over: the next check that passes ends the ejection.
    AwaitingCheck,
    /// No longer ejected, but its next request decides; see [`probation`](crate::upstream::probation).
    Probation,
}

/// The numbers of endpoints in a pool that decide whether another one may be ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolCounts {
    /// All endpoints.
    pub total: usize,
    /// Endpoints that are ejected or on probation.
    pub ejected: usize,
    /// Endpoints that currently get requests.
    pub healthy: usize,
}

impl Outlier {
    /// Whether it is ejected.
    #[must_use]
    pub fn is_ejected(&self) -> bool {
        matches!(self.ejection, Ejection::Until(_) | Ejection::AwaitingCheck)
    }

    /// Whether it is on probation after an ejection.
    #[must_use]
    pub fn is_on_probation(&self) -> bool {
        self.ejection == Ejection::Probation
    }

    /// Returns when the time of the current ejection is over; `None` if it is not ejected or the time is over already.
    #[must_use]
    pub fn until(&self) -> Option<Instant> {
        match self.ejection {
            Ejection::Until(until) => Some(until),
            Ejection::NotEjected | Ejection::AwaitingCheck | Ejection::Probation => None,
        }
    }

    /// Whether the ejection's time is over and only a passing check is missing.
    #[must_use]
    pub fn is_awaiting_check(&self) -> bool {
        self.ejection == Ejection::AwaitingCheck
    }

    /// Ejects it and returns for how long: `base` times the number of consecutive ejections, at most `max`. That number
    /// decreases by one for each `base` of time without an ejection; a probation is no such time.
    pub fn eject(&mut self, settings: &config::Ejection, now: Instant) -> Duration {
        let ended = self.ended.filter(|_| self.ejection == Ejection::NotEjected);
        let healthy_time = ended.map_or(Duration::ZERO, |ended| now.saturating_duration_since(ended));
        let forgotten = healthy_time.as_nanos().checked_div(settings.base.as_nanos()).unwrap_or(0);
        self.consecutive =
            self.consecutive.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX)).saturating_add(1);
        let duration = settings.base.saturating_mul(self.consecutive).min(settings.max);
        self.ejection = Ejection::Until(now + duration);
        duration
    }

    /// Marks the ejection's time as over: the next check that passes ends the ejection.
    pub fn expire(&mut self) {
        if self.is_ejected() {
            self.ejection = Ejection::AwaitingCheck;
        }
    }

    /// Ends an ejection with a probation.
    pub fn begin_probation(&mut self) {
        if self.is_ejected() {
            self.ejection = Ejection::Probation;
        }
    }

    /// Ends an ejection or a probation.
    pub fn release(&mut self, now: Instant) {
        if self.ejection != Ejection::NotEjected {
            self.ejection = Ejection::NotEjected;
            self.ended = Some(now);
        }
    }
}

/// Whether this number of consecutive server errors requires an ejection.
#[must_use]
pub fn is_due_to_errors(settings: &config::Ejection, errors: u32) -> bool {
    settings.counts_errors() && errors >= settings.consecutive_errors
}

/// Whether this number of consecutive failures requires an ejection.
#[must_use]
pub fn is_due(settings: &config::Ejection, failures: u32) -> bool {
    !settings.is_off() && failures >= settings.consecutive_failures
}

/// Whether one more endpoint may be ejected: the share allows it, and another endpoint still gets requests.
#[must_use]
pub fn may_eject(settings: &config::Ejection, pool: PoolCounts) -> bool {
    pool.healthy > 1 && within_share(settings, pool.total, pool.ejected + 1)
}

/// Whether one on probation may be ejected again: another endpoint gets requests.
#[must_use]
pub fn may_eject_again(settings: &config::Ejection, pool: PoolCounts) -> bool {
    !settings.is_off() && pool.healthy > 0
}

/// Whether `ejected` endpoints of `total` are within the share. One endpoint may always be ejected, so that ejection
/// works in a small pool, unless the share is 0 or the pool has only one endpoint.
#[must_use]
pub fn within_share(settings: &config::Ejection, total: usize, ejected: usize) -> bool {
    // A hundredth of an endpoint compensates for shares without an exact binary form (0.29 of 100).
    let allowed = total as f64 * settings.max_share + 0.01;
    ejected == 0 || (ejected < total && settings.max_share > 0.0 && (ejected == 1 || ejected as f64 <= allowed))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn ejection(consecutive_failures: u32, max_share: f64) -> config::Ejection {
        let (base, max) = (Duration::from_secs(5), Duration::from_secs(60));
        config::Ejection { consecutive_failures, consecutive_errors: 0, base, max, max_share, error_share: 0.5 }
    }

    #[test]
    fn share_is_rounded_down_but_allows_one_of_several() {
        for (total, share, most) in [
            (0, 0.5, 0),
            (1, 0.5, 0),
            (1, 1.0, 0),
            (2, 0.5, 1),
            (3, 0.5, 1),
            (3, 0.1, 1),
            (4, 0.5, 2),
            (5, 1.0, 4),
            (10, 0.3, 3),
            (100, 0.29, 29),
            (10, 0.0, 0),
        ] {
            let allowed = (0..=total).filter(|ejected| within_share(&ejection(5, share), total, *ejected)).max();
            assert_eq!(allowed, Some(most), "{share} of {total}");
        }
    }

    #[test]
    fn last_endpoint_that_gets_requests_is_not_ejected() {
        let pool = PoolCounts { total: 4, ejected: 0, healthy: 1 };
        assert!(!may_eject(&ejection(5, 0.5), pool));
        assert!(may_eject(&ejection(5, 0.5), PoolCounts { healthy: 2, ..pool }));
    }

    #[test]
    fn threshold_of_zero_disables_ejection() {
        assert!(!is_due(&ejection(0, 0.5), u32::MAX));
        assert!(!is_due(&ejection(5, 0.5), 4));
        assert!(is_due(&ejection(5, 0.5), 5));
    }

    #[test]
    fn consecutive_ejections_grow_up_to_the_maximum() {
        let settings = ejection(5, 0.5);
        let (mut outlier, mut now) = (Outlier::default(), Instant::now());
        let mut durations = Vec::new();
        for _ in 0..14 {
            let duration = outlier.eject(&settings, now);
            now += duration;
            outlier.release(now);
            durations.push(duration.as_secs());
        }
        assert_eq!(durations, [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 60, 60]);
    }

    #[test]
    fn time_without_ejection_shortens_the_next_one() {
        let settings = ejection(5, 0.5);
        let (mut outlier, mut now) = (Outlier::default(), Instant::now());
        for _ in 0..3 {
            outlier.eject(&settings, now);
            outlier.release(now);
        }
        now += Duration::from_secs(9);
        assert_eq!(outlier.eject(&settings, now).as_secs(), 15, "3 consecutive, minus one expired, plus one");
        outlier.release(now);
        now += Duration::from_secs(3600);
        assert_eq!(outlier.eject(&settings, now).as_secs(), 5);
    }

    #[test]
    fn failed_probation_lasts_longer_and_good_behaviour_after_a_passed_one_makes_it_shorter() {
        let settings = ejection(5, 0.5);
        let (mut outlier, mut now) = (Outlier::default(), Instant::now());
        let mut durations = Vec::new();
        for _ in 0..4 {
            let duration = outlier.eject(&settings, now);
            durations.push(duration.as_secs());
            now += duration;
            outlier.begin_probation();
            assert!(outlier.is_on_probation() && !outlier.is_ejected() && outlier.until().is_none());
            now += Duration::from_secs(7);
        }
        assert_eq!(durations, [5, 10, 15, 20], "the time on probation is no good behaviour");
        outlier.release(now);
        for (healthy, expected) in [(4, 25), (10, 20), (40, 5)] {
            now += Duration::from_secs(healthy);
            assert_eq!(outlier.eject(&settings, now).as_secs(), expected, "after {healthy} s");
            outlier.begin_probation();
            outlier.release(now);
        }
        assert_eq!(outlier.eject(&settings, now).as_secs(), 10);
        outlier.begin_probation();
        now += Duration::from_secs(3600);
        assert_eq!(outlier.eject(&settings, now).as_secs(), 15, "it waited for a request, and then failed");
    }

    #[test]
    fn consecutive_errors_count_only_by_choice() {
        let settings = config::Ejection { consecutive_errors: 3, ..ejection(5, 0.5) };
        assert!(!is_due_to_errors(&settings, 2) && is_due_to_errors(&settings, 3));
        assert!(!is_due_to_errors(&ejection(5, 0.5), u32::MAX));
        assert!(!is_due_to_errors(&config::Ejection { consecutive_failures: 0, ..settings }, u32::MAX));
    }

    #[test]
    fn base_of_zero_does_not_divide_by_zero() {
        let settings = config::Ejection { base: Duration::ZERO, ..ejection(5, 0.5) };
        assert_eq!(Outlier::default().eject(&settings, Instant::now()), Duration::ZERO);
    }

    #[test]
    fn expired_ejection_waits_for_a_check() {
        let now = Instant::now();
        let mut outlier = Outlier::default();
        outlier.expire();
        assert!(!outlier.is_ejected() && !outlier.is_awaiting_check());
        let duration = outlier.eject(&ejection(5, 0.5), now);
        assert_eq!(outlier.until(), Some(now + duration));
        outlier.expire();
        assert!(outlier.is_ejected() && outlier.is_awaiting_check() && outlier.until().is_none());
        outlier.release(now + duration);
        assert!(!outlier.is_ejected());
    }

    proptest! {
        #[test]
        fn ejecting_while_allowed_never_exceeds_the_share(total in 0_usize..300, share in 0.0_f64..=1.0) {
            let settings = ejection(5, share);
            let mut ejected = 0;
            while may_eject(&settings, PoolCounts { total, ejected, healthy: total - ejected }) {
                ejected += 1;
            }
            prop_assert!(ejected == 0 || ejected < total);
            prop_assert!(ejected <= 1 || ejected as f64 <= total as f64 * share + 0.01);
        }
    }
}
