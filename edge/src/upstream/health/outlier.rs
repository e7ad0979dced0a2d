//! Passive ejection: an endpoint at which real requests fail in a row gets none for a while.
//!
//! Pure: time is an argument. After Envoy's outlier detection, reduced to its most useful part:
//! consecutive failures (refused, reset, timed out; never a status), an ejection that grows each time
//! and a cap on how much of a pool may be out. It sees what a check cannot: an endpoint that answers
//! its checks and fails its users.

use std::time::Duration;

use tokio::time::Instant;

use crate::config;

/// The ejections of one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outlier {
    ejection: Ejection,
    /// Ejections in a row; sets how long the next one lasts.
    row: u32,
    /// When the last one ended.
    ended: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ejection {
    /// Not ejected.
    #[default]
    In,
    /// Ejected.
    Until(Instant),
    /// Ejected, the time is over: a check that passes lets it back in.
    AwaitingCheck,
}

/// How a pool stands when one of its endpoints is to be ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Endpoints.
    pub total: usize,
    /// Those that are ejected already.
    pub ejected: usize,
    /// Those that get requests at present.
    pub healthy: usize,
}

impl Outlier {
    /// Whether it is ejected.
    #[must_use]
    pub fn is_out(&self) -> bool {
        self.ejection != Ejection::In
    }

    /// When the present ejection's time is over, if that is still to come.
    #[must_use]
    pub fn until(&self) -> Option<Instant> {
        match self.ejection {
            Ejection::Until(until) => Some(until),
            Ejection::In | Ejection::AwaitingCheck => None,
        }
    }

    /// Whether it only waits for a check to pass.
    #[must_use]
    pub fn is_awaiting_check(&self) -> bool {
        self.ejection == Ejection::AwaitingCheck
    }

    /// Ejects it and says for how long: `base` times the number of ejections in a row, at most `max`.
    /// That number falls by one for each `base` of good time since the last ejection.
    pub fn eject(&mut self, settings: &config::Ejection, now: Instant) -> Duration {
        let good_time = self.ended.map_or(Duration::ZERO, |ended| now.saturating_duration_since(ended));
        let forgotten = good_time.as_nanos().checked_div(settings.base.as_nanos()).unwrap_or(0);
        self.row = self.row.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX)).saturating_add(1);
        let duration = settings.base.saturating_mul(self.row).min(settings.max);
        self.ejection = Ejection::Until(now + duration);
        duration
    }

    /// Notes that the time is over: from now on the next check that passes ends the ejection.
    pub fn expire(&mut self) {
        if self.is_out() {
            self.ejection = Ejection::AwaitingCheck;
        }
    }

    /// Ends an ejection.
    pub fn release(&mut self, now: Instant) {
        if self.is_out() {
            self.ejection = Ejection::In;
            self.ended = Some(now);
        }
    }
}

/// Whether that many failures in a row call for an ejection.
#[must_use]
pub fn is_due(settings: &config::Ejection, failures: u32) -> bool {
    settings.consecutive_failures > 0 && failures >= settings.consecutive_failures
}

/// Whether one more endpoint may be ejected: the share allows it, and it is not the last one that gets
/// requests.
#[must_use]
pub fn may_eject(settings: &config::Ejection, pool: Standing) -> bool {
    pool.healthy > 1 && within_share(settings, pool.total, pool.ejected + 1)
}

/// Whether `ejected` endpoints of `total` are no more than the share. One may always be out, so that
/// ejection works in a small pool, unless the share is 0 or there is only one endpoint.
#[must_use]
pub fn within_share(settings: &config::Ejection, total: usize, ejected: usize) -> bool {
    // A hundredth of an endpoint makes up for shares that have no exact binary form (0.29 of 100).
    let allowed = total as f64 * settings.max_share + 0.01;
    ejected == 0 || (ejected < total && settings.max_share > 0.0 && (ejected == 1 || ejected as f64 <= allowed))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn ejection(consecutive_failures: u32, max_share: f64) -> config::Ejection {
        let (base, max) = (Duration::from_secs(5), Duration::from_secs(60));
        config::Ejection { consecutive_failures, base, max, max_share }
    }

    #[test]
    fn the_share_is_rounded_down_but_lets_one_of_several_go() {
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
    fn the_last_endpoint_that_gets_requests_stays() {
        let pool = Standing { total: 4, ejected: 0, healthy: 1 };
        assert!(!may_eject(&ejection(5, 0.5), pool));
        assert!(may_eject(&ejection(5, 0.5), Standing { healthy: 2, ..pool }));
    }

    #[test]
    fn a_threshold_of_zero_turns_ejection_off() {
        assert!(!is_due(&ejection(0, 0.5), u32::MAX));
        assert!(!is_due(&ejection(5, 0.5), 4));
        assert!(is_due(&ejection(5, 0.5), 5));
    }

    #[test]
    fn ejections_in_a_row_grow_up_to_the_maximum() {
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
    fn good_time_shortens_the_next_ejection() {
        let settings = ejection(5, 0.5);
        let (mut outlier, mut now) = (Outlier::default(), Instant::now());
        for _ in 0..3 {
            outlier.eject(&settings, now);
            outlier.release(now);
        }
        now += Duration::from_secs(9);
        assert_eq!(outlier.eject(&settings, now).as_secs(), 15, "3 in a row, one forgotten, one more");
        outlier.release(now);
        now += Duration::from_secs(3600);
        assert_eq!(outlier.eject(&settings, now).as_secs(), 5);
    }

    #[test]
    fn a_base_of_zero_does_not_divide_by_zero() {
        let settings = config::Ejection { base: Duration::ZERO, ..ejection(5, 0.5) };
        assert_eq!(Outlier::default().eject(&settings, Instant::now()), Duration::ZERO);
    }

    #[test]
    fn the_time_of_an_ejection_comes_and_goes() {
        let now = Instant::now();
        let mut outlier = Outlier::default();
        outlier.expire();
        assert!(!outlier.is_out() && !outlier.is_awaiting_check());
        let duration = outlier.eject(&ejection(5, 0.5), now);
        assert_eq!(outlier.until(), Some(now + duration));
        outlier.expire();
        assert!(outlier.is_out() && outlier.is_awaiting_check() && outlier.until().is_none());
        outlier.release(now + duration);
        assert!(!outlier.is_out());
    }

    proptest! {
        #[test]
        fn ejecting_while_allowed_never_exceeds_the_share(total in 0_usize..300, share in 0.0_f64..=1.0) {
            let settings = ejection(5, share);
            let mut ejected = 0;
            while may_eject(&settings, Standing { total, ejected, healthy: total - ejected }) {
                ejected += 1;
            }
            prop_assert!(ejected == 0 || ejected < total);
            prop_assert!(ejected <= 1 || ejected as f64 <= total as f64 * share + 0.01);
        }
    }
}
