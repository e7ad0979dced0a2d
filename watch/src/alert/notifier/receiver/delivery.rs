//! Pure: what was said through a channel, what came of trying to, and what the ledger has of it.

use super::{Failing, Failure, HOPELESS, Known, Retry, State};
use crate::{
    alert::{
        notification_log::{Told, Word},
        notifier::{Kind, Notice, Push},
        rule::Rule,
        time::millis,
    },
    cluster_state::Millis,
};

impl State {
    /// What came of a message.
    pub(in crate::alert::notifier) fn sent(&mut self, notice: &Notice, outcome: Result<(), Failure>, now: Millis) {
        self.is_busy = false;
        self.unclaimed.clear();
        let is_told = match &outcome {
            Ok(()) => true,
            Err(failure) => failure.retry == Retry::Partial,
        };
        for item in &notice.items {
            let fingerprint = item.fingerprint.clone();
            if is_told {
                self.wanted.remove(&fingerprint);
                self.attempted.remove(&fingerprint);
                let thread = item.thread.as_ref().unwrap_or(&notice.id).clone();
                let told = Told {
                    word: notice.kind.word(),
                    at: now,
                    thread,
                    rule: notice.rule.to_owned(),
                    severity: item.severity,
                    since: item.since,
                    summary: item.summary.clone(),
                    subject: item.subject.clone(),
                };
                self.known.insert(fingerprint, Known { told, is_ahead: true });
            } else {
                if notice.kind != Kind::Resolved {
                    self.attempted.insert(fingerprint.clone());
                }
                self.released.insert(fingerprint);
            }
        }
        if let Some(rule) = Rule::named(notice.rule).filter(|_| is_told) {
            self.said.insert(rule, now);
        }
        match outcome {
            // What was only written down says nothing about the channel.
            Ok(()) if notice.silent => {}
            Ok(()) => self.failing = None,
            Err(failure) => self.failed(notice, failure, now),
        }
    }

    fn failed(&mut self, notice: &Notice, failure: Failure, now: Millis) {
        let times = self.failing.as_ref().map_or(0, |failing| failing.times) + 1;
        let again = match failure.retry {
            Retry::After(pause) => now.saturating_add(millis(pause)),
            Retry::Partial => now,
            Retry::Hopeless => {
                let until = now + HOPELESS;
                self.held.extend(notice.items.iter().map(|item| (item.fingerprint.clone(), until)));
                now
            }
        };
        let is_grave = !matches!(failure.retry, Retry::After(_));
        self.failing = Some(Failing { error: failure.error, times, is_grave, last: now, again });
    }

    /// What the ledger should have of it. Also what it had once and may have lost.
    pub(in crate::alert::notifier) fn push(&self, name: &str, push: &mut Push, now: Millis) {
        for (fingerprint, known) in &self.known {
            let entry = (name.to_owned(), fingerprint.clone(), known.told.clone(), now - known.told.at);
            if known.is_ahead {
                push.told.push(entry);
            } else if known.told.word == Word::Firing {
                push.known.push(entry);
            }
        }
        push.claimed.extend(self.unclaimed.iter().map(|fingerprint| (name.to_owned(), fingerprint.clone())));
        push.released.extend(self.released.iter().map(|fingerprint| (name.to_owned(), fingerprint.clone())));
    }

    /// The ledger has it.
    pub(in crate::alert::notifier) fn pushed(&mut self, push: &Push) {
        for (channel, fingerprint, told, _) in &push.told {
            if *channel == self.line.name
                && let Some(known) = self.known.get_mut(fingerprint)
                && known.told == *told
            {
                known.is_ahead = false;
            }
        }
        for (channel, fingerprint) in &push.released {
            if *channel == self.line.name {
                self.released.remove(fingerprint);
            }
        }
    }

    /// What the ledger says was announced, unless something newer is known.
    pub(in crate::alert::notifier) fn learn(&mut self, fingerprint: String, told: Told) {
        match self.known.get(&fingerprint) {
            Some(known) if known.told.at >= told.at => {}
            // The same, seen through another clock.
            Some(known)
                if known.told.thread == told.thread
                    && known.told.word == told.word
                    && !is_later(&told, &known.told) => {}
            _ => drop(self.known.insert(fingerprint, Known { told, is_ahead: false })),
        }
    }
}

/// Said again, not only read again.
fn is_later(told: &Told, known: &Told) -> bool {
    told.at - known.at > 10_000
}
