//! Alerts that are claimed and sent together, as one message.

use std::time::Duration;

use crate::{
    alert::{
        condition::Subject,
        notification_log::{Announcement, ClaimRequest, ClaimResult, NotificationLog, Status},
        rule::Rule,
    },
    cluster_state::{Millis, Severity},
};

/// What a message says about its alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// They are firing.
    Firing,
    /// They have ended.
    Resolved,
    /// They fired and ended before a message could be sent.
    Late,
}

impl Kind {
    /// The status that the log has after the message was sent.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Self::Firing => Status::Firing,
            Self::Resolved | Self::Late => Status::Resolved,
        }
    }
}

/// Alerts of one rule to claim in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertGroup {
    /// The channel's name.
    pub receiver: String,
    /// What to announce.
    pub kind: Kind,
    /// The rule that found all of them.
    pub rule: Rule,
    /// The alerts, each with the time since when it has been pending.
    pub requests: Vec<(ClaimRequest, Millis)>,
}

impl AlertGroup {
    /// Claims the alerts in `log` for `owner`. In entries that are returned, `at` is their age.
    pub fn claim(&self, owner: &str, log: &mut NotificationLog, lifetime: Millis, now: Millis) -> Vec<ClaimResult> {
        let requests: Vec<_> = self.requests.iter().map(|(request, _)| request.clone()).collect();
        let mut results = log.claim(owner, &self.receiver, &requests, lifetime, now);
        for result in &mut results {
            if let ClaimResult::AlreadySent(Some(entry)) = result {
                entry.at = now - entry.at;
            }
        }
        results
    }
}

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Unique.
    pub id: String,
    /// The channel's name.
    pub receiver: String,
    /// What the message says.
    pub kind: Kind,
    /// The name of the rule that found the alerts.
    pub rule: &'static str,
    /// The alerts; at least one.
    pub items: Vec<Item>,
    /// The message is only logged, since the channel does not send ends.
    pub silent: bool,
    /// How many times in a row the channel failed before, or these recipients did.
    pub failures: u32,
    /// The recipients that do not have the message; empty for all.
    pub recipients: Vec<String>,
}

/// One alert of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Identifies the alert.
    pub fingerprint: String,
    /// Its severity.
    pub severity: Severity,
    /// What is or was wrong, in one sentence.
    pub summary: String,
    /// How the alert ended, in one sentence.
    pub end: Option<String>,
    /// What the alert is about.
    pub subject: Subject,
    /// Since when the condition has held.
    pub since: Millis,
    /// When the alert ended.
    pub ended: Option<Millis>,
    /// The id of the message that announced its beginning.
    pub thread: Option<String>,
}

impl Notification {
    /// Returns the highest severity of the alerts.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.items.iter().map(|item| item.severity).max().unwrap_or_default()
    }

    /// Whether `recipient` has to get the message.
    #[must_use]
    pub fn is_for<T: AsRef<str>>(&self, recipient: &T) -> bool {
        self.recipients.is_empty() || self.recipients.iter().any(|other| other == recipient.as_ref())
    }

    /// Returns the ids of the messages that this one replies to.
    #[must_use]
    pub fn threads(&self) -> Vec<&str> {
        let mut threads: Vec<_> = self.items.iter().filter_map(|item| item.thread.as_deref()).collect();
        threads.sort_unstable();
        threads.dedup();
        threads
    }
}

/// Why a message was not sent, or not to all recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In words, without secrets.
    pub error: String,
    /// When to retry.
    pub retry: Retry,
    /// If some recipients have the message: the others.
    pub undelivered: Vec<Undelivered>,
}

/// A recipient that does not have a message which others have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// The recipient's address or number.
    pub recipient: String,
    /// In words, without secrets.
    pub error: String,
    /// When to retry.
    pub retry: Retry,
}

impl Failure {
    /// Creates a failure for all recipients.
    #[must_use]
    pub fn new(error: impl Into<String>, retry: Retry) -> Self {
        Self { error: error.into(), retry, undelivered: Vec::new() }
    }
}

/// When to retry after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Retry, at the earliest after this time.
    After(Duration),
    /// Do not retry soon: only an operator can fix the cause.
    Permanent,
    /// Retry only for the recipients that do not have the message.
    Partial,
}

/// Returns what to claim in the log in order to send an alert.
pub(super) fn announcement(
    kind: Kind,
    fired: Millis,
    severity: Severity,
    repeat: Option<Millis>,
    now: Millis,
) -> Announcement {
    match kind {
        Kind::Firing => Announcement::Firing { age: now - fired, severity, repeat },
        Kind::Late => Announcement::Firing { age: now - fired, severity: Severity::Info, repeat: None },
        Kind::Resolved => Announcement::Resolved,
    }
}
