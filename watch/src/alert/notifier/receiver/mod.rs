//! Pure: one channel's part of a desk.

mod delivery;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Delays,
    group::{Item, Job, Kind, Notice, ask},
};
use crate::{
    alert::{
        alert_states::{Alert, Phase},
        notification_log::{Told, Verdict, Want, Word, covers},
        rule::Rule,
    },
    cluster_state::{Millis, Severity},
};

/// A channel, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// What matters less is not said through it.
    pub minimum: Severity,
    /// Whether it is told of ends.
    pub resolved: bool,
    /// What goes on for so long is told again.
    pub repeat: Millis,
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
    Hopeless,
    /// Nothing more needs to be sent: some have got it.
    Partial,
}

/// What the ledger says is done is looked at again after this time, if it still seems to be to do.
const DONE: Millis = 5000;

/// What has no hope is tried again after so long: somebody may have looked at it.
const HOPELESS: Millis = 15 * 60_000;

/// While another one is about to say it, or the ledger is away, one looks again after this time.
const AGAIN: Millis = 1000;

/// So long after its last failure a channel that nobody needs counts as good again.
const FAILED: Millis = 20 * 60_000;

/// For so long it is remembered that an end was announced.
const REMEMBERED: Millis = 60 * 60_000;

/// What is known of one channel.
#[derive(Debug, Default)]
pub(super) struct State {
    line: Line,
    /// What was announced through it, as far as this instance knows.
    known: BTreeMap<String, Known>,
    /// What there is to say, and since when.
    wanted: BTreeMap<String, (Kind, Millis)>,
    /// What is not to be tried before a time.
    held: BTreeMap<String, Millis>,
    /// What was to be said and could not be sent.
    attempted: BTreeSet<String>,
    /// What is being said without a claim, which is made up for as soon as the ledger is back.
    unclaimed: BTreeSet<String>,
    /// Claims to be given back.
    released: BTreeSet<String>,
    /// When something was said last, by rule.
    said: BTreeMap<Rule, Millis>,
    /// A job is under way.
    is_busy: bool,
    failing: Option<Failing>,
}

/// An alert of which there is something to say, and since when.
type Member<'a> = (&'a String, &'a Alert, Millis);

#[derive(Debug)]
struct Known {
    told: Told,
    /// The ledger does not have it.
    is_ahead: bool,
}

#[derive(Debug)]
struct Failing {
    error: String,
    /// In a row.
    times: u32,
    /// One is enough to tell.
    is_grave: bool,
    last: Millis,
    again: Millis,
}

impl State {
    pub(super) fn with(mut self, line: Line) -> Self {
        self.line = line;
        // New orders may be what helps.
        self.held.clear();
        self.failing = None;
        self
    }

    /// An end, or something that could not be told yet, is still to be said.
    pub(super) fn owes(&self, fingerprint: &str) -> bool {
        self.attempted.contains(fingerprint)
            || self.known.get(fingerprint).is_some_and(|known| known.told.word == Word::Firing)
    }

    /// What is wrong with it.
    pub(super) fn trouble(&self, now: Millis) -> Option<&str> {
        let failing = self.failing.as_ref()?;
        let is_lasting = failing.is_grave || failing.times > 1;
        (is_lasting && now - failing.last < FAILED).then_some(&failing.error)
    }

    /// Finds what there is to say.
    pub(super) fn compare(&mut self, alerts: &BTreeMap<String, Alert>, now: Millis) {
        let mut wanted = BTreeMap::new();
        for (fingerprint, alert) in alerts {
            if let Some(kind) = self.wants(fingerprint, alert, now) {
                let since = self.wanted.get(fingerprint).filter(|(before, _)| *before == kind);
                wanted.insert(fingerprint.clone(), (kind, since.map_or(now, |(_, since)| *since)));
            }
        }
        self.wanted = wanted;
        self.held.retain(|fingerprint, until| *until > now && alerts.contains_key(fingerprint));
        let (known, wanted) = (&self.known, &self.wanted);
        self.attempted.retain(|fingerprint| match alerts.get(fingerprint).map(|alert| alert.phase) {
            Some(Phase::Firing { .. }) => known.get(fingerprint).is_none_or(|known| known.told.word != Word::Firing),
            Some(Phase::Resolved { .. }) => wanted.contains_key(fingerprint),
            // What is back before its end could be told may go again.
            Some(Phase::Pending) => true,
            None => false,
        });
        self.known
            .retain(|_, known| known.is_ahead || known.told.word == Word::Firing || now - known.told.at < REMEMBERED);
    }

    fn wants(&self, fingerprint: &str, alert: &Alert, now: Millis) -> Option<Kind> {
        let condition = &alert.condition;
        let told = self.known.get(fingerprint).map(|known| &known.told);
        let accepts =
            condition.severity >= self.line.minimum && condition.not_through.as_ref() != Some(&self.line.name);
        match alert.phase {
            Phase::Pending => None,
            Phase::Firing { at, .. } => {
                let to_be_told = accepts
                    && alert.seen
                    && alert.inhibited_by.is_none()
                    && alert.silenced_until.is_none()
                    && match told {
                        None => true,
                        Some(told) if told.word == Word::Resolved => !covers(told.at, at, now),
                        Some(told) => {
                            condition.severity > told.severity || self.is_due_again(condition.severity, told, now)
                        }
                    };
                to_be_told.then_some(Kind::Firing)
            }
            Phase::Resolved { fired, .. } => match told {
                Some(told) if told.word == Word::Firing => Some(Kind::Resolved),
                Some(told) if covers(told.at, fired, now) => None,
                _ => (accepts && self.attempted.contains(fingerprint)).then_some(Kind::Late),
            },
        }
    }

    fn is_due_again(&self, severity: Severity, told: &Told, now: Millis) -> bool {
        // What is only good to know is good to know once.
        severity > Severity::Info && now - told.at >= self.line.repeat
    }

    /// What is due, as one message's worth. `from` is when ranks begin to count at the earliest.
    pub(super) fn next(
        &mut self,
        alerts: &BTreeMap<String, Alert>,
        delays: Delays,
        rank_wait: Millis,
        from: Millis,
        now: Millis,
    ) -> Option<Job> {
        if self.is_busy || self.failing.as_ref().is_some_and(|failing| failing.again > now) {
            return None;
        }
        let mut groups: BTreeMap<(Kind, Rule), Vec<Member<'_>>> = BTreeMap::new();
        for (fingerprint, (kind, since)) in &self.wanted {
            let Some(alert) = alerts.get(fingerprint) else { continue };
            let may_claim = self.held.get(fingerprint).is_none_or(|until| *until <= now)
                && (*since).max(from).saturating_add(rank_wait) <= now;
            if may_claim {
                groups.entry((*kind, alert.condition.rule)).or_default().push((fingerprint, alert, *since));
            }
        }
        let is_due = |rule: Rule, members: &[Member<'_>]| {
            let first = members.iter().map(|(_, _, since)| since.saturating_add(delays.group_wait)).min();
            let is_critical = members.iter().any(|(_, alert, _)| alert.condition.severity == Severity::Critical);
            let earliest = self.said.get(&rule).filter(|_| !is_critical);
            first.is_some_and(|due| due <= now)
                && earliest.is_none_or(|said| said.saturating_add(delays.group_interval) <= now)
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
        // A claim that is made anew must not be given back.
        for (want, _) in &wants {
            self.released.remove(&want.fingerprint);
        }
        self.is_busy = true;
        Some(Job { line: self.line.name.clone(), kind, rule, wants })
    }

    /// What of a job may be said.
    pub(super) fn judged(&mut self, job: &Job, verdicts: Vec<Verdict>, now: Millis) -> Vec<String> {
        let mut granted = Vec::new();
        for ((want, _), verdict) in job.wants.iter().zip(verdicts) {
            let fingerprint = want.fingerprint.clone();
            match verdict {
                Verdict::Granted => granted.push(fingerprint),
                Verdict::Done(Some(told)) => {
                    self.held.insert(fingerprint.clone(), now + DONE);
                    self.learn(fingerprint, Told { at: now - told.at, ..*told });
                }
                // Nobody has announced what is over, so nobody waits for its end.
                Verdict::Done(None) => drop(self.known.remove(&fingerprint)),
                Verdict::Busy(left) => drop(self.held.insert(fingerprint, now + left.min(AGAIN))),
                Verdict::Held => drop(self.held.insert(fingerprint, now + AGAIN)),
            }
        }
        granted
    }

    /// What of a job is said without a claim: all that has waited for long enough.
    pub(super) fn unjudged(&mut self, job: &Job, wait: Millis, now: Millis) -> Vec<String> {
        let (ripe, green): (Vec<_>, Vec<_>) =
            job.wants.iter().partition(|(_, since)| since.saturating_add(wait) <= now);
        self.held.extend(green.into_iter().map(|(want, _)| (want.fingerprint.clone(), now + AGAIN)));
        let ripe: Vec<_> = ripe.into_iter().map(|(want, _)| want.fingerprint.clone()).collect();
        self.unclaimed.extend(ripe.iter().cloned());
        ripe
    }

    /// The message that says it; without one, the job is over.
    pub(super) fn notice(
        &mut self,
        id: String,
        job: &Job,
        granted: &[String],
        alerts: &BTreeMap<String, Alert>,
    ) -> Option<Notice> {
        let mut items = Vec::new();
        for fingerprint in granted {
            let is_wanted = self.wanted.get(fingerprint).is_some_and(|(kind, _)| *kind == job.kind);
            match alerts.get(fingerprint) {
                Some(alert) if is_wanted => items.push(self.item(fingerprint, alert)),
                // Things have changed meanwhile.
                _ => drop(self.released.insert(fingerprint.clone())),
            }
        }
        if items.is_empty() {
            self.is_busy = false;
            self.unclaimed.clear();
            return None;
        }
        let silent = job.kind == Kind::Resolved && !self.line.resolved;
        let failures = self.failing.as_ref().map_or(0, |failing| failing.times);
        Some(Notice { id, line: job.line.clone(), kind: job.kind, rule: job.rule.name(), items, silent, failures })
    }

    fn item(&self, fingerprint: &str, alert: &Alert) -> Item {
        let told = self.known.get(fingerprint).map(|known| &known.told);
        let told = told.filter(|told| told.word == Word::Firing);
        let is_over = matches!(alert.phase, Phase::Resolved { .. });
        Item {
            fingerprint: fingerprint.to_owned(),
            // What ends is what was announced.
            severity: told.filter(|_| is_over).map_or(alert.condition.severity, |told| told.severity),
            summary: alert.condition.summary.clone(),
            subject: alert.condition.subject.clone(),
            since: alert.since,
            ended: match alert.phase {
                Phase::Resolved { at, .. } => Some(at),
                Phase::Pending | Phase::Firing { .. } => None,
            },
            thread: told.map(|told| told.thread.clone()),
        }
    }

    /// There is something to say.
    pub(super) fn is_waiting(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Nobody keeps a ledger, so nothing has to be written down.
    pub(super) fn settle(&mut self) {
        self.released.clear();
        self.known.values_mut().for_each(|known| known.is_ahead = false);
    }

    #[cfg(test)]
    pub(super) fn remembers(&self) -> usize {
        self.known.len()
    }

    pub(super) fn is_ahead(&self) -> bool {
        !self.released.is_empty() || self.known.values().any(|known| known.is_ahead)
    }
}

fn fired(alert: &Alert) -> Millis {
    match alert.phase {
        Phase::Firing { at, .. } => at,
        Phase::Resolved { fired, .. } => fired,
        Phase::Pending => alert.since,
    }
}
