//! The pause between attempts: exponential back-off with jitter.

use std::time::Duration;

/// A pause that doubles with each failure in a row, from the first pause up to the longest.
///
/// Jitter keeps clients that lost one server together from returning together. Randomness is an argument, so
/// that a test can choose it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    /// The factors for a `chance` of 0.0 and of 1.0.
    jitter: (f64, f64),
}

impl Backoff {
    /// Pauses from `first` up to `longest`, without jitter.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, jitter: (1.0, 1.0) }
    }

    /// Multiplies each pause by a factor between `from` and `to`. The factor may exceed the longest pause.
    #[must_use]
    pub const fn jitter(self, from: f64, to: f64) -> Self {
        Self { jitter: (from, to), ..self }
    }

    /// The pause after `failures` in a row; zero after none. `chance`, from 0.0 to 1.0, selects the jitter.
    #[must_use]
    pub fn after(&self, failures: u32, chance: f64) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        let full = self.first.saturating_mul(2_u32.saturating_pow(doublings)).min(self.longest);
        let (from, to) = self.jitter;
        full.mul_f64(from + (to - from) * chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn pauses_double_from_the_first_to_the_longest() {
        let backoff = Backoff::new(50 * MS, 1000 * MS);
        let table = [(0, 0), (1, 50), (2, 100), (3, 200), (4, 400), (5, 800), (6, 1000), (7, 1000), (u32::MAX, 1000)];
        for (failures, ms) in table {
            assert_eq!(backoff.after(failures, 0.5), ms * MS, "after {failures}");
        }
    }

    #[test]
    fn jitter_scales_the_pause_linearly_and_chances_out_of_range_are_clamped() {
        let backoff = Backoff::new(100 * MS, 1000 * MS).jitter(0.5, 1.5);
        for (chance, ms) in [(-1.0, 50), (0.0, 50), (0.5, 100), (1.0, 150), (2.0, 150)] {
            assert_eq!(backoff.after(1, chance), ms * MS, "{chance}");
        }
    }
}
