//! Formats dates.

use std::time::{Duration, SystemTime};

/// Returns a date in UTC, such as `2026-09-21`.
pub(super) fn day(time: SystemTime) -> String {
    let text = rfc3339(time);
    text.get(..10).unwrap_or(&text).to_owned()
}

/// Returns a time in UTC with seconds (RFC 3339).
pub(super) fn rfc3339(time: SystemTime) -> String {
    // Certificates may have dates that the formatter rejects.
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    let time = time.clamp(SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + LAST);
    humantime::format_rfc3339_seconds(time).to_string()
}
