//! Pure: from what is wrong in one cluster state to alerts that begin and end.
//!
//! An alert is pending until it has been so for its rule's time, fires until it has been right for
//! another, and is then resolved. Where a cluster state does not tell, nothing begins and nothing ends. What
//! comes back soon after its end has to be right for twice as long the next time, so that trouble that
//! comes and goes is one alert.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    condition::Condition,
    rule::Rules,
    rules::Observation,
    silence::{self, Silence},
    time::millis,
};
use crate::cluster_state::{self, AlertState, Millis, Severity};

/// For so long an alert that is over is shown.
const RESOLVED_RETENTION: Millis = 10 * 60_000;

/// What has an explanation is not told for so much longer than the explanation: what a lost node took with
/// it comes back later than the node.
pub const INHIBIT_LINGER: Millis = 2 * 60_000;

/// What begins so much later than a cause has another one. What a node takes with it goes wrong as soon as the
/// swarm misses it, and what is placed elsewhere instead may have to pull its image first; but an old task of a
/// service names the lost node for as long as that is lost.
pub const INHIBIT_WINDOW: Millis = 5 * 60_000;

/// What fires again so soon after its end has come back.
const FLAP_WINDOW: Millis = 30 * 60_000;

/// Nothing has to be right for longer, unless its rule says so.
const MAX_RESOLVE_AFTER: Millis = 10 * 60_000;

/// How far an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not for long enough yet.
    Pending,
    /// For long enough.
    Firing {
        /// Since when.
        at: Millis,
        /// Since when it is right again, if it is.
        clear: Option<Millis>,
    },
    /// Over.
    Resolved {
        /// Since when it fired.
        fired: Millis,
        /// When it ended.
        at: Millis,
    },
}

/// Something that is wrong, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What is wrong, as it was last seen.
    pub condition: Condition,
    /// How far it is.
    pub phase: Phase,
    /// Since when it is wrong.
    pub since: Millis,
    /// It is wrong in the newest cluster state.
    pub seen: bool,
    /// What explains it, so that nobody needs to be told.
    pub inhibited_by: Option<String>,
    /// Nobody wants to be told until then.
    pub silenced_until: Option<Millis>,
    /// All that explained it since it began.
    causes: BTreeSet<String>,
    /// When it last became wrong: what comes and goes explains anew what comes with it.
    began: Millis,
    /// Since when it matters so much: what grows worse later may have another cause.
    severity_since: Millis,
    /// It was over when it came back; kept until it fires, because its end may still have to be told.
    previous_end: Option<PreviousEnd>,
}

/// The end of what is pending again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PreviousEnd {
    since: Millis,
    fired: Millis,
    at: Millis,
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
            began: since,
            severity_since: since,
            previous_end: None,
        }
    }

    /// It is pending no more. If it was over previous_end, it is again.
    fn restore_end(&mut self) -> bool {
        let Some(PreviousEnd { since, fired, at }) = self.previous_end.take() else { return false };
        (self.since, self.phase) = (since, Phase::Resolved { fired, at });
        true
    }

    /// Whether it explains what matters so much since `since`.
    fn inhibits(&self, since: Millis, severity: Severity, now: Millis) -> bool {
        let lasts = match self.phase {
            // It decides first.
            Phase::Pending => self.seen,
            Phase::Firing { .. } => true,
            Phase::Resolved { at, .. } => now - at < INHIBIT_LINGER,
        };
        // Who is told only of what matters more would hear of neither.
        lasts && severity <= self.condition.severity && since <= self.began.saturating_add(INHIBIT_WINDOW)
    }

    fn state(&self) -> AlertState {
        match self.phase {
            Phase::Pending => AlertState::Pending,
            Phase::Firing { .. } => AlertState::Firing,
            Phase::Resolved { .. } => AlertState::Resolved,
        }
    }

    /// As the page shows it.
    #[must_use]
    pub fn shown(&self) -> cluster_state::Alert {
        cluster_state::Alert {
            rule: self.condition.rule.name().to_owned(),
            severity: self.condition.severity,
            state: self.state(),
            since: self.since,
            summary: self.condition.summary.clone(),
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
    /// The alerts by fingerprint.
    #[must_use]
    pub fn alerts(&self) -> &BTreeMap<String, Alert> {
        &self.alerts
    }

    /// Goes on by what one cluster state shows. Alerts that are over stay while `keep` says so.
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
            Phase::Resolved { fired, at } => Some(PreviousEnd { since: alert.since, fired, at }),
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
                        flaps.resolved = now;
                    }
                }
                Phase::Firing { clear: None, .. } | Phase::Resolved { .. } => {}
            }
        }
        let alerts = &self.alerts;
        self.flaps.retain(|fingerprint, flaps| alerts.contains_key(fingerprint) || now - flaps.resolved < FLAP_WINDOW);
    }

    /// Who needs to be told.
    fn inhibit(&mut self, silences: &[Silence], now: Millis) {
        // One that fires says more than one that may yet.
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

    /// Takes over an alert that another instance has announced and that is not known here. Unless a
    /// cluster state shows it, it is on its way to its end.
    pub fn adopt(&mut self, condition: Condition, since: Millis) {
        let fingerprint = condition.fingerprint.clone();
        let adopted = Alert::new(condition, Phase::Firing { at: since, clear: None }, since);
        match self.alerts.get_mut(&fingerprint) {
            None => drop(self.alerts.insert(fingerprint, adopted)),
            // It has been told already, so it needs no more timing.
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
