//! The labels and values of series.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::admin::status::PoolStatus;

impl PoolStatus {
    /// The label with the name of the pool.
    pub(super) fn label(&self) -> (&'static str, &str) {
        ("pool", &self.name)
    }
}

/// Converts the value of a series for a gauge.
pub(super) fn float<L>((labels, number): (L, u64)) -> (L, f64) {
    (labels, number as f64)
}

/// Returns 0 or 1.
pub(super) fn flag(flag: bool) -> f64 {
    f64::from(u8::from(flag))
}

/// Returns a time as Unix time in whole seconds; 0 before 1970.
pub(super) fn unix(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs() as f64)
}
