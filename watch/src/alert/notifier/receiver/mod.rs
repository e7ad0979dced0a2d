//! Pure: what one receiver should send, one notification at a time.

mod delivery;
mod failing;
mod outcome;

use std::collections::BTreeMap;

use self::{
    delivery::{Claim, Entry, Pending},
    failing::{Failing, times},
};
use super::{
    config::{Delays, Line},
    group::{Job, Kind, Notice, ask},
};
use crate::{
    alert::{
        alert_states::{Alert, Phase},
        notification_log::{Told, Verdict, Want},
        rule::Rule,
    },
    cluster_state::{Millis, Severity},
};

/// The pause before an alert is looked at again that the log says is done but still seems pending.
const DONE: Millis = 5000;

/// The longest pause while another instance holds the claim, and the pause while the log is unavailable.
const AGAIN: Millis = 1000;

/// What one receiver has sent and should send.
#[derive(Debug, Default)]
pub(super) struct State {
    line: Line,
    /// By fingerprint.
    entries: BTreeMap<String, Entry>,
    /// When a notification of each rule was last sent.
    last_sent: BTreeMap<Rule, Millis>,
    /// A job is being claimed or sent.
    is_busy: bool,
    failing: Option<Failing>,
}

/// An alert with a pending notification, and since when that has been pending.
type Member<'a> = (&'a String, &'a Alert, Millis);

impl State {
    /// The same state under another configuration, which may be what helps against failures.
    pub(super) fn with(mut self, line: Line) -> Self {
        self.line = line;
        self.entries.values_mut().for_each(|entry| entry.not_before = None);
        self.failing = None;
        self
    }

    /// The end of the alert, or a notification that failed, must still be sent.
    pub(super) fn needs_notification(&self, fingerprint: &str) -> bool {
        self.entries.get(fingerprint).is_some_and(Entry::needs_notification)
    }

    /// Why the receiver fails, if it does.
    pub(super) fn error(&self, now: Millis) -> Option<&str> {
        self.failing.as_ref()?.error(now)
    }

    /// A notification is pending.
    pub(super) fn has_pending(&self) -> bool {
        self.entries.values().any(|entry| entry.pending.is_some())
    }

    /// The log lacks something that this receiver did.
    pub(super) fn is_unlogged(&self) -> bool {
        self.entries.values().any(Entry::is_unlogged)
    }

    /// How many notifications are remembered.
    #[cfg(test)]
    pub(super) fn remembers(&self) -> usize {
        self.entries.values().filter(|entry| entry.last.is_some()).count()
    }

    /// Decides which notifications are pending.
    pub(super) fn compare(&mut self, alerts: &BTreeMap<String, Alert>, now: Millis) {
        let line = &self.line;
        self.entries.retain(|fingerprint, entry| {
            entry.update(alerts.get(fingerprint), line, now);
            !entry.is_empty()
        });
        for (fingerprint, alert) in alerts {
            if !self.entries.contains_key(fingerprint) {
                let mut entry = Entry::default();
                entry.update(Some(alert), line, now);
                if !entry.is_empty() {
                    self.entries.insert(fingerprint.clone(), entry);
                }
            }
        }
    }

    /// The next group that is due. Waiting for `rank_wait` begins at `from` at the earliest.
    pub(super) fn next(
        &mut self,
        alerts: &BTreeMap<String, Alert>,
        delays: Delays,
        rank_wait: Millis,
        from: Millis,
        now: Millis,
    ) -> Option<Job> {
        if self.is_busy || self.failing.as_ref().is_some_and(|failing| failing.is_paused(now)) {
            return None;
        }
        let mut groups: BTreeMap<(Kind, Rule), Vec<Member<'_>>> = BTreeMap::new();
        for (fingerprint, entry) in &self.entries {
            let Some(Pending { kind, since }) = entry.pending else { continue };
            let Some(alert) = alerts.get(fingerprint) else { continue };
            let may_claim =
                entry.not_before.is_none_or(|until| until <= now) && since.max(from).saturating_add(rank_wait) <= now;
            if may_claim {
                groups.entry((kind, alert.condition.rule)).or_default().push((fingerprint, alert, since));
            }
        }
        let is_due = |rule: Rule, members: &[Member<'_>]| {
            let first = members.iter().map(|(_, _, since)| since.saturating_add(delays.group_wait)).min();
            let is_critical = members.iter().any(|(_, alert, _)| alert.condition.severity == Severity::Critical);
            let last = self.last_sent.get(&rule).filter(|_| !is_critical);
            first.is_some_and(|due| due <= now)
                && last.is_none_or(|last| last.saturating_add(delays.group_interval) <= now)
        };
        let ((kind, rule), members) = groups.into_iter().find(|((_, rule), members)| is_due(*rule, members))?;
        let repeat = self.line.repeat;
        let want = |(fingerprint, alert, since): Member<'_>| {
            let severity = alert.condition.severity;
            let repeat = (severity > Severity::Info).then_some(repeat);
            let ask = ask(kind, fired(alert), severity, repeat, now);
            (Want { fingerprint: fingerprint.clone(), ask }, since)
        };
        let wants: Vec<_> = members.into_iter().map(want).collect();
        for (want, _) in &wants {
            // A new claim must not be released because an older one was to be.
            self.entry(&want.fingerprint).claim = Claim::UpToDate;
        }
        self.is_busy = true;
        Some(Job { line: self.line.name.clone(), kind, rule, wants })
    }

    /// Takes the results of a claim, and returns the alerts that may be sent.
    pub(super) fn claimed(&mut self, job: &Job, verdicts: Vec<Verdict>, now: Millis) -> Vec<String> {
        let mut granted = Vec::new();
        for ((Want { fingerprint, .. }, _), verdict) in job.wants.iter().zip(verdicts) {
            let entry = self.entry(fingerprint);
            match verdict {
                Verdict::Granted => granted.push(fingerprint.clone()),
                Verdict::Done(Some(told)) => {
                    entry.not_before = Some(now + DONE);
                    entry.learn(Told { at: now - told.at, ..*told });
                }
                // The beginning was not announced, so the end need not be.
                Verdict::Done(None) => entry.last = None,
                Verdict::Busy(left) => entry.not_before = Some(now + left.min(AGAIN)),
                Verdict::Held => entry.not_before = Some(now + AGAIN),
            }
        }
        granted
    }

    /// Returns the alerts of a job to send without a claim: those that have waited for `wait`.
    pub(super) fn unclaimed(&mut self, job: &Job, wait: Millis, now: Millis) -> Vec<String> {
        let mut ready = Vec::new();
        for (Want { fingerprint, .. }, since) in &job.wants {
            let entry = self.entry(fingerprint);
            if since.saturating_add(wait) <= now {
                entry.claim = Claim::Missing;
                ready.push(fingerprint.clone());
            } else {
                entry.not_before = Some(now + AGAIN);
            }
        }
        ready
    }

    /// Makes a notification of the granted alerts that still need it. Without any, the job is over.
    pub(super) fn notice(
        &mut self,
        id: String,
        job: &Job,
        granted: &[String],
        alerts: &BTreeMap<String, Alert>,
    ) -> Option<Notice> {
        let mut items = Vec::new();
        for fingerprint in granted {
            let entry = self.entry(fingerprint);
            let is_pending = entry.pending.is_some_and(|pending| pending.kind == job.kind);
            match alerts.get(fingerprint) {
                Some(alert) if is_pending => items.push(entry.item(fingerprint, alert)),
                // The alert has changed since it was claimed.
                _ => entry.claim = Claim::Released,
            }
        }
        if items.is_empty() {
            self.finish();
            return None;
        }
        let silent = job.kind == Kind::Resolved && !self.line.resolved;
        let failures = times(self.failing.as_ref());
        Some(Notice { id, line: job.line.clone(), kind: job.kind, rule: job.rule.name(), items, silent, failures })
    }

    /// The job is over, and nothing is being sent any more.
    fn finish(&mut self) {
        self.is_busy = false;
        for entry in self.entries.values_mut().filter(|entry| entry.claim == Claim::Missing) {
            entry.claim = Claim::UpToDate;
        }
    }

    /// The state of one alert. `compare` removes entries that say nothing.
    fn entry(&mut self, fingerprint: &str) -> &mut Entry {
        self.entries.entry(fingerprint.to_owned()).or_default()
    }
}

/// When the alert began to fire.
fn fired(alert: &Alert) -> Millis {
    match alert.phase {
        Phase::Firing { at, .. } => at,
        Phase::Resolved { fired, .. } => fired,
        Phase::Pending => alert.since,
    }
}
