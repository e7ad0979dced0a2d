//! Pure: what one instance has to say, when, through which channel.
//!
//! Nothing is queued. Each channel compares what its instance sees with what was announced, and the
//! difference is what there is to say; it grows no larger than the alerts do, whatever a channel's outage.
//! To say something takes three steps, and a step's outcome leads to the next: a [`AlertGroup`] is to be claimed
//! in the log, a [`Notification`] is to be sent, and what was sent is to be written down ([`LogSync`]).
//!
//! The leader's instance does so at once. Each other one waits, by its [position](position), for so long that it
//! finds the matter done; so it acts only when those before it do not. While the log cannot be used they
//! wait longer, and then say it: twice is better than not at all.

mod config;
mod group;
mod log_sync;
mod receiver;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use self::receiver::ReceiverState;
pub use self::{
    config::{Delays, NotifierConfig, Receiver},
    group::{AlertGroup, Failure, Item, Kind, Notification, Retry},
    log_sync::LogSync,
};
use super::{
    alert_states::{AlertStates, Phase},
    condition::Condition,
    notification_log::{ClaimResult, LogEntry, Status},
    position::position,
    rule::Rule,
    rules::{Observation, Restarts, conditions},
};
use crate::cluster_state::{Alert, ClusterState, Millis, Severity};

/// All that one instance knows of alerts and their announcement.
#[derive(Debug)]
pub struct Notifier {
    config: Arc<NotifierConfig>,
    states: AlertStates,
    restarts: Restarts,
    receivers: BTreeMap<String, ReceiverState>,
    /// The instance, and its node.
    instance: String,
    node: String,
    position: u32,
    /// Since when the log answers; `None` while it does not.
    log_available_since: Option<Millis>,
    /// There is one.
    has_log: bool,
    /// For ids of notification_count.
    notification_count: u64,
}

impl Notifier {
    /// That of the instance `instance`, with nothing known yet.
    #[must_use]
    pub fn new(instance: &str, config: Arc<NotifierConfig>) -> Self {
        let mut notifier = Self {
            config: config.clone(),
            states: AlertStates::default(),
            restarts: Restarts::default(),
            receivers: BTreeMap::new(),
            instance: instance.to_owned(),
            node: String::new(),
            position: 0,
            log_available_since: None,
            has_log: true,
            notification_count: 0,
        };
        notifier.replace(config);
        notifier
    }

    /// There will never be a log to write to.
    #[must_use]
    pub fn without_log(mut self) -> Self {
        self.has_log = false;
        self
    }

    /// Goes on by other config. What is known of channels that stay is kept.
    pub fn replace(&mut self, config: Arc<NotifierConfig>) {
        let mut before = std::mem::take(&mut self.receivers);
        for receiver in &config.receivers {
            let state = before.remove(&receiver.name).unwrap_or_default();
            self.receivers.insert(receiver.name.clone(), state.with(receiver.clone()));
        }
        self.config = config;
    }

    /// Takes in what a cluster state shows.
    pub fn observe(&mut self, cluster: &ClusterState, now: Millis) {
        self.position = position(cluster, now);
        self.node.clone_from(&cluster.source.node);
        self.restarts.observe(cluster, now);
        let mut found = conditions(cluster, &self.restarts, &self.config.rules, now);
        self.add_failing_channels(&mut found, now);
        let receivers = &self.receivers;
        let keep = |fingerprint: &str| receivers.values().any(|receiver| receiver.needs_notification(fingerprint));
        self.states.observe(found, &self.config.rules, &self.config.silences, now, keep);
        self.update_pending(now);
    }

    /// What is wrong with the channels themselves.
    fn add_failing_channels(&self, found: &mut Observation, now: Millis) {
        if !self.config.rules.of(Rule::ChannelFailing).enabled {
            return;
        }
        for (name, state) in &self.receivers {
            let Some(error) = state.error(now) else { continue };
            let what = format!("{name}@{}", if self.node.is_empty() { &self.instance } else { &self.node });
            let severity = self.config.rules.of(Rule::ChannelFailing).severity.unwrap_or(Severity::Critical);
            let summary = format!("messages cannot be sent by {name}: {error}");
            let mut condition = Condition::new(Rule::ChannelFailing, &what, severity, summary);
            condition.not_through = Some(name.clone());
            condition.subject.node = Some(self.node.clone()).filter(|node| !node.is_empty());
            found.conditions.push(condition);
        }
    }

    fn update_pending(&mut self, now: Millis) {
        for state in self.receivers.values_mut() {
            if !self.has_log {
                state.discard_log_changes();
            }
            state.update_pending(self.states.alerts(), now);
        }
    }

    /// The alerts as the page shows them.
    #[must_use]
    pub fn alerts(&self) -> BTreeMap<String, Alert> {
        let alerts = self.states.alerts().iter();
        alerts.map(|(fingerprint, alert)| (fingerprint.clone(), alert.shown())).collect()
    }

    /// What is to be claimed now; the outcome goes to [`claimed`](Self::claimed).
    pub fn next(&mut self, now: Millis) -> Vec<AlertGroup> {
        let (delays, position) = (self.config.delays, i64::from(self.position));
        let (position_wait, from) = match self.log_available_since {
            _ if position == 0 => (0, Millis::MIN),
            // Those behind the leader give it time to write down what it said while nobody could.
            Some(since) => (position.saturating_mul(delays.takeover), since),
            None => (position.saturating_mul(delays.takeover_blind), Millis::MIN),
        };
        let alerts = self.states.alerts();
        self.receivers
            .values_mut()
            .filter_map(|receiver| receiver.next(alerts, delays, position_wait, from, now))
            .collect()
    }

    /// What came of a claim, `Err` if the log cannot be used. Gives what is to be sent, the outcome of
    /// which goes to [`sent`](Self::sent).
    pub fn claimed(
        &mut self,
        group: &AlertGroup,
        results: Result<Vec<ClaimResult>, ()>,
        now: Millis,
    ) -> Option<Notification> {
        let receiver = self.receivers.get_mut(&group.receiver)?;
        let granted = match results {
            Ok(results) => {
                self.log_available_since.get_or_insert(now);
                receiver.claimed(group, results, now)
            }
            Err(()) => {
                self.log_available_since = None;
                let wait = i64::from(self.position).saturating_mul(self.config.delays.takeover_blind);
                receiver.unclaimed(group, wait, now)
            }
        };
        let id = format!("{}.{:x}.{}", self.instance, now, self.notification_count);
        let notification = receiver.notification(id, group, &granted, self.states.alerts());
        match notification {
            Some(_) => self.notification_count += 1,
            None => self.update_pending(now),
        }
        notification
    }

    /// What came of a notification.
    pub fn sent(&mut self, notification: &Notification, outcome: Result<(), Failure>, now: Millis) {
        if let Some(receiver) = self.receivers.get_mut(&notification.receiver) {
            receiver.sent(notification, outcome, now);
        }
        self.update_pending(now);
    }

    /// There is a channel to say something through.
    #[must_use]
    pub fn has_receivers(&self) -> bool {
        !self.receivers.is_empty()
    }

    /// Something was said that the log does not have yet.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        self.receivers.values().any(ReceiverState::has_unlogged)
    }

    /// How long after its last use the log is to be used again. While there is something to say, whoever
    /// waits for his turn looks whether it has been said, and whether he would know.
    #[must_use]
    pub fn pause(&self) -> Millis {
        const AHEAD: Millis = 500;
        const WAITING: Millis = 1000;
        const IDLE: Millis = 5000;
        if self.is_ahead() {
            AHEAD
        } else if self.log_available_since.is_none() || self.receivers.values().any(ReceiverState::has_pending) {
            WAITING
        } else {
            IDLE
        }
    }

    /// What the log should have; the outcome goes to [`synced`](Self::synced).
    #[must_use]
    pub fn log_sync(&self, now: Millis) -> LogSync {
        let mut sync = LogSync { owner: self.instance.clone(), at: now, ..LogSync::default() };
        for state in self.receivers.values() {
            state.add_to(&mut sync, now);
        }
        // Only an end that somebody waits for can be held up.
        let is_told =
            |fingerprint: &String| self.receivers.values().any(|receiver| receiver.needs_notification(fingerprint));
        let seen = self.states.alerts().iter().filter(|(fingerprint, alert)| {
            alert.seen && matches!(alert.phase, Phase::Firing { .. }) && is_told(fingerprint)
        });
        sync.seen = seen.map(|(fingerprint, _)| fingerprint.clone()).collect();
        sync
    }

    /// What the log has, `Err` if it cannot be used.
    pub fn synced(&mut self, sync: &LogSync, result: Result<Vec<(String, String, LogEntry)>, ()>, now: Millis) {
        let Ok(entry) = result else {
            self.log_available_since = None;
            return;
        };
        self.log_available_since.get_or_insert(now);
        for state in self.receivers.values_mut() {
            state.log_synced(sync);
        }
        for (channel, fingerprint, entry) in entry {
            let Some(state) = self.receivers.get_mut(&channel) else { continue };
            let entry = LogEntry { at: sync.at - entry.at, ..entry };
            if entry.status == Status::Firing
                && !self.states.alerts().contains_key(&fingerprint)
                && let Some(condition) = recalled(&fingerprint, &entry)
            {
                self.states.adopt(condition, entry.since);
            }
            state.learn(&fingerprint, entry);
        }
        self.update_pending(now);
    }
}

/// What another instance has announced.
fn recalled(fingerprint: &str, entry: &LogEntry) -> Option<Condition> {
    let mut condition = Condition::new(Rule::named(&entry.rule)?, "", entry.severity, entry.summary.clone());
    fingerprint.clone_into(&mut condition.fingerprint);
    condition.subject = entry.subject.clone();
    Some(condition)
}
