//! What an instance writes to the log, and reads from it, in one update.

use crate::{
    alert::notification_log::{LogEntry, NotificationLog},
    cluster_state::Millis,
};

/// How long a notification that is being sent without a claim keeps others from sending it.
const HOLD: Millis = 20_000;

/// What to write to the log. Notifications carry their age, since the log has its own clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSync {
    /// The instance.
    pub(super) owner: String,
    /// Notifications that the log does not have yet: receiver, fingerprint, entry and age.
    pub(super) unlogged: Vec<(String, String, LogEntry, Millis)>,
    /// Notifications that the log should have, but may have lost.
    pub(super) logged: Vec<(String, String, LogEntry, Millis)>,
    /// Alerts that are being sent without a claim: receiver and fingerprint.
    pub(super) claimed: Vec<(String, String)>,
    /// Claims that are no longer needed.
    pub(super) released: Vec<(String, String)>,
    /// Fingerprints of the alerts that this instance sees firing.
    pub(super) seen: Vec<String>,
    /// When this was made.
    pub(super) at: Millis,
}

impl LogSync {
    /// Writes to `log`, and returns what it has: receiver, fingerprint and entry, whose `at` is its age.
    pub fn apply(&self, log: &mut NotificationLog, now: Millis) -> Vec<(String, String, LogEntry)> {
        for (receiver, fingerprint, entry, age) in &self.unlogged {
            log.record(&self.owner, receiver, fingerprint, LogEntry { at: now - age, ..entry.clone() });
        }
        for (receiver, fingerprint, entry, age) in &self.logged {
            log.restore(receiver, fingerprint, LogEntry { at: now - age, ..entry.clone() });
        }
        for (receiver, fingerprint) in &self.claimed {
            log.claim_if_free(&self.owner, receiver, fingerprint, HOLD, now);
        }
        for (receiver, fingerprint) in &self.released {
            log.release(&self.owner, receiver, fingerprint);
        }
        log.record_seen(&self.owner, self.seen.iter().map(String::as_str), now);
        let age = |entry: &LogEntry| LogEntry { at: now - entry.at, ..entry.clone() };
        log.entries()
            .map(|(receiver, fingerprint, entry)| (receiver.to_owned(), fingerprint.to_owned(), age(entry)))
            .collect()
    }
}
