//! Pure: what came of sending, and what the log has of it.

use super::{
    State,
    delivery::{Claim, Last},
    failing::Failing,
};
use crate::{
    alert::{
        notification_log::{Told, Word},
        notifier::{
            group::{Failure, Notice, Retry},
            log_sync::Push,
        },
        rule::Rule,
    },
    cluster_state::Millis,
};

/// The pause after a permanent failure, during which an operator may have removed its cause.
const HOPELESS: Millis = 15 * 60_000;

impl State {
    /// Takes the outcome of sending a notification.
    pub(in crate::alert::notifier) fn sent(&mut self, notice: &Notice, outcome: Result<(), Failure>, now: Millis) {
        self.finish();
        let retry = outcome.as_ref().err().map(|failure| failure.retry);
        let is_sent = matches!(retry, None | Some(Retry::Partial));
        for item in &notice.items {
            let entry = self.entry(&item.fingerprint);
            if is_sent {
                entry.sent(Told {
                    word: notice.kind.word(),
                    at: now,
                    thread: item.thread.as_ref().unwrap_or(&notice.id).clone(),
                    rule: notice.rule.to_owned(),
                    severity: item.severity,
                    since: item.since,
                    summary: item.summary.clone(),
                    subject: item.subject.clone(),
                });
            } else {
                entry.failed(notice.kind);
            }
            if retry == Some(Retry::Hopeless) {
                entry.not_before = Some(now + HOPELESS);
            }
        }
        if let Some(rule) = Rule::named(notice.rule).filter(|_| is_sent) {
            self.last_sent.insert(rule, now);
        }
        match outcome {
            // A notification that was only logged says nothing about the receiver.
            Ok(()) if notice.silent => {}
            Ok(()) => self.failing = None,
            Err(failure) => self.failing = Some(Failing::after(self.failing.as_ref(), failure, now)),
        }
    }

    /// Adds to `push` what the log should have, including what it had once and may have lost.
    pub(in crate::alert::notifier) fn push(&self, push: &mut Push, now: Millis) {
        let name = &self.line.name;
        for (fingerprint, entry) in &self.entries {
            if let Some(Last { told, is_logged }) = &entry.last {
                let logged = (name.clone(), fingerprint.clone(), told.clone(), now - told.at);
                if !is_logged {
                    push.told.push(logged);
                } else if told.word == Word::Firing {
                    push.known.push(logged);
                }
            }
            match entry.claim {
                Claim::UpToDate => {}
                Claim::Missing => push.claimed.push((name.clone(), fingerprint.clone())),
                Claim::Released => push.released.push((name.clone(), fingerprint.clone())),
            }
        }
    }

    /// The log has taken `push`.
    pub(in crate::alert::notifier) fn pushed(&mut self, push: &Push) {
        for (_, fingerprint, told, _) in push.told.iter().filter(|(channel, ..)| *channel == self.line.name) {
            if let Some(entry) = self.entries.get_mut(fingerprint) {
                entry.logged(told);
            }
        }
        for (_, fingerprint) in push.released.iter().filter(|(channel, _)| *channel == self.line.name) {
            if let Some(entry) = self.entries.get_mut(fingerprint).filter(|entry| entry.claim == Claim::Released) {
                entry.claim = Claim::UpToDate;
            }
        }
    }

    /// Takes over what the log says was sent.
    pub(in crate::alert::notifier) fn learn(&mut self, fingerprint: &str, told: Told) {
        self.entry(fingerprint).learn(told);
    }

    /// There is no log, so nothing has to be written to it.
    pub(in crate::alert::notifier) fn discard_log_changes(&mut self) {
        for entry in self.entries.values_mut() {
            if entry.claim == Claim::Released {
                entry.claim = Claim::UpToDate;
            }
            if let Some(last) = &mut entry.last {
                last.is_logged = true;
            }
        }
    }
}
