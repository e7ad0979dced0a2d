//! Exponential back-off with jitter.

use std::time::Duration;

/// A delay that doubles with each consecutive failure, from an initial delay up to a maximum.
///
/// Jitter keeps clients that lost a server at the same time from reconnecting at the same time. Randomness is an
/// argument, so that tests can choose it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    /// The factors for a `chance` of 0.0 and of 1.0.
    jitter: (f64, f64),
}

impl Backoff {
    /// Creates a back-off from `initial` up to `max`, without jitter.
    #[must_use]
    pub const fn new(initial: Duration, max: Duration) -> Self {
        Self { initial, max, jitter: (1.0, 1.0) }
    }

    /// Multiplies each delay by a factor between `from` and `to`. The result may exceed the maximum.
    #[must_use]
    pub const fn jitter(self, from: f64, to: f64) -> Self {
        Self { jitter: (from, to), ..self }
    }

    /// Returns the delay after `failures` consecutive failures; zero after none. `chance`, from 0.0 to 1.0, selects the
    /// jitter.
    #[must_use]
    pub fn after(&self, failures: u32, chance: f64) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        let full = self.initial.saturating_mul(2_u32.saturating_pow(doublings)).min(self.max);
        let (from, to) = self.jitter;
        full.mul_f64(from + (to - from) * chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn delays_double_from_the_initial_one_to_the_maximum() {
        let backoff = Backoff::new(50 * MS, 1000 * MS);
        let table = [(0, 0), (1, 50), (2, 100), (3, 200), (4, 400), (5, 800), (6, 1000), (7, 1000), (u32::MAX, 1000)];
        for (failures, ms) in table {
            assert_eq!(backoff.after(failures, 0.5), ms * MS, "after {failures}");
        }
    }

    #[test]
    fn jitter_scales_the_delay_linearly_and_chances_out_of_range_are_clamped() {
        let backoff = Backoff::new(100 * MS, 1000 * MS).jitter(0.5, 1.5);
        for (chance, ms) in [(-1.0, 50), (0.0, 50), (0.5, 100), (1.0, 150), (2.0, 150)] {
            assert_eq!(backoff.after(1, chance), ms * MS, "{chance}");
        }
    }
}
