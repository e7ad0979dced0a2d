//! An endpoint of a pool, and what its checks and its requests have shown so far.
//!
//! Pure but for the endpoint's own counters and what operators see: time is an argument.

use std::{
    mem,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{
    endpoint::{Endpoint, EndpointState, EndpointStatus},
    health::{
        Flip, Health, HealthStatus,
        error_share::{Responses, Window},
        outlier::{self, Outlier, PoolCounts},
    },
    order::Order,
    pool::Standing,
    slow_start::{self, FULL, SlowStart},
    snapshot::PoolHandle,
};
use crate::{
    config::{Ejection, HealthCheck},
    observe::decisions::Decision,
};

/// The reason for the state of an endpoint that the operator drains.
pub(super) const ORDERED_TO_DRAIN: &str = "drained by the operator";

/// One endpoint and its state.
#[derive(Clone, Debug)]
pub struct Member {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Its health as its checks see it.
    pub health: Health,
    /// Its ejections.
    pub outlier: Outlier,
    /// What the operator ordered.
    pub order: Order,
    /// When a drain that the endpoint announced is over; `None` if there is none, or if checks end it.
    pub drains_until: Option<Instant>,
    /// Where it is in its slow start, in a pool that has one.
    pub slow_start: SlowStart,
    /// Its responses since they were last compared with those of the others.
    window: Window,
    /// Whether statuses caused the last ejection.
    ejected_by_status: bool,
    /// How long the last ejection takes.
    ejected_for: Duration,
    /// The number of its answers when the last check completed.
    answers: u64,
}

impl Member {
    /// Creates an endpoint that is neither ejected nor ordered to drain.
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>, health: Health) -> Self {
        let answers = endpoint.answers();
        Self {
            endpoint,
            health,
            outlier: Outlier::default(),
            order: Order::Ready,
            drains_until: None,
            slow_start: SlowStart::default(),
            window: Window::default(),
            ejected_by_status: false,
            ejected_for: Duration::ZERO,
            answers,
        }
    }

    /// Returns whether it gets requests, and why not.
    #[must_use]
    pub fn state(&self) -> EndpointState {
        EndpointState::of(&self.health, &self.outlier, self.order)
    }

    /// Returns what decides whether it gets requests.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let endpoint = Arc::clone(&self.endpoint);
        Standing { endpoint, state: self.state(), is_spared: self.order != Order::Ready }
    }

    /// Applies the outcome of a check.
    pub fn check_completed(&mut self, passed: bool, check: &HealthCheck, now: Instant) {
        if !passed {
            self.endpoint.note_unreachable(now);
        }
        match self.health.observe(passed, check) {
            // Failures from before the recovery must not eject it.
            Some(Flip::Up) => self.endpoint.reset_failures(),
            // From now on only checks decide when it returns.
            Some(Flip::Down) => self.release(now),
            None => {}
        }
        self.forget_drain();
        // If only connections failed, a passing check of the same port has shown that they succeed again.
        let is_same_port = check.port.is_none_or(|port| port == self.endpoint.address.port());
        if passed && is_same_port {
            self.endpoint.outage.end();
        }
        let was_unreachable = self.endpoint.was_unreachable() && !self.ejected_by_status;
        let refutes = is_same_port && was_unreachable && self.outlier.is_ejected();
        if passed && refutes {
            self.release(now);
            self.endpoint.reset_failures();
        } else if passed && self.outlier.is_awaiting_check() {
            // A check has not seen what failed, so it cannot see that it works again.
            self.begin_probation(now);
        }
    }

    /// Ends an ejection with a probation: its next request decides.
    pub fn begin_probation(&mut self, now: Instant) {
        self.outlier.begin_probation();
        self.endpoint.reset_failures();
        // The trial must not be a request that cannot be sent again, while there are others.
        self.endpoint.suspicion.failed(now);
        self.endpoint.probation.begin(self.ejected_by_status);
    }

    /// Ends an ejection or a probation, whatever comes of a request on trial.
    pub fn release(&mut self, now: Instant) {
        self.outlier.release(now);
        self.endpoint.probation.end();
    }

    /// Returns whether anything answered through it since the last call.
    pub fn take_answered(&mut self) -> bool {
        let answers = self.endpoint.answers();
        mem::replace(&mut self.answers, answers) != answers
    }

    /// Applies a check that got no answer while requests got none either: nothing suggests that the next one passes, so
    /// `fall` does not delay the decision.
    pub fn found_hung(&mut self, now: Instant) {
        self.endpoint.note_unreachable(now);
        if self.health.fail() == Some(Flip::Down) {
            self.release(now);
        }
        self.forget_drain();
    }

    /// Applies the endpoint's announcement that it drains, until `until`, or until the checks say otherwise. Returns
    /// whether that is news.
    pub fn drain(&mut self, until: Option<Instant>) -> bool {
        let is_news = self.health.drain();
        self.drains_until = until;
        is_news
    }

    /// Ends a drain that the endpoint announced, without a check.
    pub fn end_drain(&mut self) {
        self.health = Health::assumed();
        self.forget_drain();
    }

    /// Lets responses announce a drain again, unless one is under way.
    fn forget_drain(&mut self) {
        if self.health.status() != HealthStatus::Draining {
            self.drains_until = None;
            self.endpoint.forget_drain();
        }
    }

    /// Obeys an order of the operator. Maintenance ends with `health`, as if the endpoint were new: what was known of
    /// it before says nothing about it afterwards.
    pub fn obey(&mut self, order: Order, health: Health, now: Instant) {
        let before = mem::replace(&mut self.order, order);
        if [before, order].contains(&Order::Maintenance) {
            self.health = health;
            self.release(now);
            self.endpoint.reset_failures();
            self.forget_drain();
        }
    }

    /// Ejects the endpoint, unless it gets no requests anyway or `pool` cannot spare it. Returns for how long.
    pub fn eject(&mut self, settings: &Ejection, pool: PoolCounts, now: Instant) -> Option<Duration> {
        let may_eject = self.state() == EndpointState::Healthy && outlier::may_eject(settings, pool);
        may_eject.then(|| {
            self.ejected_by_status = false;
            self.ejected_for = self.outlier.eject(settings, now);
            self.ejected_for
        })
    }

    /// Ejects the endpoint again after a request on trial failed, or begins its probation anew if `pool` cannot spare
    /// it. Returns for how long it is ejected.
    pub fn eject_again(&mut self, settings: &Ejection, pool: PoolCounts, now: Instant) -> Option<Duration> {
        let is_spare = self.state() == EndpointState::Probation && outlier::may_eject_again(settings, pool);
        if !is_spare {
            self.endpoint.probation.begin(self.ejected_by_status);
            return None;
        }
        self.endpoint.probation.shut();
        self.ejected_for = self.outlier.eject(settings, now);
        Some(self.ejected_for)
    }

    /// Follows its state in a pool with a slow start. Returns whether one begins.
    pub(super) fn follow_slow_start(&mut self, duration: Option<Duration>) -> bool {
        let Some(duration) = duration else {
            self.slow_start = SlowStart::Done;
            self.endpoint.set_percentage(FULL);
            return false;
        };
        let begins = self.slow_start.follow(self.state());
        if begins || self.slow_start == SlowStart::Due {
            self.endpoint.set_percentage(slow_start::percentage(Duration::ZERO, duration));
        }
        if begins {
            self.endpoint.checks.slow_starts.add(1);
        }
        begins
    }

    /// Gives it the part of its weight that it has at `now`.
    pub(super) fn grow(&mut self, duration: Duration, now: Instant) {
        self.endpoint.set_percentage(self.slow_start.tick(duration, now));
    }

    /// Counts the responses since the last call, and returns them.
    pub fn count_responses(&mut self) -> Responses {
        self.window.count(self.endpoint.responses())
    }

    /// Begins to count its responses anew.
    pub fn forget_responses(&mut self) {
        self.count_responses();
        self.window.clear();
    }

    /// Compares its responses with those of its `pool` in the same time. Returns them if too many are server errors.
    pub fn compare_responses(&mut self, settings: &Ejection, pool: Responses) -> Option<Responses> {
        if self.state() != EndpointState::Healthy {
            // Few requests go to it, and those only because others failed.
            self.window.clear();
            return None;
        }
        self.window.compare(pool, settings.error_share)
    }

    /// Ejects the endpoint for its statuses, under the same conditions as [`eject`](Self::eject). Returns for how long.
    pub fn eject_by_status(&mut self, settings: &Ejection, pool: PoolCounts, now: Instant) -> Option<Duration> {
        let duration = self.eject(settings, pool, now)?;
        self.ejected_by_status = true;
        Some(duration)
    }

    /// Records an ejection with its reason.
    pub(super) fn record_ejection(&self, pool: &PoolHandle, reason: &str, now: SystemTime) {
        self.endpoint.checks.ejections.add(1);
        self.record_state(reason, now);
        pool.note(Decision::Ejected, Some(self.endpoint.address), reason);
    }

    /// Records the state after an order of the operator, for the status page. The reason of a state that has nothing to
    /// do with the order stays.
    pub(super) fn record_order(&self, now: SystemTime) {
        let reason = match self.state() {
            EndpointState::Draining if self.order == Order::Drain => ORDERED_TO_DRAIN.to_owned(),
            EndpointState::Draining => "announced by the endpoint".to_owned(),
            EndpointState::Maintenance => "taken out of use by the operator".to_owned(),
            EndpointState::Unchecked => "not checked".to_owned(),
            EndpointState::Healthy => "made ready by the operator".to_owned(),
            EndpointState::Unhealthy | EndpointState::Ejected | EndpointState::Probation => {
                self.endpoint.status().reason
            }
        };
        self.record_state(&reason, now);
    }

    /// Records the current state with its reason for the status page.
    pub(super) fn record_state(&self, reason: &str, now: SystemTime) {
        let before = self.endpoint.status();
        let state = self.state();
        let since = if before.state == state { before.since } else { now };
        let ejected_until = since.checked_add(self.ejected_for).filter(|_| state == EndpointState::Ejected);
        let (reason, order) = (reason.to_owned(), self.order);
        self.endpoint.set_status(EndpointStatus { state, reason, order, since, ejected_until });
    }
}

impl PoolCounts {
    /// Counts the endpoints of a pool.
    #[must_use]
    pub fn of<'a>(members: impl IntoIterator<Item = &'a Member>) -> Self {
        let mut counts = Self { total: 0, ejected: 0, healthy: 0 };
        for member in members {
            counts.total += 1;
            counts.ejected += usize::from(member.outlier.is_ejected() || member.outlier.is_on_probation());
            counts.healthy += usize::from(member.state() == EndpointState::Healthy);
        }
        counts
    }
}
