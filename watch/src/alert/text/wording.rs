//! The words and lines that messages are made of.

use crate::{
    alert::notifier::{Item, Kind, Notification},
    cluster_state::Severity,
};

/// Returns the first word of a message.
pub(super) fn label(notification: &Notification) -> &'static str {
    match (notification.kind, notification.severity()) {
        (Kind::Resolved | Kind::Late, _) => "RESOLVED",
        (Kind::Firing, Severity::Critical) => "CRITICAL",
        (Kind::Firing, Severity::Warning) => "WARNING",
        (Kind::Firing, Severity::Info) => "INFO",
    }
}

/// Summarizes a message in one line.
pub(super) fn headline(notification: &Notification) -> String {
    let first = notification.items.iter().max_by_key(|item| item.severity).map(summary).unwrap_or_default();
    match notification.items.len() {
        0 | 1 => format!("{}: {first}", label(notification)),
        many => format!("{} ({many}): {first}, and more", label(notification)),
    }
}

/// Returns what is wrong, or how it ended, as one clean line: the messages of engines and programs may contain
/// anything.
pub(super) fn summary(item: &Item) -> String {
    clean(item.end.as_ref().unwrap_or(&item.summary), 500)
}

/// Returns what is or was wrong as one clean line.
pub(super) fn problem(item: &Item) -> String {
    clean(&item.summary, 500)
}

/// Returns `text` without control characters and line ends, at most `most` characters of it.
#[must_use]
pub fn clean(text: &str, most: usize) -> String {
    let words: Vec<_> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    shorten(&words.join(" "), most)
}

/// Shortens `text` to `most` characters, with an ellipsis if some are missing.
pub(super) fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    // At the end of a word, if one is near.
    let end = kept.rfind(' ').filter(|end| kept.len() - end < 20).unwrap_or(kept.len());
    format!("{}\u{2026}", kept[..end].trim_end_matches([' ', ',', ';', ':']))
}
