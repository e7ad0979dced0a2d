//! The endpoints of one pool and their state.
//!
//! Answers of name servers and swarms, outcomes of checks and failures of requests arrive as plain calls; each call
//! updates the state and publishes a new snapshot if it differs from the last one. There is no socket, timer or task
//! here: [`poll`](super::discovery::poll), [`watch`](super::health::watch) and [`manager`](super::manager) have them
//! and share one [`PoolState`] per pool on the control thread.

mod drain;
mod ejection;
mod noticed;
mod publish;
mod watched;
mod worker_counts;

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::SystemTime,
};

use tokio::{sync::Notify, time::Instant};
use tracing::error;

pub(super) use self::watched::{WatchedEndpoint, with};
use self::worker_counts::Noticed;
use super::{
    discovery::{
        self, Answer,
        listing::Listing,
        source_state::{SourceState, Update},
        swarm::{self, Nodes},
    },
    endpoint::{Endpoint, EndpointState},
    health::{
        Health, HealthStatus,
        probe::{Failure, Outcome, Passed},
    },
    member::{Member, ORDERED_TO_DRAIN},
    order::{Order, Orders},
    pool,
    slow_start::SlowStart,
    snapshot::PoolHandle,
};
use crate::{
    config::{self, Source},
    observe::{
        decisions::{Decision, Note},
        log_limit::LogLimit,
    },
};

/// The reason for the state of an endpoint after an ejection.
const ON_PROBATION: &str = "the time of its ejection is over: one request at a time";

/// The state of one pool; see the module.
#[derive(Debug)]
pub(super) struct PoolState {
    handle: Arc<PoolHandle>,
    workers: usize,
    sources: Vec<SourceState>,
    members: BTreeMap<SocketAddr, Member>,
    /// The operator's orders for addresses, also for some that have left.
    orders: Orders,
    /// Wakes the pool's task after endpoints were added or removed, or entered or left maintenance.
    changed: Rc<Notify>,
    /// When the pool began. An endpoint that joins much later is new.
    began: Instant,
    /// Limits the log lines about checks that the edge could not make.
    shortages: LogLimit,
    /// What was noticed of the workers' decisions so far.
    noticed: Noticed,
}

/// The current time on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timestamp {
    /// The monotonic time, to compute with.
    pub(super) instant: Instant,
    /// The wall-clock time, to show to people.
    pub(super) wall_clock: SystemTime,
}

impl Timestamp {
    pub(super) fn now() -> Self {
        Self { instant: Instant::now(), wall_clock: SystemTime::now() }
    }
}

impl PoolState {
    /// Creates a pool and publishes its first snapshot. Addresses and sources that stay keep their state from `before`,
    /// the same pool before a reload, including counters and open connections.
    pub(super) fn new(config: &Arc<config::Pool>, workers: usize, before: Option<&Self>, now: Timestamp) -> Self {
        let mut handle = PoolHandle::new(Arc::clone(config), workers);
        let (mut members, mut orders, mut noticed) = (BTreeMap::new(), Orders::default(), Noticed::default());
        if let Some(before) = before {
            orders = before.orders.clone();
            handle.stats = Arc::clone(&before.handle.stats);
            handle.queue = Arc::clone(&before.handle.queue);
            handle.recovery = Arc::clone(&before.handle.recovery);
            handle.retry_budget = Arc::clone(&before.handle.retry_budget);
            handle.panics = Arc::clone(&before.handle.panics);
            handle.decisions = Arc::clone(&before.handle.decisions);
            handle.meshes = Arc::clone(&before.handle.meshes);
            handle.mesh = Arc::clone(&before.handle.mesh);
            noticed = before.noticed.clone();
            handle.replicas_found = Arc::clone(&before.handle.replicas_found);
            handle.traffic = Arc::clone(&before.handle.traffic);
            handle.snapshot = arc_swap::ArcSwap::new(before.handle.snapshot.load_full());
            members.clone_from(&before.members);
            members.values_mut().for_each(Member::forget_responses);
        }
        let kept = |source: &Source| before?.sources.iter().find(|state| state.source == *source).cloned();
        let sources: Vec<_> = config
            .sources
            .iter()
            .map(|source| kept(source).unwrap_or_else(|| SourceState::new(source.clone(), now.wall_clock)))
            .collect();
        handle.sources = sources.iter().map(|state| Arc::clone(&state.stats)).collect();
        let mut this = Self {
            handle: Arc::new(handle),
            workers,
            sources,
            members,
            orders,
            changed: Rc::default(),
            began: before.map_or(now.instant, |before| before.began),
            shortages: LogLimit::default(),
            noticed,
        };
        if config.health.is_none() {
            this.assume_healthy(now);
        } else {
            // Checks end their drains.
            this.members.values_mut().for_each(|member| member.drains_until = None);
        }
        this.reconcile(now);
        // Even if nothing has changed for others: the tags in cookies may have.
        this.publish_unless(|_, _| false);
        this
    }

    /// Returns what workers and the admin listener see of the pool.
    pub(super) fn handle(&self) -> &Arc<PoolHandle> {
        &self.handle
    }

    /// Returns the notification of endpoints that were added or removed, or that entered or left maintenance.
    pub(super) fn changed(&self) -> Rc<Notify> {
        Rc::clone(&self.changed)
    }

    /// Returns the current endpoints.
    #[cfg(test)]
    pub(super) fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.members.values().map(|member| Arc::clone(&member.endpoint)).collect()
    }

    /// Returns the endpoints to watch: all but those in maintenance.
    pub(super) fn watched(&self) -> Vec<Arc<Endpoint>> {
        let watched = self.members.values().filter(|member| member.order != Order::Maintenance);
        watched.map(|member| Arc::clone(&member.endpoint)).collect()
    }

    /// Returns the health of an endpoint; `None` if it has left the pool.
    pub(super) fn health(&self, endpoint: &Endpoint) -> Option<Health> {
        self.member(endpoint).map(|member| member.health)
    }

    /// Returns when the time of an endpoint's ejection is over; the outer `None` if it has left the pool.
    pub(super) fn ejected_until(&self, endpoint: &Endpoint) -> Option<Option<Instant>> {
        self.member(endpoint).map(|member| member.outlier.until())
    }

    /// Applies the answer of the name servers for the source at `index` of the configuration.
    pub(super) fn apply_answer(&mut self, index: usize, answer: &Answer, now: Timestamp) {
        self.apply(index, |state| state.decide(discovery::decide(&state.addresses, answer)), now);
    }

    /// Applies the nodes of the swarm that is the source at `index` of the configuration, or why the list is missing.
    pub(super) fn apply_nodes(&mut self, index: usize, answer: &Result<Nodes, String>, now: Timestamp) {
        self.apply(index, |state| state.decide(swarm::decide(answer)), now);
    }

    /// Applies the contents of the file, or the SRV records, that are the source at `index` of the configuration, or
    /// why there are none.
    pub(super) fn apply_listing(&mut self, index: usize, answer: &Result<Listing, String>, now: Timestamp) {
        self.apply(index, |state| state.list(answer), now);
    }

    fn apply(&mut self, index: usize, update: impl FnOnce(&mut SourceState) -> Update, now: Timestamp) {
        let Some(state) = self.sources.get_mut(index) else { return };
        let Update { is_good, is_news, error } = update(state);
        state.stats.questions.add(1);
        let source = Some(&*state.label);
        match (&state.error, &error) {
            (_, Some(error)) if state.is_news(error) => {
                let reason = format!("{error}; {} endpoints stay", state.endpoints.len());
                self.handle.note_with(&Note { source, ..Note::new(Decision::SourceFailed, &reason) });
            }
            (Some(_), None) => self.handle.note_with(&Note { source, ..Note::new(Decision::SourceRecovered, "") }),
            _ => {}
        }
        if error.is_some() {
            state.stats.failures.add(1);
        }
        state.error = error;
        if is_good {
            state.resolved = Some(now.wall_clock);
        }
        if is_news {
            self.reconcile(now);
        }
        self.publish();
    }

    /// Applies the outcome of a check and returns the endpoint's new health; `None` if it has left the pool.
    pub(super) fn check_completed(&mut self, endpoint: &Endpoint, outcome: &Outcome, now: Timestamp) -> Option<Health> {
        let handle = Arc::clone(&self.handle);
        let check = handle.config.health.as_ref()?;
        if let Err(Failure::NoResources(error)) = outcome {
            if let Some(omitted) = self.shortages.admit(now.instant) {
                error!(pool = handle.config.name, %error, omitted, "the edge has no resources left for health checks");
            }
            return self.health(endpoint);
        }
        let member = self.member_mut(endpoint)?;
        if member.order == Order::Maintenance {
            // It began before.
            return Some(member.health);
        }
        let before = member.state();
        endpoint.checks.done.add(1);
        if outcome.is_err() {
            endpoint.checks.failed.add(1);
        }
        // Behind a mesh a check reaches some replica. If another one answers through the same node, the node is well.
        if let (true, true, Err(failure)) = (member.take_answered(), handle.config.mesh, outcome) {
            handle.note(Decision::CheckOverruled, Some(endpoint.address), &failure.to_string());
            return Some(member.health);
        }
        let was_out = endpoint.outage.age(now.instant).is_some();
        match outcome {
            Err(Failure::Hung(_)) => member.found_hung(now.instant),
            // Behind a mesh it is a replica that drains, and the node works.
            Ok(Passed::Draining) if !handle.config.mesh => {
                if member.drain(None) {
                    endpoint.checks.announced_drains.add(1);
                }
            }
            _ => member.check_completed(outcome.is_ok(), check, now.instant),
        }
        let (health, state, order) = (member.health, member.state(), member.order);
        if was_out && endpoint.outage.age(now.instant).is_none() {
            handle.recovery.wake();
        }
        // A check that contradicts the state is not the reason for it.
        let explains = match state {
            EndpointState::Healthy => matches!(outcome, Ok(passed) if *passed != Passed::Draining),
            EndpointState::Unhealthy => outcome.is_err(),
            EndpointState::Draining => order == Order::Ready && matches!(outcome, Ok(Passed::Draining)),
            EndpointState::Unchecked
            | EndpointState::Ejected
            | EndpointState::Probation
            | EndpointState::Maintenance => false,
        };
        let reason = match outcome {
            _ if state == EndpointState::Probation => ON_PROBATION.to_owned(),
            _ if state == EndpointState::Draining && order == Order::Drain => ORDERED_TO_DRAIN.to_owned(),
            Ok(passed) => passed.to_string(),
            Err(failure) => failure.to_string(),
        };
        if explains || state != before {
            member.record_state(&reason, now.wall_clock);
        }
        if state != before {
            let decision = match state {
                EndpointState::Unhealthy if order == Order::Drain => Decision::DrainedUnhealthy,
                EndpointState::Unhealthy => Decision::Unhealthy,
                EndpointState::Draining => Decision::Draining,
                EndpointState::Probation => Decision::ProbationBegan,
                _ => Decision::Healthy,
            };
            handle.note(decision, Some(endpoint.address), &reason);
            self.publish();
        }
        Some(health)
    }

    /// The health of an endpoint of which nothing is known.
    fn initial_health(&self) -> Health {
        self.handle.config.health.as_ref().map_or_else(Health::assumed, |_| Health::unchecked())
    }

    /// Does what is due now and then: compares the statuses of the endpoints, and lets slow starts go on.
    pub(super) fn tick(&mut self, now: Timestamp) {
        let handle = Arc::clone(&self.handle);
        if handle.config.ejection.is_by_status() && !handle.config.mesh {
            self.compare_responses(now);
        }
        if let Some(duration) = handle.config.slow_start {
            self.members.values_mut().for_each(|member| member.grow(duration, now.instant));
            // Weights may have begun to differ, or no longer do.
            self.publish();
        }
    }

    /// Ignores the results of past checks, after a reload that turned checks off.
    fn assume_healthy(&mut self, now: Timestamp) {
        let drain_time = self.handle.config.drain.time;
        for member in self.members.values_mut() {
            let before = member.state();
            if member.health.status() == HealthStatus::Draining {
                // No check will end this drain.
                member.drains_until = member.drains_until.or(Some(now.instant + drain_time));
            } else {
                member.health = Health::assumed();
            }
            // No check will end this ejection.
            if member.outlier.is_awaiting_check() {
                member.begin_probation(now.instant);
            }
            if member.state() != before {
                member.record_state("not checked", now.wall_clock);
            }
        }
    }

    /// Adds and removes endpoints to match the sources.
    fn reconcile(&mut self, now: Timestamp) {
        let present = self.members.iter().map(|(at, member)| (*at, Arc::clone(&member.endpoint.source))).collect();
        let wanted = self.sources.iter().map(|state| (&state.label, &state.endpoints));
        let difference = pool::difference(&present, wanted);
        for address in &difference.removed {
            self.members.remove(address);
            self.handle.note(Decision::EndpointRemoved, Some(*address), "no source names it");
        }
        let health = self.initial_health();
        self.orders.update(|address| self.members.contains_key(address), now.instant);
        for (address, source) in difference.added {
            let order = self.orders.of(&address);
            let reason = if order == Order::Ready { "" } else { "the operator's order for it still holds" };
            self.handle
                .note_with(&Note { source: Some(&source), ..Note::at(Decision::EndpointAdded, address, reason) });
            let endpoint = Arc::new(Endpoint::new(address, source, self.workers, now.wall_clock));
            let mut member = Member::new(endpoint, health);
            // Those that are found while the pool begins are not new, but only now known.
            let slow_start = self.handle.config.slow_start;
            if slow_start.is_some_and(|time| now.instant.saturating_duration_since(self.began) >= time) {
                member.slow_start = SlowStart::Due;
            }
            member.record_state("not checked", now.wall_clock);
            if order != Order::Ready {
                member.obey(order, health, now.instant);
                member.record_order(now.wall_clock);
            }
            self.members.insert(address, member);
        }
        self.orders.update(|address| self.members.contains_key(address), now.instant);
        self.apply_options();
        self.enforce_ejection_limit(now);
        self.changed.notify_one();
    }

    /// Gives each endpoint the options of its source, and its own.
    fn apply_options(&self) {
        let config = &self.handle.config;
        let sources = self.sources.iter().map(|state| (&state.label, (state, config.options_of(&state.source))));
        let sources: HashMap<_, _> = sources.collect();
        for Member { endpoint, .. } in self.members.values() {
            let options = sources.get(&endpoint.source);
            let options = options.map(|(state, options)| state.options_of(&endpoint.address, options));
            endpoint.set_options(&options.unwrap_or_default(), config.zone.as_deref());
        }
    }

    /// Finds an endpoint by id: its address may have returned as another endpoint.
    fn member(&self, endpoint: &Endpoint) -> Option<&Member> {
        self.members.get(&endpoint.address).filter(|member| member.endpoint.id == endpoint.id)
    }

    fn member_mut(&mut self, endpoint: &Endpoint) -> Option<&mut Member> {
        self.members.get_mut(&endpoint.address).filter(|member| member.endpoint.id == endpoint.id)
    }
}

#[cfg(test)]
pub(super) mod tests;
