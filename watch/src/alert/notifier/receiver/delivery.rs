//! Pure: the state of one alert at one receiver.
//!
//! A notification becomes pending, is claimed in the log, is sent, and is then written to the log. Each step is a
//! method here; the receiver decides when to take it.

use crate::{
    alert::{
        alert_states::{Alert, Phase},
        notification_log::{LogEntry, Status, covers},
        notifier::{
            config::Receiver,
            group::{Item, Kind},
        },
    },
    cluster_state::{Millis, Severity},
};

/// How long an announced end is remembered.
const RESOLVED_RETENTION: Millis = 60 * 60_000;

/// Two log deliveries whose times differ by less are the same one, read through different clocks.
const CLOCK_TOLERANCE: Millis = 10_000;

/// What a receiver knows about one alert. An empty one is removed.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Delivery {
    /// The last notification, as far as this instance knows.
    pub(super) last: Option<Last>,
    /// The notification to send next.
    pub(super) pending: Option<Pending>,
    /// The earliest time of the next attempt.
    pub(super) not_before: Option<Millis>,
    /// A notification of the beginning failed. If the alert ends before one succeeds, the end is still worth sending.
    pub(super) has_failed: bool,
    /// How this instance's claim in the log has to change.
    pub(super) claim: Claim,
}

/// The last notification of an alert.
#[derive(Debug, PartialEq)]
pub(super) struct Last {
    pub(super) entry: LogEntry,
    /// The log has it.
    pub(super) is_logged: bool,
}

/// A notification to send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pending {
    pub(super) kind: Kind,
    /// Since when it has been pending.
    pub(super) since: Millis,
}

/// How a claim in the log has to change.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Claim {
    /// Not at all.
    #[default]
    UpToDate,
    /// The alert is being sent without a claim, which must be made as soon as the log is available.
    Missing,
    /// The claim is no longer needed and must be released.
    Released,
}

impl Delivery {
    /// Decides what to send next. `alert` is `None` when it no longer exists.
    pub(super) fn update(&mut self, alert: Option<&Alert>, receiver: &Receiver, now: Millis) {
        let kind = alert.and_then(|alert| self.next_kind(alert, receiver, now));
        self.pending = kind.map(|kind| match self.pending {
            Some(pending) if pending.kind == kind => pending,
            _ => Pending { kind, since: now },
        });
        self.not_before = self.not_before.filter(|until| *until > now && alert.is_some());
        self.has_failed &= match alert.map(|alert| alert.phase) {
            Some(Phase::Firing { .. }) => !self.is_announced(),
            Some(Phase::Resolved { .. }) => self.pending.is_some(),
            // An alert that came back before its end was sent may end again.
            Some(Phase::Pending) => true,
            None => false,
        };
        self.last.take_if(|last| {
            let is_old = last.entry.status == Status::Resolved && now - last.entry.at >= RESOLVED_RETENTION;
            last.is_logged && is_old
        });
    }

    fn next_kind(&self, alert: &Alert, receiver: &Receiver, now: Millis) -> Option<Kind> {
        let condition = &alert.condition;
        let entry = self.last.as_ref().map(|last| &last.entry);
        let accepts = condition.severity >= receiver.minimum && condition.not_through.as_ref() != Some(&receiver.name);
        match alert.phase {
            Phase::Pending => None,
            Phase::Firing { at, .. } => {
                let is_new = match entry {
                    None => true,
                    Some(entry) if entry.status == Status::Resolved => !covers(entry.at, at, now),
                    Some(entry) => {
                        let severity = condition.severity;
                        // An informational alert is not repeated.
                        let repeats = severity > Severity::Info && now - entry.at >= receiver.repeat;
                        severity > entry.severity || repeats
                    }
                };
                let is_suppressed = alert.inhibited_by.is_some() || alert.silenced_until.is_some();
                (accepts && alert.seen && !is_suppressed && is_new).then_some(Kind::Firing)
            }
            Phase::Resolved { fired, .. } => match entry {
                Some(entry) if entry.status == Status::Firing => Some(Kind::Resolved),
                Some(entry) if covers(entry.at, fired, now) => None,
                _ => (accepts && self.has_failed).then_some(Kind::Late),
            },
        }
    }

    /// The alert was announced, and its end was not.
    pub(super) fn is_announced(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.entry.status == Status::Firing)
    }

    /// A notification is still needed: that of the end, or one that failed.
    pub(super) fn needs_notification(&self) -> bool {
        self.has_failed || self.is_announced()
    }

    /// The log lacks something about this alert.
    pub(super) fn has_unlogged(&self) -> bool {
        self.claim == Claim::Released || self.last.as_ref().is_some_and(|last| !last.is_logged)
    }

    /// Nothing is left to remember.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// A notification was sent.
    pub(super) fn sent(&mut self, entry: LogEntry) {
        self.pending = None;
        self.has_failed = false;
        self.last = Some(Last { entry, is_logged: false });
    }

    /// A notification could not be sent.
    pub(super) fn failed(&mut self, kind: Kind) {
        self.has_failed |= kind != Kind::Resolved;
        self.claim = Claim::Released;
    }

    /// The log has `entry`.
    pub(super) fn logged(&mut self, entry: &LogEntry) {
        if let Some(last) = self.last.as_mut().filter(|last| last.entry == *entry) {
            last.is_logged = true;
        }
    }

    /// Takes over an entry of the log, unless this instance knows something newer.
    pub(super) fn learn(&mut self, entry: LogEntry) {
        let is_known = self.last.as_ref().is_some_and(|Last { entry: known, .. }| {
            let is_same = known.thread == entry.thread && known.status == entry.status;
            known.at >= entry.at || is_same && entry.at - known.at <= CLOCK_TOLERANCE
        });
        if !is_known {
            self.last = Some(Last { entry, is_logged: true });
        }
    }

    /// The alert as part of a message.
    pub(super) fn item(&self, fingerprint: &str, alert: &Alert) -> Item {
        let begun = self.last.as_ref().map(|last| &last.entry).filter(|entry| entry.status == Status::Firing);
        let ended = match alert.phase {
            Phase::Resolved { at, .. } => Some(alert.end.as_ref().map_or(at, |end| end.since)),
            Phase::Pending | Phase::Firing { .. } => None,
        };
        Item {
            fingerprint: fingerprint.to_owned(),
            // The end has the severity that was announced.
            severity: begun.filter(|_| ended.is_some()).map_or(alert.condition.severity, |entry| entry.severity),
            summary: alert.condition.summary.clone(),
            end: alert.end.as_ref().filter(|_| ended.is_some()).and_then(|end| end.text.clone()),
            subject: alert.condition.subject.clone(),
            since: alert.since,
            ended,
            thread: begun.map(|entry| entry.thread.clone()),
        }
    }
}
