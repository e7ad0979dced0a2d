//! How long the names of replicas are not believed.

use std::time::Duration;

use tokio::time::Instant;

/// How long no replica is known after one connection showed two names. Doubles each time that happens, up to
/// [`LONGEST_MISNAMED`].
pub(super) const MISNAMED: Duration = Duration::from_secs(10);

/// The longest such time. After as long without two names, the next time is short again.
pub(super) const LONGEST_MISNAMED: Duration = Duration::from_secs(600);

/// Whether one connection showed two names, so that the field names something else. A new version of the program may
/// mend that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Misnamed {
    pub(super) is_on: bool,
    /// When it ends, or ended; `None` before the first time, and until the next [tick](Self::tick).
    until: Option<Instant>,
    /// How often it happened.
    times: u32,
}

impl Misnamed {
    pub(super) fn begin(&mut self) {
        if !self.is_on {
            *self = Self { is_on: true, until: None, times: self.times.saturating_add(1) };
        }
    }

    pub(super) fn tick(&mut self, now: Instant) {
        if self.is_on {
            let time = MISNAMED.saturating_mul(1 << (self.times.saturating_sub(1)).min(16)).min(LONGEST_MISNAMED);
            self.is_on = now < *self.until.get_or_insert(now + time);
        } else if self.until.is_some_and(|until| now >= until + LONGEST_MISNAMED) {
            *self = Self::default();
        }
    }
}
