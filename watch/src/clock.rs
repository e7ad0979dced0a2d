//! The time of day, as the cluster state and the API carry it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 in UTC.
pub type Millis = i64;

/// The current time.
pub(crate) fn now() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|age| age.as_millis().try_into().ok()).unwrap_or(0)
}
