//! Pure: what came of sending, and what the log has of it.

use super::{
    ReceiverState,
    delivery::{Claim, Last},
    failing::Failing,
};
use crate::{
    alert::{
        notification_log::{LogEntry, Status},
        notifier::{
            group::{Failure, Notification, Retry},
            log_sync::LogSync,
        },
        rule::Rule,
    },
    cluster_state::Millis,
};

/// The pause after a permanent failure, during which an operator may have removed its cause.
const PERMANENT_RETRY: Millis = 15 * 60_000;

impl ReceiverState {
    /// Takes the outcome of sending a notification.
    pub(in crate::alert::notifier) fn sent(
        &mut self,
        notification: &Notification,
        outcome: Result<(), Failure>,
        now: Millis,
    ) {
        if !notification.recipients.is_empty() {
            self.redeliveries.redelivered(notification, outcome, now);
            return self.note_success(now);
        }
        self.finish();
        let retry = outcome.as_ref().err().map(|failure| failure.retry);
        let is_sent = matches!(retry, None | Some(Retry::Partial));
        for item in &notification.items {
            let delivery = self.delivery(&item.fingerprint);
            if is_sent {
                delivery.sent(LogEntry {
                    status: notification.kind.status(),
                    at: now,
                    thread: item.thread.as_ref().unwrap_or(&notification.id).clone(),
                    rule: notification.rule.to_owned(),
                    severity: item.severity,
                    since: item.since,
                    summary: item.summary.clone(),
                    subject: item.subject.clone(),
                });
            } else {
                delivery.failed(notification.kind);
            }
            if retry == Some(Retry::Permanent) {
                delivery.not_before = Some(now + PERMANENT_RETRY);
            }
        }
        if let Some(rule) = Rule::named(notification.rule).filter(|_| is_sent) {
            self.last_sent.insert(rule, now);
        }
        match outcome {
            // A notification that was only logged does not test the receiver.
            Ok(()) if notification.silent => self.redeliveries.ended(&notification.items),
            Ok(()) => {
                self.failing = None;
                self.redeliveries.sent(notification, Vec::new(), now);
                self.note_success(now);
            }
            Err(failure) if failure.retry == Retry::Partial => {
                self.failing = None;
                self.redeliveries.sent(notification, failure.undelivered, now);
                self.note_success(now);
            }
            Err(failure) => self.failing = Some(Failing::after(self.failing.as_ref(), failure, now)),
        }
    }

    /// Remembers that everyone who should have messages gets them, if it is so.
    fn note_success(&mut self, now: Millis) {
        if self.failing.is_none() && self.redeliveries.error().is_none() {
            self.worked = Some(now);
        }
    }

    /// Adds to `sync` what the log should have, including what it had once and may have lost.
    pub(in crate::alert::notifier) fn add_to(&self, sync: &mut LogSync, now: Millis) {
        let name = &self.receiver.name;
        for (fingerprint, delivery) in &self.deliveries {
            if let Some(Last { entry, is_logged }) = &delivery.last {
                let logged = (name.clone(), fingerprint.clone(), entry.clone(), now - entry.at);
                if !is_logged {
                    sync.unlogged.push(logged);
                } else if entry.status == Status::Firing {
                    sync.logged.push(logged);
                }
            }
            match delivery.claim {
                Claim::UpToDate => {}
                Claim::Missing => sync.claimed.push((name.clone(), fingerprint.clone())),
                Claim::Released => sync.released.push((name.clone(), fingerprint.clone())),
            }
        }
    }

    /// The log has taken `sync`.
    pub(in crate::alert::notifier) fn log_synced(&mut self, sync: &LogSync) {
        for (_, fingerprint, entry, _) in sync.unlogged.iter().filter(|(channel, ..)| *channel == self.receiver.name) {
            if let Some(delivery) = self.deliveries.get_mut(fingerprint) {
                delivery.logged(entry);
            }
        }
        for (_, fingerprint) in sync.released.iter().filter(|(channel, _)| *channel == self.receiver.name) {
            if let Some(delivery) =
                self.deliveries.get_mut(fingerprint).filter(|delivery| delivery.claim == Claim::Released)
            {
                delivery.claim = Claim::UpToDate;
            }
        }
    }

    /// Takes over an entry of the log.
    pub(in crate::alert::notifier) fn learn(&mut self, fingerprint: &str, entry: LogEntry) {
        self.delivery(fingerprint).learn(entry);
    }

    /// There is no log, so nothing has to be written to it.
    pub(in crate::alert::notifier) fn discard_log_changes(&mut self) {
        for delivery in self.deliveries.values_mut() {
            if delivery.claim == Claim::Released {
                delivery.claim = Claim::UpToDate;
            }
            if let Some(last) = &mut delivery.last {
                last.is_logged = true;
            }
        }
    }
}
