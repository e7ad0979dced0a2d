//! Limits the log lines about one kind of event that may happen thousands of times a second.

use std::{cell::Cell, time::Duration};

use tokio::time::Instant;

/// The time in which at most one line is written.
const WINDOW: Duration = Duration::from_secs(1);

/// The limit for one kind of event, on one thread.
#[derive(Debug, Default)]
pub struct LogLimit {
    /// When the last line was written; `None` before the first.
    last: Cell<Option<Instant>>,
    omitted: Cell<u64>,
}

impl LogLimit {
    /// Whether a line may be written now. Returns the number of lines that were omitted since the last one.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        if self.last.get().is_some_and(|last| now.saturating_duration_since(last) < WINDOW) {
            self.omitted.set(self.omitted.get().saturating_add(1));
            return None;
        }
        self.last.set(Some(now));
        Some(self.omitted.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_second_is_written_and_the_others_are_counted() {
        let (limit, start) = (LogLimit::default(), Instant::now());
        let admit = |at| limit.admit(start + Duration::from_millis(at));
        assert_eq!((0..2_500).filter_map(admit).collect::<Vec<_>>(), [0, 999, 999]);
        assert_eq!(admit(60_000), Some(499));
    }
}
