//! How long an endpoint takes to respond, as a moving average that is sensitive to peaks.
//!
//! The peak EWMA of Finagle (`PeakEwma` in `com.twitter.finagle.loadbalancer.p2c`), which linkerd's proxy uses too: a
//! duration above the estimate replaces it at once, and a lower one pulls it down, the more the longer the last one was
//! ago. So the estimate warns of an endpoint that becomes slow by its first slow response, and is cautious after that.
//! While nothing is measured the estimate falls as well, so that an endpoint that was slow is tried again.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// The time in which an estimate falls to 37 % of its value. The default of Finagle and linkerd.
const DECAY: Duration = Duration::from_secs(10);

/// What a failed attempt counts for the latency of its endpoint, if it did not take longer: an endpoint that fails at
/// once must not look fast.
pub const FAILED: Duration = Duration::from_secs(1);

/// The estimate of one worker. Only that worker writes it.
#[derive(Debug, Default)]
pub struct PeakEwma {
    /// The estimate in seconds, as the bits of a number; 0 before the first measurement.
    estimate: AtomicU64,
    /// When that was, in nanoseconds.
    at: AtomicU64,
}

impl PeakEwma {
    /// Records a duration. `now` is the time since any moment, which is about the same for all calls and workers.
    pub fn record(&self, took: Duration, now: Duration) {
        let next = next(self.last(), self.elapsed(now), took.as_secs_f64());
        self.estimate.store(next.to_bits(), Relaxed);
        self.at.store(nanos(now), Relaxed);
    }

    /// Returns the estimate in seconds; 0 before the first measurement.
    #[must_use]
    pub fn seconds(&self, now: Duration) -> f64 {
        next(self.last(), self.elapsed(now), 0.0)
    }

    fn last(&self) -> f64 {
        f64::from_bits(self.estimate.load(Relaxed))
    }

    fn elapsed(&self, now: Duration) -> Duration {
        Duration::from_nanos(nanos(now).saturating_sub(self.at.load(Relaxed)))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns the estimate after a measurement, each in seconds.
fn next(estimate: f64, elapsed: Duration, took: f64) -> f64 {
    if took >= estimate {
        return took;
    }
    let kept = (-elapsed.as_secs_f64() / DECAY.as_secs_f64()).exp();
    estimate * kept + took * (1.0 - kept)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_peak_counts_at_once_and_is_forgotten_slowly() {
        let latency = PeakEwma::default();
        let now = |estimate: f64, expected: f64| assert!((estimate - expected).abs() < 1e-6, "{estimate}");
        now(latency.seconds(seconds(5.0)), 0.0);
        latency.record(seconds(0.01), seconds(5.0));
        now(latency.seconds(seconds(5.0)), 0.01);
        latency.record(seconds(2.0), seconds(6.0));
        now(latency.seconds(seconds(6.0)), 2.0);
        latency.record(seconds(0.01), seconds(6.0));
        now(latency.seconds(seconds(6.0)), 2.0);
        latency.record(seconds(0.01), seconds(16.0));
        now(latency.seconds(seconds(16.0)), 2.0 * (-1_f64).exp() + 0.01 * (1.0 - (-1_f64).exp()));
        assert!(latency.seconds(seconds(60.0)) < 0.01, "it is tried again");
    }

    proptest! {
        #[test]
        fn the_estimate_is_between_zero_and_the_highest_duration(
            durations in prop::collection::vec((0.0_f64..100.0, 0.0_f64..100.0), 1..50),
        ) {
            let (latency, mut now, mut highest) = (PeakEwma::default(), 0.0, 0.0_f64);
            for (took, pause) in durations {
                now += pause;
                highest = highest.max(took);
                latency.record(seconds(took), seconds(now));
                let estimate = latency.seconds(seconds(now));
                prop_assert!(estimate >= took.min(highest) - 1e-6 && estimate <= highest + 1e-6, "{}", estimate);
            }
        }
    }
}
