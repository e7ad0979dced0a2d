//! An SMS of at most 160 letters.

use super::{
    context::Context,
    gsm,
    wording::{label, summary},
};
use crate::alert::notifier::Notification;

/// The length of one message.
const MAX_LENGTH: usize = 160;

/// The most letters of the swarm's name, so that there is room for the rest.
const MAX_NAME: usize = 20;

/// Returns the text of an SMS.
#[must_use]
pub fn sms(context: &Context, notification: &Notification) -> String {
    let cluster: String = gsm::spell(&context.cluster).chars().take(MAX_NAME).collect();
    let summaries: Vec<_> = notification.items.iter().map(|item| gsm::spell(&summary(item))).collect();
    let begin = match summaries.len() {
        0 | 1 => format!("{cluster} {}: ", label(notification)),
        many => format!("{cluster} {} ({many}): ", label(notification)),
    };
    cut(&format!("{begin}{}", summaries.join("; ")))
}

/// Shortens `text` to one message.
fn cut(text: &str) -> String {
    let count = |text: &str| text.chars().map(|letter| gsm::length(letter).unwrap_or(1)).sum::<usize>();
    if count(text) <= MAX_LENGTH {
        return text.to_owned();
    }
    let mut left = MAX_LENGTH - "...".len();
    let fits = |letter: &char| {
        let length = gsm::length(*letter).unwrap_or(1);
        let fits = length <= left;
        left = left.saturating_sub(length);
        fits
    };
    let kept: String = text.chars().take_while(fits).collect();
    let end = kept.rfind(' ').filter(|end| kept.len() - end < 15).unwrap_or(kept.len());
    format!("{}...", kept[..end].trim_end_matches([' ', ',', ';', ':']))
}
