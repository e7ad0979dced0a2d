//! How long the recent responses of a pool took, for a quantile of them.
//!
//! A histogram whose buckets grow by a quarter, as in DDSketch (Masson, Rim and Lee 2019), and which halves its counts
//! now and then, so that it follows the endpoints. Pure: durations go in, durations come out.

use std::time::Duration;

/// The upper bound of the first bucket in microseconds.
const FIRST: u64 = 100;

/// Enough buckets for two minutes.
const BUCKETS: usize = 64;

/// The counts are halved when there are so many.
const WINDOW: u32 = 2048;

/// Nothing is known before so many responses.
const ENOUGH: u32 = 100;

/// How long recent responses took.
#[derive(Clone, Debug)]
pub struct ResponseTimes {
    /// How many took at most the bound of each bucket, and more than that of the one before.
    buckets: [u32; BUCKETS],
    total: u32,
}

impl Default for ResponseTimes {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], total: 0 }
    }
}

impl ResponseTimes {
    /// Records a response.
    pub fn record(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let index = bounds().position(|bound| micros <= bound).unwrap_or(BUCKETS - 1);
        if let Some(bucket) = self.buckets.get_mut(index) {
            *bucket += 1;
            self.total += 1;
        }
        if self.total >= WINDOW {
            self.buckets.iter_mut().for_each(|bucket| *bucket /= 2);
            self.total = self.buckets.iter().sum();
        }
    }

    /// The time within which a share of the responses came, rounded up to the bound of its bucket. `None` until there
    /// were a hundred.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let enough = f64::from(self.total) * share;
        let mut seen = 0;
        let quantile = self.buckets.iter().zip(bounds()).find(|(count, _)| {
            seen += **count;
            seen > 0 && f64::from(seen) >= enough
        });
        quantile.filter(|_| self.total >= ENOUGH).map(|(_, bound)| Duration::from_micros(bound))
    }
}

/// The upper bounds of the buckets in microseconds.
fn bounds() -> impl Iterator<Item = u64> {
    std::iter::successors(Some(FIRST), |bound| Some(bound + bound / 4)).take(BUCKETS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn nothing_is_known_before_a_hundred_responses() {
        let mut times = ResponseTimes::default();
        for _ in 0..99 {
            times.record(millis(5));
            assert_eq!(times.quantile(0.95), None);
        }
        times.record(millis(5));
        let quantile = times.quantile(0.95).unwrap();
        assert!(quantile >= millis(5) && quantile <= millis(7), "{quantile:?}");
    }

    #[test]
    fn quantile_follows_the_endpoints() {
        let mut times = ResponseTimes::default();
        (0..10_000).for_each(|_| times.record(millis(5)));
        (0..10_000).for_each(|_| times.record(millis(100)));
        assert!(times.quantile(0.5).unwrap() >= millis(100));
    }

    proptest! {
        #[test]
        fn that_share_of_the_responses_is_within_the_quantile(
            took in prop::collection::vec(0_u64..100_000_000, 100..1500), share in 0.01..=1.0,
        ) {
            let mut times = ResponseTimes::default();
            took.iter().for_each(|micros| times.record(Duration::from_micros(*micros)));
            let quantile = times.quantile(share).unwrap();
            let within = took.iter().filter(|micros| Duration::from_micros(**micros) <= quantile).count();
            prop_assert!(within as f64 >= took.len() as f64 * share - 1e-6);
        }
    }
}
