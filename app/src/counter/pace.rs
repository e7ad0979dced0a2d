//! Whether the store is slow: a disk that takes long to write, an overloaded host, a distant network.
//!
//! Pure. A slow store fails nothing by itself, so no failover helps; but visits wait, and under load they miss their
//! deadline. A change needs several round trips in a row, as one write may be slow anywhere.

use std::time::Duration;

/// How many round trips in a row change the verdict.
const ENOUGH: u32 = 3;

/// The pace of a store.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    is_slow: bool,
    /// Round trips in a row that contradict `is_slow`.
    contradictions: u32,
}

impl Pace {
    /// Records how long a round trip took. Returns whether the store is slow now, if that changed.
    ///
    /// Slow is a quarter of a visit's `deadline`, since a visit may wait for two round trips and the store's answer
    /// travels; fast again is half of that.
    pub(super) fn observe(&mut self, took: Duration, deadline: Duration) -> Option<bool> {
        let contradicts = if self.is_slow { took < deadline / 8 } else { took >= deadline / 4 };
        if !contradicts {
            self.contradictions = 0;
            return None;
        }
        self.contradictions += 1;
        if self.contradictions < ENOUGH {
            return None;
        }
        *self = Self { is_slow: !self.is_slow, contradictions: 0 };
        Some(self.is_slow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_several_round_trips_in_a_row_change_the_verdict() {
        const DEADLINE: Duration = Duration::from_millis(1800);
        let mut pace = Pace::default();
        for (millis, expected) in [
            (700, None),
            (700, None),
            (449, None),
            (700, None),
            (700, None),
            (450, Some(true)),
            (1700, None),
            (300, None),
            (10, None),
            (10, None),
            (225, None),
            (10, None),
            (10, None),
            (224, Some(false)),
            (10, None),
        ] {
            assert_eq!(pace.observe(Duration::from_millis(millis), DEADLINE), expected, "{millis} ms");
        }
    }
}
