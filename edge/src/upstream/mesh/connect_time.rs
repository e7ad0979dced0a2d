//! How long to wait for a connection, from how long connecting usually takes.
//!
//! Until a swarm notices that a machine has no power, some of its new connections lead to a replica there, and nobody
//! answers their SYN. Waiting for the configured timeout each time would cost a visitor a second. The quantile comes
//! from a histogram whose buckets grow by a quarter, as in DDSketch (Masson, Rim and Lee 2019), and which halves its
//! counts now and then, so that it follows the network. Pure: durations go in, durations come out.

use std::time::Duration;

/// The shortest limit. A segment that is lost on the way is sent again only after a second, so a shorter one would gain
/// little.
const FLOOR: Duration = Duration::from_millis(100);

/// The limit is this many times the 99th percentile.
const TIMES_USUAL: u32 = 4;

/// A second connection is opened after this many times the 99th percentile.
const TIMES_LATE: u32 = 2;

/// The shortest time after which a connection is late.
const LATE_FLOOR: Duration = Duration::from_millis(20);

/// The limit doubles with each further connection that timed out, once so many did in a row: the network may have
/// become slower, which no successful connection would show.
const LATE_IN_A_ROW: u32 = 3;

/// The upper bound of the first bucket.
const FIRST: Duration = Duration::from_micros(50);

/// How much larger the bound of each bucket is than that of the one before.
const GROWTH: f64 = 1.25;

/// Enough buckets for more than a minute.
const BUCKETS: usize = 64;

/// The counts are halved when there are so many.
const WINDOW: u32 = 512;

/// How long recent connections took.
#[derive(Clone, Debug)]
pub struct ConnectTimes {
    /// How many took at most the bound of each bucket, and more than that of the one before.
    buckets: [u32; BUCKETS],
    total: u32,
    /// How many timed out since the last one that succeeded.
    late: u32,
}

impl Default for ConnectTimes {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], total: 0, late: 0 }
    }
}

impl ConnectTimes {
    /// Records a connection that succeeded.
    pub fn succeeded(&mut self, took: Duration) {
        self.late = 0;
        let index = bounds().position(|bound| took <= bound).unwrap_or(BUCKETS - 1);
        if let Some(bucket) = self.buckets.get_mut(index) {
            *bucket += 1;
            self.total += 1;
        }
        if self.total >= WINDOW {
            self.buckets.iter_mut().for_each(|bucket| *bucket /= 2);
            self.total = self.buckets.iter().sum();
        }
    }

    /// Records a connection that timed out. It says nothing about how long connecting takes: a dead machine never
    /// answers.
    pub fn timed_out(&mut self) {
        self.late = self.late.saturating_add(1);
    }

    /// How long the next connection may take, at most `cap`. Until one has succeeded, that is `cap`.
    #[must_use]
    pub fn limit(&self, cap: Duration) -> Duration {
        let Some(usual) = self.usual() else { return cap };
        let doublings = self.late.saturating_sub(LATE_IN_A_ROW - 1).min(16);
        (usual * TIMES_USUAL).max(FLOOR).saturating_mul(1 << doublings).min(cap)
    }

    /// After what time a connection is late, so that a second one is opened beside it. At most half of the limit.
    #[must_use]
    pub fn late_after(&self, cap: Duration) -> Duration {
        let usual = self.usual().map_or(FLOOR, |usual| usual * TIMES_LATE);
        usual.max(LATE_FLOOR).min(self.limit(cap) / 2)
    }

    /// The 99th percentile, rounded up to the bound of its bucket.
    fn usual(&self) -> Option<Duration> {
        // The last percent, rounded down, may take longer.
        let enough = self.total - self.total / 100;
        let mut seen = 0;
        let quantile = self.buckets.iter().zip(bounds()).find(|(count, _)| {
            seen += **count;
            seen >= enough
        });
        quantile.filter(|_| self.total > 0).map(|(_, bound)| bound)
    }
}

/// The upper bounds of the buckets.
fn bounds() -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(FIRST), |bound| Some(bound.mul_f64(GROWTH))).take(BUCKETS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CAP: Duration = Duration::from_secs(1);

    fn times(took: &[u64]) -> ConnectTimes {
        let mut times = ConnectTimes::default();
        took.iter().for_each(|micros| times.succeeded(Duration::from_micros(*micros)));
        times
    }

    #[test]
    fn nothing_is_known_before_the_first_connection() {
        let times = ConnectTimes::default();
        assert_eq!((times.limit(CAP), times.late_after(CAP)), (CAP, FLOOR));
        assert_eq!(times.late_after(Duration::from_millis(50)), Duration::from_millis(25));
    }

    #[test]
    fn limit_is_four_times_the_usual_between_the_floor_and_the_cap() {
        assert_eq!(times(&[300; 50]).limit(CAP), FLOOR);
        let slow = times(&[80_000; 50]).limit(CAP);
        assert!((320..=400).contains(&slow.as_millis()), "{slow:?}");
        assert_eq!(times(&[400_000; 50]).limit(CAP), CAP);
        assert_eq!(times(&[300; 50]).limit(Duration::from_millis(30)), Duration::from_millis(30));
    }

    #[test]
    fn one_slow_connection_of_hundreds_does_not_count() {
        let mut took = vec![300; 300];
        took.push(900_000);
        assert_eq!(times(&took).limit(CAP), FLOOR);
        assert_eq!(times(&[300, 900_000]).limit(CAP), CAP);
    }

    #[test]
    fn a_dead_machine_among_others_does_not_raise_the_limit() {
        let mut times = times(&[300; 50]);
        for _ in 0..100 {
            times.timed_out();
            times.timed_out();
            assert_eq!(times.limit(CAP), FLOOR);
            times.succeeded(Duration::from_micros(300));
        }
    }

    #[test]
    fn a_network_that_became_slower_is_followed() {
        let mut times = times(&[300; 1000]);
        for _ in 0..3 {
            times.timed_out();
        }
        assert_eq!(times.limit(CAP), FLOOR * 2);
        for _ in 0..10 {
            times.timed_out();
        }
        assert_eq!(times.limit(CAP), CAP);
        for _ in 0..20 {
            times.succeeded(Duration::from_millis(150));
        }
        assert!(times.limit(CAP) > Duration::from_millis(500));
        for _ in 0..5000 {
            times.succeeded(Duration::from_micros(300));
        }
        assert_eq!(times.limit(CAP), FLOOR, "and forgotten again");
    }

    proptest! {
        #[test]
        fn limits_stay_within_their_bounds(
            took in prop::collection::vec(prop::option::of(0_u64..100_000_000), 0..2000), cap in 1_u64..10_000,
        ) {
            let cap = Duration::from_millis(cap);
            let mut times = ConnectTimes::default();
            for took in took {
                match took {
                    Some(micros) => times.succeeded(Duration::from_micros(micros)),
                    None => times.timed_out(),
                }
                let limit = times.limit(cap);
                prop_assert!(limit >= FLOOR.min(cap) && limit <= cap);
                prop_assert!(times.late_after(cap) <= limit / 2);
            }
        }

        #[test]
        fn most_of_what_was_recorded_is_within_the_limit(took in prop::collection::vec(0_u64..200_000, 1..500)) {
            let limit = times(&took).limit(Duration::from_secs(60));
            let within = took.iter().filter(|micros| Duration::from_micros(**micros) <= limit).count();
            prop_assert!(within * 100 >= took.len() * 98);
        }
    }
}
