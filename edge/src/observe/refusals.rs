//! Limits the log lines about refused clients. In an attack a worker refuses thousands of clients a second: their lines
//! must not fill the disk, but some must remain, because they name the attacker.

use std::{cell::Cell, time::Duration};

use tokio::time::Instant;

/// The maximum number of lines in each [`WINDOW`].
const MAX_LINES: u32 = 10;
/// The time after which more lines are admitted.
const WINDOW: Duration = Duration::from_secs(1);

/// The limit for the lines of one worker.
#[derive(Debug, Default)]
pub struct Refusals {
    /// When the current window began; `None` before the first line.
    began: Cell<Option<Instant>>,
    lines: Cell<u32>,
    omitted: Cell<u64>,
}

impl Refusals {
    /// Whether a line may be written now. Returns the number of lines that were omitted since the last one.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        if self.began.get().is_none_or(|began| now.saturating_duration_since(began) >= WINDOW) {
            self.began.set(Some(now));
            self.lines.set(0);
        }
        if self.lines.get() >= MAX_LINES {
            self.omitted.set(self.omitted.get() + 1);
            return None;
        }
        self.lines.set(self.lines.get() + 1);
        Some(self.omitted.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_reduced_to_some_lines_a_second_and_the_others_are_counted() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        let admitted: Vec<_> = (0..2_500).filter_map(|at| refusals.admit(start + Duration::from_millis(at))).collect();
        let mut expected = vec![0; 30];
        (expected[10], expected[20]) = (990, 990);
        assert_eq!(admitted, expected);
        assert_eq!(refusals.admit(start + Duration::from_secs(60)), Some(490));
    }
}
