//! A cached clock: one reading for everything that happens at one wake-up.
//!
//! A request needs the time in a dozen places: deadlines, latencies, the log. Reading the clock costs as much as an
//! allocation, so a connection reads it once when it is polled, and all code below uses that reading.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

/// The clock of one worker.
#[derive(Debug)]
pub struct Clock {
    /// When it was created.
    began: Instant,
    now: Cell<Instant>,
    /// The same instant on both clocks, read again every second because the wall clock may be set.
    wall: Cell<(Instant, SystemTime)>,
    /// The current second and its text in the format of `Date`.
    date: RefCell<(u64, String)>,
}

impl Clock {
    /// Reads both clocks.
    #[must_use]
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            began: now,
            now: Cell::new(now),
            wall: Cell::new((now, SystemTime::now())),
            date: RefCell::new((u64::MAX, String::new())),
        }
    }

    /// Reads the clock and caches the reading. Call it where a task is polled.
    pub fn tick(&self) -> Instant {
        let now = Instant::now();
        self.now.set(now);
        now
    }

    /// The cached reading.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now.get()
    }

    /// The time of the cached reading since the clock was created.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.now().saturating_duration_since(self.began)
    }

    /// Reads the wall clock as well. Call it about once a second.
    pub fn set(&self) {
        self.wall.set((self.tick(), SystemTime::now()));
    }

    /// The time of day at `instant`.
    #[must_use]
    pub fn wall(&self, instant: Instant) -> SystemTime {
        let (then, wall) = self.wall.get();
        if instant >= then { wall + (instant - then) } else { wall.checked_sub(then - instant).unwrap_or(wall) }
    }

    /// Passes the time of day in the format of `Date` (RFC 9110 section 5.6.7) to `f`.
    pub fn with_date<T>(&self, f: impl FnOnce(&str) -> T) -> T {
        let wall = self.wall(self.now());
        let second = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let mut date = self.date.borrow_mut();
        if date.0 != second {
            // The format cannot express years after 9999.
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second.min(253_402_300_799));
            *date = (second, httpdate::fmt_http_date(time));
        }
        f(&date.1)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_reading_stays_the_same_between_ticks() {
        let clock = Clock::new();
        let before = clock.now();
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert_eq!(clock.now(), before);
        assert_eq!(clock.tick() - before, Duration::from_millis(1500));
        assert_eq!(clock.wall(clock.now()).duration_since(clock.wall(before)).unwrap(), Duration::from_millis(1500));
    }

    #[test]
    fn the_date_follows_the_second() {
        let clock = Clock::new();
        clock.wall.set((clock.now(), SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_999)));
        assert_eq!(clock.with_date(str::to_owned), "Sun, 06 Nov 1994 08:49:37 GMT");
        clock.wall.set((clock.now(), SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_778_000)));
        assert_eq!(clock.with_date(str::to_owned), "Sun, 06 Nov 1994 08:49:38 GMT");
    }
}
