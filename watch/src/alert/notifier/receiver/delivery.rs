//! Pure: the state of one alert at one receiver.
//!
//! A notification becomes pending, is claimed in the log, is sent, and is then written to the log. Each step is a
//! method here; the receiver decides when to take it.

use crate::{
    alert::{
        alert_states::{Alert, Phase},
        notification_log::{Told, Word, covers},
        notifier::{
            config::Line,
            group::{Item, Kind},
        },
    },
    cluster_state::{Millis, Severity},
};

/// How long an announced end is remembered.
const REMEMBERED: Millis = 60 * 60_000;

/// Two log entries whose times differ by less are the same one, read through different clocks.
const CLOCK_TOLERANCE: Millis = 10_000;

/// What a receiver knows of one alert. An entry in its default state says nothing and is removed.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Entry {
    /// The last notification, as far as this instance knows.
    pub(super) last: Option<Last>,
    /// The notification to send next.
    pub(super) pending: Option<Pending>,
    /// The earliest time of the next attempt.
    pub(super) not_before: Option<Millis>,
    /// A notification of the beginning failed. If the alert ends before one succeeds, the end is still worth sending.
    pub(super) has_failed: bool,
    /// What the log does not yet know of this instance's claim.
    pub(super) claim: Claim,
}

/// The last notification of an alert.
#[derive(Debug, PartialEq)]
pub(super) struct Last {
    pub(super) told: Told,
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

/// What to tell the log of a claim.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Claim {
    /// Nothing.
    #[default]
    UpToDate,
    /// The alert is being sent without a claim, which must be made as soon as the log is available.
    Missing,
    /// The claim is no longer needed and must be released.
    Released,
}

impl Entry {
    /// Decides what to send next. `alert` is `None` when it no longer exists.
    pub(super) fn update(&mut self, alert: Option<&Alert>, line: &Line, now: Millis) {
        let kind = alert.and_then(|alert| self.next_kind(alert, line, now));
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
            let is_old = last.told.word == Word::Resolved && now - last.told.at >= REMEMBERED;
            last.is_logged && is_old
        });
    }

    fn next_kind(&self, alert: &Alert, line: &Line, now: Millis) -> Option<Kind> {
        let condition = &alert.condition;
        let told = self.last.as_ref().map(|last| &last.told);
        let accepts = condition.severity >= line.minimum && condition.not_through.as_ref() != Some(&line.name);
        match alert.phase {
            Phase::Pending => None,
            Phase::Firing { at, .. } => {
                let is_new = match told {
                    None => true,
                    Some(told) if told.word == Word::Resolved => !covers(told.at, at, now),
                    Some(told) => {
                        let severity = condition.severity;
                        // An informational alert is not repeated.
                        let repeats = severity > Severity::Info && now - told.at >= line.repeat;
                        severity > told.severity || repeats
                    }
                };
                let is_suppressed = alert.inhibited_by.is_some() || alert.silenced_until.is_some();
                (accepts && alert.seen && !is_suppressed && is_new).then_some(Kind::Firing)
            }
            Phase::Resolved { fired, .. } => match told {
                Some(told) if told.word == Word::Firing => Some(Kind::Resolved),
                Some(told) if covers(told.at, fired, now) => None,
                _ => (accepts && self.has_failed).then_some(Kind::Late),
            },
        }
    }

    /// The alert was announced, and its end was not.
    pub(super) fn is_announced(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.told.word == Word::Firing)
    }

    /// A notification is still needed: that of the end, or one that failed.
    pub(super) fn needs_notification(&self) -> bool {
        self.has_failed || self.is_announced()
    }

    /// The log lacks something about this alert.
    pub(super) fn is_unlogged(&self) -> bool {
        self.claim == Claim::Released || self.last.as_ref().is_some_and(|last| !last.is_logged)
    }

    /// Nothing is left to remember.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// A notification was sent.
    pub(super) fn sent(&mut self, told: Told) {
        self.pending = None;
        self.has_failed = false;
        self.last = Some(Last { told, is_logged: false });
    }

    /// A notification could not be sent.
    pub(super) fn failed(&mut self, kind: Kind) {
        self.has_failed |= kind != Kind::Resolved;
        self.claim = Claim::Released;
    }

    /// The log has `told`.
    pub(super) fn logged(&mut self, told: &Told) {
        if let Some(last) = self.last.as_mut().filter(|last| last.told == *told) {
            last.is_logged = true;
        }
    }

    /// Takes over what the log says was sent, unless this instance knows something newer.
    pub(super) fn learn(&mut self, told: Told) {
        let is_known = self.last.as_ref().is_some_and(|Last { told: known, .. }| {
            let is_same = known.thread == told.thread && known.word == told.word;
            known.at >= told.at || is_same && told.at - known.at <= CLOCK_TOLERANCE
        });
        if !is_known {
            self.last = Some(Last { told, is_logged: true });
        }
    }

    /// The alert as part of a message.
    pub(super) fn item(&self, fingerprint: &str, alert: &Alert) -> Item {
        let begun = self.last.as_ref().map(|last| &last.told).filter(|told| told.word == Word::Firing);
        let ended = match alert.phase {
            Phase::Resolved { at, .. } => Some(at),
            Phase::Pending | Phase::Firing { .. } => None,
        };
        Item {
            fingerprint: fingerprint.to_owned(),
            // The end has the severity that was announced.
            severity: begun.filter(|_| ended.is_some()).map_or(alert.condition.severity, |told| told.severity),
            summary: alert.condition.summary.clone(),
            subject: alert.condition.subject.clone(),
            since: alert.since,
            ended,
            thread: begun.map(|told| told.thread.clone()),
        }
    }
}
