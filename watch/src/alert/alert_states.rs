//! Pure: turns the conditions of cluster states into alerts that begin and end.
//!
//! An alert is pending until its condition has held for its rule's `for`, fires until the condition has been
//! absent for the rule's `resolve_after`, and is then resolved. While a condition is unknown, its alert neither
//! begins nor ends. An alert that fires again soon after its end must be clear for twice as long the next time,
//! so that a flapping condition is one alert.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    condition::Condition,
    rule::Rules,
    rules::{End, Observation},
    silence::{self, Silence},
    time::millis,
};
use crate::cluster_state::{self, AlertState, Millis, Severity};

/// How long a resolved alert is shown.
const RESOLVED_RETENTION: Millis = 10 * 60_000;

/// How much longer than its cause an alert stays inhibited: what a lost node took with it recovers later than the
/// node.
pub const INHIBIT_LINGER: Millis = 2 * 60_000;

/// An alert that begins this much later than a possible cause is not inhibited by it. What a lost node takes with
/// it fails as soon as the swarm notices the loss, or somewhat later if a task that replaces it has to pull its
/// image. But an old task of a service names the lost node for as long as the node is lost.
pub const INHIBIT_WINDOW: Millis = 5 * 60_000;

/// An alert that fires again within this time after its end is flapping.
const FLAP_WINDOW: Millis = 30 * 60_000;

/// The longest time that a flapping alert must be clear, unless its rule demands more.
const MAX_RESOLVE_AFTER: Millis = 10 * 60_000;

/// The phase of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The condition has not held for long enough.
    Pending,
    /// The condition has held for long enough.
    Firing {
        /// Since when the alert has been firing.
        at: Millis,
        /// Since when the condition has been absent, if it is.
        clear: Option<Millis>,
    },
    /// The alert has ended.
    Resolved {
        /// Since when it was firing.
        fired: Millis,
        /// When it ended.
        at: Millis,
    },
}

/// A condition over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The condition as it was last seen.
    pub condition: Condition,
    /// The alert's phase.
    pub phase: Phase,
    /// Since when the condition has held.
    pub since: Millis,
    /// The condition holds in the newest cluster state.
    pub seen: bool,
    /// The fingerprint of the alert that inhibits this one.
    pub inhibited_by: Option<String>,
    /// No notification is sent until this time.
    pub silenced_until: Option<Millis>,
    /// How the alert ended; `None` unless it is resolved.
    pub end: Option<AlertEnd>,
    /// How often the condition came back while the alert was firing.
    returns: u32,
    /// All possible causes since the alert began.
    causes: BTreeSet<String>,
    /// When the condition last began to hold: a flapping alert inhibits again what fails together with it.
    began: Millis,
    /// Since when the alert has had its severity: a later increase may have another cause.
    severity_since: Millis,
    /// The end of the alert before it came back, kept until it fires because that end may still have to be sent.
    previous_end: Option<PreviousEnd>,
}

/// The end of an alert that is pending again.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PreviousEnd {
    since: Millis,
    fired: Millis,
    at: Millis,
    end: Option<AlertEnd>,
}

/// How an alert ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertEnd {
    /// Since when the condition has been absent.
    pub since: Millis,
    /// One sentence; `None` until it is described.
    pub text: Option<String>,
}

impl Alert {
    fn new(condition: Condition, phase: Phase, since: Millis) -> Self {
        Self {
            causes: condition.causes.iter().cloned().collect(),
            condition,
            phase,
            since,
            seen: false,
            inhibited_by: None,
            silenced_until: None,
            end: None,
            returns: 0,
            began: since,
            severity_since: since,
            previous_end: None,
        }
    }

    /// Restores the end of an alert that came back and is no longer pending. Returns whether there was one.
    fn restore_end(&mut self) -> bool {
        let Some(PreviousEnd { since, fired, at, end }) = self.previous_end.take() else { return false };
        (self.since, self.phase, self.end) = (since, Phase::Resolved { fired, at }, end);
        true
    }

    /// Whether this alert inhibits one that has had `severity` since `since`.
    fn inhibits(&self, since: Millis, severity: Severity, now: Millis) -> bool {
        let lasts = match self.phase {
            // A pending cause inhibits until it is decided.
            Phase::Pending => self.seen,
            Phase::Firing { .. } => true,
            Phase::Resolved { at, .. } => now - at < INHIBIT_LINGER,
        };
        // A receiver with a higher minimum severity would otherwise get neither of the two alerts.
        lasts && severity <= self.condition.severity && since <= self.began.saturating_add(INHIBIT_WINDOW)
    }

    fn state(&self) -> AlertState {
        match self.phase {
            Phase::Pending => AlertState::Pending,
            Phase::Firing { .. } => AlertState::Firing,
            Phase::Resolved { .. } => AlertState::Resolved,
        }
    }

    /// Returns what is wrong, or how it ended.
    fn text(&self) -> &str {
        self.end.as_ref().and_then(|end| end.text.as_deref()).unwrap_or(&self.condition.summary)
    }

    /// Returns the alert as the page shows it.
    #[must_use]
    pub fn shown(&self) -> cluster_state::Alert {
        cluster_state::Alert {
            rule: self.condition.rule.name().to_owned(),
            severity: self.condition.severity,
            state: self.state(),
            since: self.since,
            summary: self.text().to_owned(),
            node: self.condition.subject.node.clone(),
            service: self.condition.subject.service.clone(),
            task: self.condition.subject.task.clone(),
            silenced_until: self.silenced_until,
            inhibited_by: self.inhibited_by.clone(),
        }
    }
}

/// How often an alert came back.
#[derive(Clone, Copy, Debug, Default)]
struct Flaps {
    times: u32,
    resolved: Millis,
}

/// All alerts of one instance.
#[derive(Clone, Debug, Default)]
pub struct AlertStates {
    alerts: BTreeMap<String, Alert>,
    flaps: BTreeMap<String, Flaps>,
}

impl AlertStates {
    /// Returns the alerts by fingerprint.
    #[must_use]
    pub fn alerts(&self) -> &BTreeMap<String, Alert> {
        &self.alerts
    }

    /// Processes what was found in one cluster state. A resolved alert stays while `keep` returns true.
    pub fn observe(
        &mut self,
        observation: Observation,
        rules: &Rules,
        silences: &[Silence],
        now: Millis,
        keep: impl Fn(&str) -> bool,
    ) {
        for alert in self.alerts.values_mut() {
            alert.seen = false;
        }
        let unknown = Observation { unknown: observation.unknown, conditions: Vec::new() };
        for condition in observation.conditions {
            self.record(condition, now);
        }
        self.alerts.retain(|fingerprint, alert| {
            alert.seen
                || match &mut alert.phase {
                    Phase::Pending => !unknown.knows(fingerprint) || keep(fingerprint) && alert.restore_end(),
                    Phase::Firing { clear, .. } => {
                        *clear = unknown.knows(fingerprint).then(|| clear.unwrap_or(now));
                        true
                    }
                    Phase::Resolved { at, .. } => now - *at < RESOLVED_RETENTION || keep(fingerprint),
                }
        });
        self.advance(rules, now);
        self.inhibit(silences, now);
    }

    fn record(&mut self, condition: Condition, now: Millis) {
        if let Some(alert) = self.alerts.get_mut(&condition.fingerprint)
            && !matches!(alert.phase, Phase::Resolved { .. })
        {
            if let Phase::Firing { clear, .. } = &mut alert.phase
                && clear.take().is_some()
            {
                alert.began = now;
                alert.returns = alert.returns.saturating_add(1);
            }
            if condition.severity > alert.condition.severity {
                alert.severity_since = now;
            }
            alert.seen = true;
            alert.causes.extend(condition.causes.iter().cloned());
            alert.condition = condition;
            return;
        }
        let fingerprint = condition.fingerprint.clone();
        let previous_end = self.alerts.get(&fingerprint).and_then(|alert| match alert.phase {
            Phase::Resolved { fired, at } => {
                Some(PreviousEnd { since: alert.since, fired, at, end: alert.end.clone() })
            }
            Phase::Pending | Phase::Firing { .. } => None,
        });
        let alert = Alert { seen: true, previous_end, ..Alert::new(condition, Phase::Pending, now) };
        self.alerts.insert(fingerprint, alert);
    }

    fn advance(&mut self, rules: &Rules, now: Millis) {
        for (fingerprint, alert) in &mut self.alerts {
            let timing = rules.of(alert.condition.rule).timing;
            match alert.phase {
                Phase::Pending => {
                    let wait = millis(timing.wait).saturating_add(alert.condition.extra_wait);
                    if alert.seen && now - alert.since >= wait {
                        alert.phase = Phase::Firing { at: now, clear: None };
                        alert.previous_end = None;
                        let flaps = self.flaps.entry(fingerprint.clone()).or_default();
                        let is_back = flaps.resolved > 0 && now - flaps.resolved < FLAP_WINDOW;
                        flaps.times = if is_back { flaps.times + 1 } else { 0 };
                    }
                }
                Phase::Firing { at: fired, clear: Some(clear) } => {
                    let flaps = self.flaps.entry(fingerprint.clone()).or_default();
                    let least = millis(timing.resolve_after);
                    let wait = least.saturating_mul(1 << flaps.times.min(20)).min(MAX_RESOLVE_AFTER).max(least);
                    if now - clear >= wait {
                        alert.phase = Phase::Resolved { fired, at: now };
                        alert.end = Some(AlertEnd { since: clear, text: None });
                        flaps.resolved = now;
                    }
                }
                Phase::Firing { clear: None, .. } | Phase::Resolved { .. } => {}
            }
        }
        let alerts = &self.alerts;
        self.flaps.retain(|fingerprint, flaps| alerts.contains_key(fingerprint) || now - flaps.resolved < FLAP_WINDOW);
    }

    /// Decides which alerts are inhibited and silenced.
    fn inhibit(&mut self, silences: &[Silence], now: Millis) {
        // A firing cause is a better explanation than a pending one.
        let is_firing =
            |cause: &&String| self.alerts.get(*cause).is_some_and(|cause| matches!(cause.phase, Phase::Firing { .. }));
        let explanation = |alert: &Alert| {
            let explains = |cause: &&String| {
                let cause = self.alerts.get(*cause);
                cause.is_some_and(|cause| cause.inhibits(alert.severity_since, alert.condition.severity, now))
            };
            let mut explaining = alert.causes.iter().filter(explains);
            explaining.clone().find(is_firing).or_else(|| explaining.next()).cloned()
        };
        let explained: Vec<_> = self.alerts.values().map(explanation).collect();
        for (alert, explained) in self.alerts.values_mut().zip(explained) {
            alert.inhibited_by = explained;
            alert.silenced_until = silence::until(silences, &alert.condition, now);
        }
    }

    /// Describes the alerts that have just ended. `end` gets the condition, and since when it held.
    pub fn describe_ends(&mut self, end: impl Fn(&Condition, Millis) -> End) {
        for alert in self.alerts.values_mut() {
            let Some(AlertEnd { since, text: text @ None }) = &mut alert.end else { continue };
            *text = Some(end(&alert.condition, alert.since).text(*since - alert.since, alert.returns));
        }
    }

    /// Takes over an alert that another instance announced and this one does not know. Unless a cluster state
    /// shows its condition, it will be resolved.
    pub fn adopt(&mut self, condition: Condition, since: Millis) {
        let fingerprint = condition.fingerprint.clone();
        let adopted = Alert::new(condition, Phase::Firing { at: since, clear: None }, since);
        match self.alerts.get_mut(&fingerprint) {
            None => drop(self.alerts.insert(fingerprint, adopted)),
            // The alert was announced already, so it need not wait any longer.
            Some(alert) if alert.phase == Phase::Pending => {
                alert.phase = adopted.phase;
                alert.since = alert.since.min(since);
                alert.began = alert.began.min(since);
                alert.previous_end = None;
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
