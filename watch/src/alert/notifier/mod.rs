//! Pure: what one instance has to say, when, through which channel.
//!
//! Nothing is queued. Each channel compares what its instance sees with what was announced, and the
//! difference is what there is to say; it grows no larger than the alerts do, whatever a channel's outage.
//! To say something takes three steps, and a step's outcome leads to the next: a [`Job`] is to be claimed
//! in the ledger, a [`Notice`] is to be sent, and what was sent is to be written down ([`Push`]).
//!
//! The leader's instance does so at once. Each other one waits, by its [rank](rank), for so long that it
//! finds the matter done; so it acts only when those before it do not. While the ledger cannot be used they
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

use self::receiver::State;
pub use self::{
    config::{Delays, Line, Orders},
    group::{Failure, Item, Job, Kind, Notice, Retry},
    log_sync::Push,
};
use super::{
    alert_states::{Machine, Phase},
    condition::Condition,
    notification_log::{Told, Verdict, Word},
    position::rank,
    rule::Rule,
    rules::{Observation, Restarts, conditions},
};
use crate::cluster_state::{Alert, ClusterState, Millis, Severity};

/// All that one instance knows of alerts and their announcement.
#[derive(Debug)]
pub struct Desk {
    orders: Arc<Orders>,
    machine: Machine,
    restarts: Restarts,
    lines: BTreeMap<String, State>,
    /// The instance, and its node.
    me: String,
    node: String,
    rank: u32,
    /// Since when the ledger answers; `None` while it does not.
    ledger_since: Option<Millis>,
    /// There is one.
    has_ledger: bool,
    /// For ids of notices.
    notices: u64,
}

impl Desk {
    /// That of the instance `me`, with nothing known yet.
    #[must_use]
    pub fn new(me: &str, orders: Arc<Orders>) -> Self {
        let mut desk = Self {
            orders: orders.clone(),
            machine: Machine::default(),
            restarts: Restarts::default(),
            lines: BTreeMap::new(),
            me: me.to_owned(),
            node: String::new(),
            rank: 0,
            ledger_since: None,
            has_ledger: true,
            notices: 0,
        };
        desk.replace(orders);
        desk
    }

    /// There will never be a ledger to write to.
    #[must_use]
    pub fn without_ledger(mut self) -> Self {
        self.has_ledger = false;
        self
    }

    /// Goes on by other orders. What is known of channels that stay is kept.
    pub fn replace(&mut self, orders: Arc<Orders>) {
        let mut before = std::mem::take(&mut self.lines);
        for line in &orders.lines {
            let state = before.remove(&line.name).unwrap_or_default();
            self.lines.insert(line.name.clone(), state.with(line.clone()));
        }
        self.orders = orders;
    }

    /// Takes in what a cluster state shows.
    pub fn observe(&mut self, cluster: &ClusterState, now: Millis) {
        self.rank = rank(cluster, now);
        self.node.clone_from(&cluster.source.node);
        self.restarts.observe(cluster, now);
        let mut found = conditions(cluster, &self.restarts, &self.orders.rules, now);
        self.failing(&mut found, now);
        let lines = &self.lines;
        let keep = |fingerprint: &str| lines.values().any(|line| line.needs_notification(fingerprint));
        self.machine.observe(found, &self.orders.rules, &self.orders.silences, now, keep);
        self.compare(now);
    }

    /// What is wrong with the channels themselves.
    fn failing(&self, found: &mut Observation, now: Millis) {
        if !self.orders.rules.of(Rule::ChannelFailing).enabled {
            return;
        }
        for (name, state) in &self.lines {
            let Some(error) = state.error(now) else { continue };
            let what = format!("{name}@{}", if self.node.is_empty() { &self.me } else { &self.node });
            let severity = self.orders.rules.of(Rule::ChannelFailing).severity.unwrap_or(Severity::Critical);
            let summary = format!("messages cannot be sent by {name}: {error}");
            let mut condition = Condition::new(Rule::ChannelFailing, &what, severity, summary);
            condition.not_through = Some(name.clone());
            condition.subject.node = Some(self.node.clone()).filter(|node| !node.is_empty());
            found.conditions.push(condition);
        }
    }

    fn compare(&mut self, now: Millis) {
        for state in self.lines.values_mut() {
            if !self.has_ledger {
                state.discard_log_changes();
            }
            state.compare(self.machine.alerts(), now);
        }
    }

    /// The alerts as the page shows them.
    #[must_use]
    pub fn alerts(&self) -> BTreeMap<String, Alert> {
        let alerts = self.machine.alerts().iter();
        alerts.map(|(fingerprint, alert)| (fingerprint.clone(), alert.shown())).collect()
    }

    /// What is to be claimed now; the outcome goes to [`claimed`](Self::claimed).
    pub fn next(&mut self, now: Millis) -> Vec<Job> {
        let (delays, rank) = (self.orders.delays, i64::from(self.rank));
        let (rank_wait, from) = match self.ledger_since {
            _ if rank == 0 => (0, Millis::MIN),
            // Those behind the leader give it time to write down what it said while nobody could.
            Some(since) => (rank.saturating_mul(delays.takeover), since),
            None => (rank.saturating_mul(delays.blind), Millis::MIN),
        };
        let alerts = self.machine.alerts();
        self.lines.values_mut().filter_map(|line| line.next(alerts, delays, rank_wait, from, now)).collect()
    }

    /// What came of a claim, `Err` if the ledger cannot be used. Gives what is to be sent, the outcome of
    /// which goes to [`sent`](Self::sent).
    pub fn claimed(&mut self, job: &Job, verdicts: Result<Vec<Verdict>, ()>, now: Millis) -> Option<Notice> {
        let line = self.lines.get_mut(&job.line)?;
        let granted = match verdicts {
            Ok(verdicts) => {
                self.ledger_since.get_or_insert(now);
                line.claimed(job, verdicts, now)
            }
            Err(()) => {
                self.ledger_since = None;
                let wait = i64::from(self.rank).saturating_mul(self.orders.delays.blind);
                line.unclaimed(job, wait, now)
            }
        };
        let id = format!("{}.{:x}.{}", self.me, now, self.notices);
        let notice = line.notice(id, job, &granted, self.machine.alerts());
        match notice {
            Some(_) => self.notices += 1,
            None => self.compare(now),
        }
        notice
    }

    /// What came of a notice.
    pub fn sent(&mut self, notice: &Notice, outcome: Result<(), Failure>, now: Millis) {
        if let Some(line) = self.lines.get_mut(&notice.line) {
            line.sent(notice, outcome, now);
        }
        self.compare(now);
    }

    /// There is a channel to say something through.
    #[must_use]
    pub fn has_lines(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Something was said that the ledger does not have yet.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        self.lines.values().any(State::is_unlogged)
    }

    /// How long after its last use the ledger is to be used again. While there is something to say, whoever
    /// waits for his turn looks whether it has been said, and whether he would know.
    #[must_use]
    pub fn pause(&self) -> Millis {
        const AHEAD: Millis = 500;
        const WAITING: Millis = 1000;
        const IDLE: Millis = 5000;
        if self.is_ahead() {
            AHEAD
        } else if self.ledger_since.is_none() || self.lines.values().any(State::has_pending) {
            WAITING
        } else {
            IDLE
        }
    }

    /// What the ledger should have; the outcome goes to [`synced`](Self::synced).
    #[must_use]
    pub fn push(&self, now: Millis) -> Push {
        let mut push = Push { owner: self.me.clone(), at: now, ..Push::default() };
        for state in self.lines.values() {
            state.push(&mut push, now);
        }
        // Only an end that somebody waits for can be held up.
        let is_told = |fingerprint: &String| self.lines.values().any(|line| line.needs_notification(fingerprint));
        let seen = self.machine.alerts().iter().filter(|(fingerprint, alert)| {
            alert.seen && matches!(alert.phase, Phase::Firing { .. }) && is_told(fingerprint)
        });
        push.seen = seen.map(|(fingerprint, _)| fingerprint.clone()).collect();
        push
    }

    /// What the ledger has, `Err` if it cannot be used.
    pub fn synced(&mut self, push: &Push, result: Result<Vec<(String, String, Told)>, ()>, now: Millis) {
        let Ok(told) = result else {
            self.ledger_since = None;
            return;
        };
        self.ledger_since.get_or_insert(now);
        for state in self.lines.values_mut() {
            state.pushed(push);
        }
        for (channel, fingerprint, told) in told {
            let Some(state) = self.lines.get_mut(&channel) else { continue };
            let told = Told { at: push.at - told.at, ..told };
            if told.word == Word::Firing
                && !self.machine.alerts().contains_key(&fingerprint)
                && let Some(condition) = recalled(&fingerprint, &told)
            {
                self.machine.adopt(condition, told.since);
            }
            state.learn(&fingerprint, told);
        }
        self.compare(now);
    }
}

/// What another instance has announced.
fn recalled(fingerprint: &str, told: &Told) -> Option<Condition> {
    let mut condition = Condition::new(Rule::named(&told.rule)?, "", told.severity, told.summary.clone());
    fingerprint.clone_into(&mut condition.fingerprint);
    condition.subject = told.subject.clone();
    Some(condition)
}
