//! Quantiles out of a histogram.

use crate::observe::stats::{LATENCY_BOUNDS_US, PerWorker, PoolStats};

/// The latencies of one pool over all workers, since its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Histogram {
    /// Counts by bucket, not cumulative; the last one takes what is above all bounds.
    pub(super) buckets: [u64; LATENCY_BOUNDS_US.len() + 1],
    /// Sum of all durations in microseconds.
    pub(super) sum_us: u64,
}

impl Histogram {
    pub(super) fn of(stats: &PerWorker<PoolStats>) -> Self {
        Self {
            buckets: std::array::from_fn(|index| stats.sum(|pool| pool.latency.bucket(index))),
            sum_us: stats.sum(|pool| pool.latency.sum_us()),
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The duration in milliseconds that `share` (0.0 to 1.0) of all do not exceed, as if they were
    /// spread evenly inside a bucket (as Prometheus' `histogram_quantile` does). Beyond the last bound it
    /// is that bound. `None` while there are none.
    pub(super) fn quantile_ms(&self, share: f64) -> Option<f64> {
        let rank = self.count() as f64 * share;
        let (mut below, mut lower) = (0.0, 0.0);
        for (count, bound) in self.buckets.iter().zip(LATENCY_BOUNDS_US) {
            let (count, upper) = (*count as f64, bound as f64 / 1000.0);
            if count > 0.0 && below + count >= rank {
                return Some(lower + (upper - lower) * (rank - below) / count);
            }
            (below, lower) = (below + count, upper);
        }
        (self.count() > 0).then_some(lower)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn histogram(micros: &[u64]) -> Histogram {
        let stats = PerWorker::<PoolStats>::new(2);
        for (index, micros) in micros.iter().enumerate() {
            stats.of(index).latency.record(Duration::from_micros(*micros));
        }
        Histogram::of(&stats)
    }

    #[test]
    fn a_quantile_lies_in_the_bucket_of_its_rank() {
        let histogram = histogram(&[400, 400, 400, 40_000]);
        assert_eq!(histogram.count(), 4);
        let median = histogram.quantile_ms(0.5).unwrap();
        assert!((0.25..0.5).contains(&median), "{median}");
        let high = histogram.quantile_ms(0.99).unwrap();
        assert!((25.0..50.0).contains(&high), "{high}");
    }

    #[test]
    fn there_is_no_quantile_of_nothing_and_none_beyond_the_last_bound() {
        assert_eq!(histogram(&[]).quantile_ms(0.5), None);
        assert_eq!(histogram(&[60_000_000]).quantile_ms(0.5), Some(10_000.0));
    }
}
