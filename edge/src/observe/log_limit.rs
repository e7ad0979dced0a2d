//! Limits the log lines about one kind of event that may happen thousands of times a second.

use std::{cell::Cell, time::Duration};

use tokio::time::Instant;

/// The time after which more lines are admitted.
const WINDOW: Duration = Duration::from_secs(1);

/// The limit for one kind of event, on one thread: at most this number of `LINES` in each second.
#[derive(Debug, Default)]
pub struct LogLimit<const LINES: u32 = 1> {
    /// When the current window began; `None` before the first line.
    began: Cell<Option<Instant>>,
    written: Cell<u32>,
    omitted: Cell<u64>,
}

impl<const LINES: u32> LogLimit<LINES> {
    /// Whether a line may be written now. Returns the number of lines that were omitted since the last one.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        if self.began.get().is_none_or(|began| now.saturating_duration_since(began) >= WINDOW) {
            self.began.set(Some(now));
            self.written.set(0);
        }
        if self.written.get() >= LINES {
            self.omitted.set(self.omitted.get().saturating_add(1));
            return None;
        }
        self.written.set(self.written.get() + 1);
        Some(self.omitted.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_reduced_to_some_lines_a_second_and_the_others_are_counted() {
        let (limit, start) = (LogLimit::<10>::default(), Instant::now());
        let admit = |at| limit.admit(start + Duration::from_millis(at));
        let mut expected = vec![0; 30];
        (expected[10], expected[20]) = (990, 990);
        assert_eq!((0..2_500).filter_map(admit).collect::<Vec<_>>(), expected);
        assert_eq!(admit(60_000), Some(490));
    }

    #[test]
    fn one_line_a_second_is_the_default() {
        let (limit, start) = (<LogLimit>::default(), Instant::now());
        let admit = |at| limit.admit(start + Duration::from_millis(at));
        assert_eq!((0..2_500).filter_map(admit).collect::<Vec<_>>(), [0, 999, 999]);
        assert_eq!(admit(60_000), Some(499));
    }
}
