//! Simulated time.

use std::time::Duration;

/// Microseconds since the start.
pub type Time = u64;

/// One second.
pub const SECOND: Time = 1_000_000;
/// The round trip to an endpoint.
pub(super) const ROUND_TRIP: Time = 1_000;

/// Converts a duration to [`Time`].
#[must_use]
pub fn micros(duration: Duration) -> Time {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
