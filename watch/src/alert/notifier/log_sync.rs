//! What an instance writes to the log, and reads from it, in one update.

use crate::{
    alert::notification_log::{Book, Told},
    cluster_state::Millis,
};

/// How long a notification that is being sent without a claim keeps others from sending it.
const HOLD: Millis = 20_000;

/// What to write to the log. Notifications carry their age, since the log has its own clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Push {
    /// The instance.
    pub(super) owner: String,
    /// Notifications that the log does not have yet: receiver, fingerprint, entry and age.
    pub(super) told: Vec<(String, String, Told, Millis)>,
    /// Notifications that the log should have, but may have lost.
    pub(super) known: Vec<(String, String, Told, Millis)>,
    /// Alerts that are being sent without a claim: receiver and fingerprint.
    pub(super) claimed: Vec<(String, String)>,
    /// Claims that are no longer needed.
    pub(super) released: Vec<(String, String)>,
    /// Fingerprints of the alerts that this instance sees firing.
    pub(super) seen: Vec<String>,
    /// When this was made.
    pub(super) at: Millis,
}

impl Push {
    /// Writes to `book`, and returns what it has: receiver, fingerprint and entry, whose `at` is its age.
    pub fn apply(&self, book: &mut Book, now: Millis) -> Vec<(String, String, Told)> {
        for (channel, fingerprint, told, age) in &self.told {
            book.record(&self.owner, channel, fingerprint, Told { at: now - age, ..told.clone() });
        }
        for (channel, fingerprint, told, age) in &self.known {
            book.remind(channel, fingerprint, Told { at: now - age, ..told.clone() });
        }
        for (channel, fingerprint) in &self.claimed {
            book.hold(&self.owner, channel, fingerprint, HOLD, now);
        }
        for (channel, fingerprint) in &self.released {
            book.release(&self.owner, channel, fingerprint);
        }
        book.see(&self.owner, self.seen.iter().map(String::as_str), now);
        let age = |told: &Told| Told { at: now - told.at, ..told.clone() };
        book.told()
            .map(|(channel, fingerprint, told)| (channel.to_owned(), fingerprint.to_owned(), age(told)))
            .collect()
    }
}
