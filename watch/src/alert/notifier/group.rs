//! What goes through a channel as one message.

use std::time::Duration;

use crate::{
    alert::{
        condition::Subject,
        notification_log::{Announcement, ClaimRequest, ClaimResult, NotificationLog, Status},
        rule::Rule,
    },
    cluster_state::{Millis, Severity},
};

/// What a message says of its alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// They are wrong.
    Firing,
    /// They are over.
    Resolved,
    /// They were wrong and are over, and nobody could be entry before.
    Late,
}

impl Kind {
    /// What stands in the log afterwards.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Self::Firing => Status::Firing,
            Self::Resolved | Self::Late => Status::Resolved,
        }
    }
}

/// Something to be claimed in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertGroup {
    /// The channel's name.
    pub receiver: String,
    /// What is to be said.
    pub kind: Kind,
    /// The rule that all of it is about.
    pub rule: Rule,
    /// Of which alerts, with since when it is due to be said.
    pub requests: Vec<(ClaimRequest, Millis)>,
}

impl AlertGroup {
    /// Claims it in `log` for `owner`. In what was said before, `at` is how long ago that was.
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

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Unique.
    pub id: String,
    /// The channel's name.
    pub receiver: String,
    /// What it says.
    pub kind: Kind,
    /// Name of the rule that found it.
    pub rule: &'static str,
    /// The alerts; at least one.
    pub items: Vec<Item>,
    /// Only to be written down: the channel does not request to hear of it.
    pub silent: bool,
    /// So often in a row the channel has failed before.
    pub failures: u32,
}

/// One alert of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Which.
    pub fingerprint: String,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence.
    pub summary: String,
    /// What it is about.
    pub subject: Subject,
    /// Since when it is wrong.
    pub since: Millis,
    /// When it was over.
    pub ended: Option<Millis>,
    /// The message that announced its beginning.
    pub thread: Option<String>,
}

impl Notification {
    /// How much the worst of it matters.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.items.iter().map(|item| item.severity).max().unwrap_or_default()
    }

    /// The messages that it answers.
    #[must_use]
    pub fn threads(&self) -> Vec<&str> {
        let mut threads: Vec<_> = self.items.iter().filter_map(|item| item.thread.as_deref()).collect();
        threads.sort_unstable();
        threads.dedup();
        threads
    }
}

/// Why a message was not sent, or not to all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In words, without secrets.
    pub error: String,
    /// What to do.
    pub retry: Retry,
}

/// What helps against a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Trying again, at the earliest after this time.
    After(Duration),
    /// Nothing but somebody who looks at it.
    Permanent,
    /// Nothing more needs to be sent: some have got it.
    Partial,
}

/// What is asked of the log to say this.
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
