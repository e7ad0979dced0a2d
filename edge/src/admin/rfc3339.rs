//! Times in JSON: RFC 3339 and UTC, with milliseconds.

use std::time::SystemTime;

use serde::Serializer;

pub(super) fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis((*time).max(SystemTime::UNIX_EPOCH)))
}

pub(super) fn rfc3339_option<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => rfc3339(time, serializer),
        None => serializer.serialize_none(),
    }
}
