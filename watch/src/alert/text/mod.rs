//! Pure: what messages say.

mod gsm;
mod json;
mod plain;
mod sms;
#[cfg(test)]
mod tests;

pub use self::{
    json::{alertmanager, document, ntfy, slack},
    plain::{body, subject},
    sms::sms,
};
use super::{
    notifier::{Item, Kind, Notice},
    settings::General,
};
use crate::cluster_state::Severity;

/// What all messages have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// What the swarm is called.
    pub cluster: String,
    /// Where the page is.
    pub link: Option<String>,
}

impl From<&General> for Context {
    fn from(general: &General) -> Self {
        Self { cluster: general.cluster.clone(), link: general.link.clone() }
    }
}

/// The first word of a message.
fn word(notice: &Notice) -> &'static str {
    match (notice.kind, notice.severity()) {
        (Kind::Resolved | Kind::Late, _) => "RESOLVED",
        (Kind::Firing, Severity::Critical) => "CRITICAL",
        (Kind::Firing, Severity::Warning) => "WARNING",
        (Kind::Firing, Severity::Info) => "INFO",
    }
}

/// A message in one line.
fn headline(notice: &Notice) -> String {
    let first = notice.items.iter().max_by_key(|item| item.severity).map(summary).unwrap_or_default();
    match notice.items.len() {
        0 | 1 => format!("{}: {first}", word(notice)),
        many => format!("{} ({many}): {first}, and more", word(notice)),
    }
}

/// One line of clean text: engines and programs put anything into their messages.
fn summary(item: &Item) -> String {
    clean(&item.summary, 500)
}

/// `text` without control characters and line ends, at most so many characters of it.
#[must_use]
pub fn clean(text: &str, most: usize) -> String {
    let words: Vec<_> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    shorten(&words.join(" "), most)
}

/// At most so many characters, with an ellipsis where some are missing.
fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    // At the end of a word, if one is near.
    let end = kept.rfind(' ').filter(|end| kept.len() - end < 20).unwrap_or(kept.len());
    format!("{}\u{2026}", kept[..end].trim_end_matches([' ', ',', ';', ':']))
}
