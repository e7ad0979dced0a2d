//! Parsing of fields that several lists share.

use std::time::UNIX_EPOCH;

use crate::clock::Millis;

/// Longest message kept, in characters.
const MAX_CHARS: usize = 500;

/// Parses a time of the engine; `None` for an invalid one, and for Go's zero time, the year 1.
pub(super) fn millis(text: Option<&String>) -> Option<Millis> {
    let time = humantime::parse_rfc3339(text?).ok()?;
    Millis::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// A message of the engine, truncated to [`MAX_CHARS`]; `None` if it is empty.
pub(super) fn message(text: Option<&String>) -> Option<String> {
    let text = text?.trim();
    (!text.is_empty()).then(|| text.chars().take(MAX_CHARS).collect())
}
