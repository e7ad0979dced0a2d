//! Formats of points in time, for people and for other programs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::cluster_state::Millis;

/// Returns the current time.
#[must_use]
pub fn now() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

/// Converts a duration to milliseconds.
#[must_use]
pub fn millis(duration: Duration) -> Millis {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Converts milliseconds to a duration; negative ones are zero.
#[must_use]
pub fn duration(millis: Millis) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

fn system(at: Millis) -> SystemTime {
    // No format can express a year after 9999.
    UNIX_EPOCH + duration(at.clamp(0, 253_402_300_799_000))
}

/// Formats a time by RFC 3339: `2026-11-27T13:25:03Z`.
#[must_use]
pub fn rfc3339(at: Millis) -> String {
    humantime::format_rfc3339_seconds(system(at)).to_string()
}

/// Formats a time for people: `2026-11-27 13:25:03 UTC`.
#[must_use]
pub fn moment(at: Millis) -> String {
    format!("{} UTC", rfc3339(at).trim_end_matches('Z').replace('T', " "))
}

/// Formats the day: `2026-11-27`.
#[must_use]
pub fn date(at: Millis) -> String {
    rfc3339(at).chars().take(10).collect()
}

/// Formats the time of day: `13:25 UTC`.
#[must_use]
pub fn clock(at: Millis) -> String {
    format!("{} UTC", rfc3339(at).chars().skip(11).take(5).collect::<String>())
}

/// Formats a duration for people: `2 min`, `3 h 20 min`.
#[must_use]
pub fn span(millis: Millis) -> String {
    let seconds = millis.max(0) / 1000;
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_formatted_for_people_and_programs() {
        let at = 1_795_785_903_000;
        assert_eq!(rfc3339(at), "2026-11-27T13:25:03Z");
        assert_eq!(moment(at), "2026-11-27 13:25:03 UTC");
        assert_eq!(date(at), "2026-11-27");
        assert_eq!(clock(at), "13:25 UTC");
        assert_eq!(rfc3339(-5), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(Millis::MAX), "9999-12-31T23:59:59Z");
        let spans =
            [(-1, "0 s"), (59_999, "59 s"), (60_000, "1 min"), (3_660_000, "1 h 1 min"), (90_000_000, "1 d 1 h")];
        for (millis, text) in spans {
            assert_eq!(span(millis), text);
        }
    }
}
