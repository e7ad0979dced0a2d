//! The latency histogram of a pool, and quantiles of it.

use crate::observe::stats::{LATENCY_BOUNDS_US, PerWorker, PoolStats};

/// The latencies of one pool, summed over all workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Histogram {
    /// Counts by bucket, not cumulative. The last bucket is above all bounds.
    pub(super) buckets: [u64; LATENCY_BOUNDS_US.len() + 1],
    /// The sum of all durations in microseconds.
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

    /// Estimates a quantile in milliseconds: the duration that a share of `quantile` (0.0 to 1.0) of all durations do
    /// not exceed. Like Prometheus' `histogram_quantile`, it assumes that durations are distributed evenly within a
    /// bucket. Never above the last bound. `None` for an empty histogram.
    pub(super) fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        let rank = self.count() as f64 * quantile;
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
    fn an_empty_histogram_has_no_quantile_and_none_exceeds_the_last_bound() {
        assert_eq!(histogram(&[]).quantile_ms(0.5), None);
        assert_eq!(histogram(&[60_000_000]).quantile_ms(0.5), Some(10_000.0));
    }
}
