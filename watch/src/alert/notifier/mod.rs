//! Pure: what one instance should send, when, and through which channel.
//!
//! Nothing is queued. Each receiver compares the alerts that its instance sees with those that were announced,
//! and sends the difference. That difference is never larger than the number of alerts, however long a channel is
//! down. A notification takes three steps, each of which follows from the outcome of the one before: an
//! [`AlertGroup`] is claimed in the log, a [`Notification`] is sent, and a [`LogSync`] writes down what was sent.
//!
//! The leader's instance acts at once. Every other instance waits according to its [position], long
//! enough to find the notification already sent, so it acts only if those before it do not. While the log is
//! unavailable the instances wait longer and then send without it: a duplicate is better than no notification.

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
    group::{AlertGroup, Failure, Item, Kind, Notification, Retry, Undelivered},
    log_sync::LogSync,
};
use super::{
    alert_states::{AlertStates, Phase},
    condition::Condition,
    notification_log::{ClaimResult, LogEntry, NotificationLog, Status},
    position::position,
    rule::Rule,
    rules::{self, End, Observation, Restarts, conditions},
};
use crate::cluster_state::{Alert, ClusterState, Millis};

/// The alerts of one instance, and what it has announced of them.
#[derive(Debug)]
pub struct Notifier {
    config: Arc<NotifierConfig>,
    states: AlertStates,
    restarts: Restarts,
    receivers: BTreeMap<String, ReceiverState>,
    /// The name of the instance, and the node it runs on.
    instance: String,
    node: String,
    position: u32,
    /// Since when the log has been available; `None` while it is not.
    log_available_since: Option<Millis>,
    /// A log is configured.
    has_log: bool,
    /// Makes the ids of notifications unique.
    notification_count: u64,
}

impl Notifier {
    /// Creates the notifier of `instance`, which knows nothing yet.
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

    /// Runs without a log.
    #[must_use]
    pub fn without_log(mut self) -> Self {
        self.has_log = false;
        self
    }

    /// Replaces the configuration. Receivers that remain keep their state.
    pub fn replace(&mut self, config: Arc<NotifierConfig>) {
        let mut before = std::mem::take(&mut self.receivers);
        for receiver in &config.receivers {
            let state = before.remove(&receiver.name).unwrap_or_default();
            self.receivers.insert(receiver.name.clone(), state.with(receiver.clone()));
        }
        self.config = config;
    }

    /// Processes a cluster state.
    pub fn observe(&mut self, cluster: &ClusterState, now: Millis) {
        self.position = position(cluster, now);
        self.node.clone_from(&cluster.source.node);
        self.restarts.observe(cluster, now);
        let mut found = conditions(cluster, &self.restarts, &self.config.rules, now);
        self.add_failing_channels(&mut found, now);
        let receivers = &self.receivers;
        let keep = |fingerprint: &str| receivers.values().any(|receiver| receiver.needs_notification(fingerprint));
        self.states.observe(found, &self.config.rules, &self.config.silences, now, keep);
        let mut states = std::mem::take(&mut self.states);
        states.describe_ends(|condition, since| self.end(condition, since, cluster, now));
        self.states = states;
        self.update_pending(now);
    }

    /// Adds a condition for each channel that fails.
    fn add_failing_channels(&self, found: &mut Observation, now: Millis) {
        if !self.config.rules.of(Rule::ChannelFailing).enabled {
            return;
        }
        for (name, state) in &self.receivers {
            let Some(problem) = state.problem(now) else { continue };
            let severity = self.config.rules.of(Rule::ChannelFailing).severity.unwrap_or(problem.severity);
            let mut condition = Condition::new(Rule::ChannelFailing, &self.sender(name), severity, problem.summary);
            // The recipients that get messages can get this one as well.
            condition.not_through = problem.is_for_all.then(|| name.clone());
            condition.subject.node = Some(self.node.clone()).filter(|node| !node.is_empty());
            found.conditions.push(condition);
        }
    }

    /// Identifies a channel as this instance uses it.
    fn sender(&self, channel: &str) -> String {
        format!("{channel}@{}", if self.node.is_empty() { &self.instance } else { &self.node })
    }

    /// Describes how an alert ended that began at `since`.
    fn end(&self, condition: &Condition, since: Millis, cluster: &ClusterState, now: Millis) -> End {
        let Some((channel, _)) = condition.what().rsplit_once('@').filter(|_| condition.rule == Rule::ChannelFailing)
        else {
            return rules::end(condition, cluster, &self.config.rules, now);
        };
        match self.receivers.get(channel) {
            _ if !self.config.rules.of(Rule::ChannelFailing).enabled => End::disabled(Rule::ChannelFailing),
            None => End::Gone(format!("the channel {channel} was removed from the settings")),
            Some(_) if condition.what() != self.sender(channel) => {
                End::Gone(format!("another instance no longer reports that sending through {channel} fails"))
            }
            Some(state) if state.works_since(since) => {
                End::Over(format!("messages can be sent through {channel} again"))
            }
            // Another instance has sent what this one could not, or this one was restarted.
            Some(_) => End::Gone(format!("no further message through {channel} has failed")),
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

    /// Returns the alerts as the page shows them.
    #[must_use]
    pub fn alerts(&self) -> BTreeMap<String, Alert> {
        let alerts = self.states.alerts().iter();
        alerts.map(|(fingerprint, alert)| (fingerprint.clone(), alert.shown())).collect()
    }

    /// Returns the groups to claim now. Pass the outcome to [`claimed`](Self::claimed).
    pub fn next(&mut self, now: Millis) -> Vec<AlertGroup> {
        let (delays, position) = (self.config.delays, i64::from(self.position));
        let (position_wait, from) = match self.log_available_since {
            _ if position == 0 => (0, Millis::MIN),
            // The others give the leader time to log what it sent while the log was unavailable.
            Some(since) => (position.saturating_mul(delays.takeover), since),
            None => (position.saturating_mul(delays.takeover_blind), Millis::MIN),
        };
        let alerts = self.states.alerts();
        self.receivers
            .values_mut()
            .filter_map(|receiver| receiver.next(alerts, delays, position_wait, from, now))
            .collect()
    }

    /// Takes the result of a claim, `Err` if the log is unavailable, and returns the notification to send. Pass
    /// its outcome to [`sent`](Self::sent).
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

    /// Returns messages to send again, each to recipients that lack it. They need no claim, since this instance alone
    /// knows of them. Pass the outcome to [`sent`](Self::sent).
    pub fn redeliveries(&mut self, now: Millis) -> Vec<Notification> {
        self.receivers.values_mut().flat_map(|receiver| receiver.redeliveries(now)).collect()
    }

    /// Takes the outcome of sending a notification.
    pub fn sent(&mut self, notification: &Notification, outcome: Result<(), Failure>, now: Millis) {
        if let Some(receiver) = self.receivers.get_mut(&notification.receiver) {
            receiver.sent(notification, outcome, now);
        }
        self.update_pending(now);
    }

    /// At least one receiver is configured.
    #[must_use]
    pub fn has_receivers(&self) -> bool {
        !self.receivers.is_empty()
    }

    /// The log lacks something that this instance sent.
    #[must_use]
    pub fn has_unlogged(&self) -> bool {
        self.receivers.values().any(ReceiverState::has_unlogged)
    }

    /// Returns how long to wait between two uses of the log. While a notification is pending, an instance that
    /// waits for its turn checks often whether it was sent and whether the log is available.
    #[must_use]
    pub fn pause(&self) -> Millis {
        const UNLOGGED: Millis = 500;
        const WAITING: Millis = 1000;
        const IDLE: Millis = 5000;
        if self.has_unlogged() {
            UNLOGGED
        } else if self.log_available_since.is_none() || self.receivers.values().any(ReceiverState::has_pending) {
            WAITING
        } else {
            IDLE
        }
    }

    /// Returns what to write to the log. Pass the outcome to [`synced`](Self::synced).
    #[must_use]
    pub fn log_sync(&self, now: Millis) -> LogSync {
        let mut sync = LogSync { owner: self.instance.clone(), at: now, ..LogSync::default() };
        for state in self.receivers.values() {
            state.add_to(&mut sync, now);
        }
        // Only ends that are still to be announced can be delayed by what this instance sees.
        let is_announced =
            |fingerprint: &String| self.receivers.values().any(|receiver| receiver.needs_notification(fingerprint));
        let seen = self.states.alerts().iter().filter(|(fingerprint, alert)| {
            alert.seen && matches!(alert.phase, Phase::Firing { .. }) && is_announced(fingerprint)
        });
        sync.seen = seen.map(|(fingerprint, _)| fingerprint.clone()).collect();
        sync
    }

    /// Takes the entries of the log, `Err` if it is unavailable.
    pub fn synced(&mut self, sync: &LogSync, result: Result<Vec<(String, String, LogEntry)>, ()>, now: Millis) {
        let Ok(entries) = result else {
            self.log_available_since = None;
            return;
        };
        self.log_available_since.get_or_insert(now);
        for state in self.receivers.values_mut() {
            state.log_synced(sync);
        }
        let entries = entries.into_iter().map(|(receiver, fingerprint, entry)| {
            (receiver, fingerprint, LogEntry { at: sync.at - entry.at, ..entry })
        });
        self.remember(entries, now);
    }

    /// Learns what was announced through which channel, by which fingerprint.
    pub fn remember(&mut self, entries: impl IntoIterator<Item = (String, String, LogEntry)>, now: Millis) {
        for (receiver, fingerprint, entry) in entries {
            let Some(state) = self.receivers.get_mut(&receiver) else { continue };
            if entry.status == Status::Firing
                && !self.states.alerts().contains_key(&fingerprint)
                && let Some(condition) = announced_condition(&fingerprint, &entry)
            {
                self.states.adopt(condition, entry.since);
            }
            state.learn(&fingerprint, entry);
        }
        self.update_pending(now);
    }

    /// Returns what was announced, as a log whose times are those of this instance.
    #[must_use]
    pub fn announced(&self, now: Millis) -> NotificationLog {
        let mut log = NotificationLog::default();
        for (channel, state) in &self.receivers {
            for (fingerprint, entry) in state.announced() {
                log.restore(channel, fingerprint, entry.clone());
            }
        }
        log.prune(now);
        log
    }
}

/// Restores the condition of an alert that another instance announced.
fn announced_condition(fingerprint: &str, entry: &LogEntry) -> Option<Condition> {
    let mut condition = Condition::new(Rule::named(&entry.rule)?, "", entry.severity, entry.summary.clone());
    fingerprint.clone_into(&mut condition.fingerprint);
    condition.subject = entry.subject.clone();
    Some(condition)
}
