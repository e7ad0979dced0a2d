//! Pure: recipients that do not have a message which others have.
//!
//! Each is tried again alone, with the same message, until it accepts or refuses it, or a newer message about the same
//! alerts has been sent: then that one is what the recipient still needs.

use std::collections::BTreeMap;

use crate::{
    alert::{
        notifier::group::{Failure, Item, Kind, Notification, Retry, Undelivered},
        time::millis,
    },
    cluster_state::Millis,
};

/// How long a recipient is tried again. After that, the next message of the channel tells it what is still firing.
const GIVE_UP: Millis = 4 * 60 * 60_000;

/// How long a recipient may be deferred before that is worth an alert. Greylisting takes less.
const DEFERRED: Millis = 30 * 60_000;

/// The most messages that wait for a recipient. The oldest are dropped first.
const MAX_WAITING: usize = 100;

/// The recipients of one receiver that lack messages, and those that have refused or deferred the last one.
#[derive(Debug, Default)]
pub(super) struct Redeliveries {
    waiting: Vec<Redelivery>,
    failing: BTreeMap<String, FailingRecipient>,
}

/// A message for one recipient.
#[derive(Debug)]
struct Redelivery {
    /// The message, with this recipient, and how often that was tried.
    notification: Notification,
    since: Millis,
    not_before: Millis,
    is_being_sent: bool,
}

#[derive(Debug)]
struct FailingRecipient {
    error: String,
    since: Millis,
    last: Millis,
    is_permanent: bool,
}

impl Redelivery {
    fn is(&self, notification: &Notification) -> bool {
        self.notification.id == notification.id && self.notification.recipients == notification.recipients
    }
}

impl Redeliveries {
    /// A message was sent to all recipients but these.
    pub(super) fn sent(&mut self, notification: &Notification, undelivered: Vec<Undelivered>, now: Millis) {
        self.supersede(&notification.items);
        self.failing.retain(|recipient, _| undelivered.iter().any(|other| other.recipient == *recipient));
        for Undelivered { recipient, error, retry } in undelivered {
            self.failed(&recipient, error, retry == Retry::Permanent, now);
            let Retry::After(pause) = retry else { continue };
            let notification = Notification { recipients: vec![recipient], failures: 1, ..notification.clone() };
            let not_before = now.saturating_add(millis(pause));
            self.waiting.push(Redelivery { notification, since: now, not_before, is_being_sent: false });
        }
        let surplus = self.waiting.len().saturating_sub(MAX_WAITING);
        self.waiting.drain(..surplus);
    }

    /// The configuration has changed, which may be what helps. Messages still wait.
    pub(super) fn forget_failures(&mut self) {
        self.failing.clear();
    }

    /// An end was not sent, because the receiver does not send ends. Recipients that lack the beginning get that with a
    /// note.
    pub(super) fn ended(&mut self, items: &[Item]) {
        for waiting in &mut self.waiting {
            let notification = &mut waiting.notification;
            for item in &mut notification.items {
                if let Some(over) = items.iter().find(|over| over.fingerprint == item.fingerprint) {
                    (item.ended, item.end) = (over.ended, over.end.clone());
                }
            }
            if notification.items.iter().all(|item| item.ended.is_some()) {
                notification.kind = Kind::Late;
            }
        }
    }

    /// Returns the messages to send again now.
    pub(super) fn next(&mut self, now: Millis) -> Vec<Notification> {
        let due = self.waiting.iter_mut().filter(|waiting| !waiting.is_being_sent && waiting.not_before <= now);
        due.map(|waiting| {
            waiting.is_being_sent = true;
            waiting.notification.clone()
        })
        .collect()
    }

    /// Takes the outcome of sending a message again.
    pub(super) fn redelivered(&mut self, notification: &Notification, outcome: Result<(), Failure>, now: Millis) {
        let [recipient] = notification.recipients.as_slice() else { return };
        let is_last =
            self.waiting.iter().filter(|waiting| waiting.notification.recipients == [recipient.clone()]).count() < 2;
        let retry = match outcome {
            Ok(()) => {
                if is_last {
                    self.failing.remove(recipient);
                }
                None
            }
            Err(Failure { error, retry, .. }) => {
                self.failed(recipient, error, retry == Retry::Permanent, now);
                Some(retry)
            }
        };
        self.waiting.retain_mut(|waiting| {
            if !waiting.is(notification) {
                return true;
            }
            let Some(Retry::After(pause)) = retry else { return false };
            waiting.is_being_sent = false;
            waiting.not_before = now.saturating_add(millis(pause));
            waiting.notification.failures = waiting.notification.failures.saturating_add(1);
            now - waiting.since < GIVE_UP
        });
    }

    /// Which recipients get no messages, if that is worth an alert.
    pub(super) fn error(&self) -> Option<String> {
        let is_lasting = |failing: &FailingRecipient| failing.is_permanent || failing.last - failing.since >= DEFERRED;
        let failing = self.failing.iter().filter(|(_, failing)| is_lasting(failing));
        let each: Vec<_> = failing.map(|(recipient, failing)| format!("{recipient}: {}", failing.error)).collect();
        (!each.is_empty()).then(|| each.join("; "))
    }

    fn failed(&mut self, recipient: &str, error: String, is_permanent: bool, now: Millis) {
        let since = self.failing.get(recipient).map_or(now, |failing| failing.since);
        self.failing.insert(recipient.to_owned(), FailingRecipient { error, since, last: now, is_permanent });
    }

    /// Removes alerts from the messages that wait, because a newer message about them was sent.
    fn supersede(&mut self, items: &[Item]) {
        self.waiting.retain_mut(|waiting| {
            let left = &mut waiting.notification.items;
            left.retain(|item| items.iter().all(|newer| newer.fingerprint != item.fingerprint));
            !left.is_empty()
        });
    }
}
