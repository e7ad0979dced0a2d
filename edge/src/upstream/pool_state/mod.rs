//! The endpoints of one pool and their state.
//!
//! Answers of name servers and swarms, outcomes of checks and failures of requests arrive as plain calls; each call
//! updates the state and publishes a new snapshot if it differs from the last one. There is no socket, timer or task
//! here: [`poll`](super::discovery::poll), [`watch`](super::health::watch) and [`manager`](super::manager) have them
//! and share one [`PoolState`] per pool on the control thread.

mod watched;

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::SystemTime,
};

use tokio::{sync::Notify, time::Instant};
use tracing::{error, info, warn};

pub(super) use self::watched::{WatchedEndpoint, with};
use super::{
    discovery::{
        self, AddressSet, Answer, Decision,
        source_state::SourceState,
        swarm::{self, Nodes},
    },
    endpoint::{Endpoint, EndpointState},
    health::{
        Health,
        error_share::Responses,
        outlier::{self, PoolCounts},
        probe::{Failure, Outcome},
    },
    member::Member,
    pool,
    snapshot::{PoolHandle, PoolSnapshot},
    tiers::Thresholds,
};
use crate::{
    config::{self, BACKUP, EndpointOptions, Source},
    observe::log_limit::LogLimit,
};

/// The state of one pool; see the module.
#[derive(Debug)]
pub(super) struct PoolState {
    handle: Arc<PoolHandle>,
    workers: usize,
    sources: Vec<SourceState>,
    members: BTreeMap<SocketAddr, Member>,
    /// Wakes the pool's task after endpoints were added or removed.
    changed: Rc<Notify>,
    /// Limits the log lines about checks that the edge could not make.
    shortages: LogLimit,
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
        let mut members = BTreeMap::new();
        if let Some(before) = before {
            handle.stats = Arc::clone(&before.handle.stats);
            handle.queue = Arc::clone(&before.handle.queue);
            handle.panics = Arc::clone(&before.handle.panics);
            handle.replicas_found = Arc::clone(&before.handle.replicas_found);
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
            changed: Rc::default(),
            shortages: LogLimit::default(),
        };
        if config.health.is_none() {
            this.assume_healthy(now);
        }
        this.reconcile(now);
        this.publish();
        this
    }

    /// Returns what workers and the admin listener see of the pool.
    pub(super) fn handle(&self) -> &Arc<PoolHandle> {
        &self.handle
    }

    /// Returns the notification of added or removed endpoints.
    pub(super) fn changed(&self) -> Rc<Notify> {
        Rc::clone(&self.changed)
    }

    /// Returns the current endpoints.
    pub(super) fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.members.values().map(|member| Arc::clone(&member.endpoint)).collect()
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
        self.apply(index, |addresses| discovery::decide(addresses, answer), now);
    }

    /// Applies the nodes of the swarm that is the source at `index` of the configuration, or why the list is missing.
    pub(super) fn apply_nodes(&mut self, index: usize, answer: &Result<Nodes, String>, now: Timestamp) {
        self.apply(index, |_| swarm::decide(answer), now);
    }

    fn apply(&mut self, index: usize, decide: impl FnOnce(&AddressSet) -> Decision, now: Timestamp) {
        let pool = &self.handle.config.name;
        let Some(state) = self.sources.get_mut(index) else { return };
        let Decision { addresses, error } = decide(&state.addresses);
        state.stats.questions.add(1);
        match (&state.error, &error) {
            (None, Some(error)) => {
                warn!(pool, source = &*state.label, error, kept = state.endpoints.len(), "source lookup failed");
            }
            (Some(_), None) => info!(pool, source = &*state.label, "source lookup succeeds again"),
            _ => {}
        }
        if error.is_some() {
            state.stats.failures.add(1);
        }
        state.error = error;
        if let Some(addresses) = addresses {
            state.resolved = Some(now.wall_clock);
            if addresses != state.addresses {
                state.update(addresses);
                self.reconcile(now);
            }
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
        let before = member.state();
        endpoint.checks.done.add(1);
        if outcome.is_err() {
            endpoint.checks.failed.add(1);
        }
        // Behind a mesh a check reaches some replica. If another one answers through the same node, the node is well.
        if member.take_answered() && handle.config.mesh && outcome.is_err() {
            return Some(member.health);
        }
        match outcome {
            Err(Failure::Hung(_)) => member.found_hung(now.instant),
            _ => member.check_completed(outcome.is_ok(), check, now.instant),
        }
        let (health, state) = (member.health, member.state());
        // A check that contradicts the state is not the reason for it.
        let explains = state != EndpointState::Ejected && outcome.is_ok() == (state == EndpointState::Healthy);
        let reason = match outcome {
            Ok(passed) => passed.to_string(),
            Err(failure) => failure.to_string(),
        };
        if explains {
            member.record_state(&reason, now.wall_clock);
        }
        if state != before {
            let (pool, address) = (&handle.config.name, endpoint.address);
            match state {
                EndpointState::Unhealthy => warn!(pool, endpoint = %address, reason, "endpoint is unhealthy"),
                _ => info!(pool, endpoint = %address, reason, "endpoint is healthy"),
            }
            self.publish();
        }
        Some(health)
    }

    /// Applies the failure of a request: enough consecutive failures eject the endpoint.
    pub(super) fn request_failed(&mut self, endpoint: &Endpoint, now: Timestamp) {
        let handle = Arc::clone(&self.handle);
        let ejection = &handle.config.ejection;
        let failures = endpoint.failures_in_a_row();
        if !outlier::is_due(ejection, failures) {
            return;
        }
        let counts = self.counts();
        let Some(member) = self.member_mut(endpoint) else { return };
        let Some(duration) = member.eject(ejection, counts, now.instant) else { return };
        let reason = format!("{failures} consecutive requests failed, ejected for {duration:?}");
        member.record_ejection(&handle.config.name, &reason, now.wall_clock);
        self.publish();
    }

    /// Compares the statuses of the endpoints, and ejects those that give far more server errors than the others, the
    /// worst first.
    pub(super) fn compare_responses(&mut self, now: Timestamp) {
        let handle = Arc::clone(&self.handle);
        let ejection = &handle.config.ejection;
        let all: Responses = self.members.values_mut().map(Member::count_responses).sum();
        let compare = |(address, member): (&SocketAddr, &mut Member)| {
            member.compare_responses(ejection, all).map(|responses| (*address, responses))
        };
        let mut deviating: Vec<_> = self.members.iter_mut().filter_map(compare).collect();
        deviating.sort_by(|(_, one), (_, other)| other.share().total_cmp(&one.share()));
        for (address, Responses { total, errors }) in deviating {
            let counts = self.counts();
            let Some(member) = self.members.get_mut(&address) else { continue };
            let Some(duration) = member.eject_by_status(ejection, counts, now.instant) else { continue };
            let reason = format!("{errors} of {total} responses were server errors, ejected for {duration:?}");
            member.record_ejection(&handle.config.name, &reason, now.wall_clock);
            // Its task waits for the end of the ejection.
            member.endpoint.wake();
            self.publish();
        }
    }

    /// Applies the end of an ejection's time. With health checks the endpoint returns when the next check passes,
    /// without them at once.
    pub(super) fn ejection_expired(&mut self, endpoint: &Endpoint, now: Timestamp) {
        let checked = self.handle.config.health.is_some();
        let Some(member) = self.member_mut(endpoint) else { return };
        if checked {
            member.outlier.expire();
        } else {
            self.release(endpoint.address, now);
            self.publish();
        }
    }

    /// Ignores the results of past checks, after a reload that turned checks off.
    fn assume_healthy(&mut self, now: Timestamp) {
        for member in self.members.values_mut() {
            let before = member.state();
            member.health = Health::assumed();
            // No check will end this ejection.
            if member.outlier.is_awaiting_check() {
                member.outlier.release(now.instant);
            }
            if member.state() != before {
                member.record_state("not checked", now.wall_clock);
            }
        }
    }

    /// Ends an ejection without a check.
    fn release(&mut self, address: SocketAddr, now: Timestamp) {
        let Some(member) = self.members.get_mut(&address) else { return };
        member.outlier.release(now.instant);
        member.endpoint.reset_failures();
        member.record_state("its ejection ended", now.wall_clock);
        info!(pool = self.handle.config.name, endpoint = %address, "endpoint ejection ended");
    }

    /// Adds and removes endpoints to match the sources.
    fn reconcile(&mut self, now: Timestamp) {
        let present = self.members.iter().map(|(at, member)| (*at, Arc::clone(&member.endpoint.source))).collect();
        let wanted = self.sources.iter().map(|state| (&state.label, &state.endpoints));
        let difference = pool::difference(&present, wanted);
        let pool = &self.handle.config.name;
        for address in &difference.removed {
            self.members.remove(address);
            info!(pool, endpoint = %address, "endpoint removed");
        }
        let health = self.handle.config.health.as_ref().map_or_else(Health::assumed, |_| Health::unchecked());
        for (address, source) in difference.added {
            info!(pool, endpoint = %address, source = &*source, "endpoint added");
            let endpoint = Arc::new(Endpoint::new(address, source, self.workers, now.wall_clock));
            let member = Member::new(endpoint, health);
            member.record_state("not checked", now.wall_clock);
            self.members.insert(address, member);
        }
        self.apply_options();
        self.enforce_ejection_limit(now);
        self.changed.notify_one();
    }

    /// Gives each endpoint the options of its source.
    fn apply_options(&self) {
        let config = &self.handle.config;
        let options = self.sources.iter().map(|state| (&state.label, config.options_of(&state.source)));
        let options: HashMap<_, _> = options.collect();
        for Member { endpoint, .. } in self.members.values() {
            endpoint.set_options(options.get(&endpoint.source).unwrap_or(&EndpointOptions::default()));
        }
    }

    /// Ends ejections, the earliest first, until the ejected share of a pool that shrank or was reconfigured is within
    /// its limit.
    fn enforce_ejection_limit(&mut self, now: Timestamp) {
        loop {
            let PoolCounts { total, ejected, .. } = self.counts();
            if outlier::within_share(&self.handle.config.ejection, total, ejected) {
                return;
            }
            let members = self.members.values().filter(|member| member.outlier.is_ejected());
            let Some(first) = members.min_by_key(|member| member.outlier.until()) else { return };
            self.release(first.endpoint.address, now);
        }
    }

    fn counts(&self) -> PoolCounts {
        PoolCounts::of(self.members.values())
    }

    /// Publishes the current state unless it equals the last snapshot.
    fn publish(&self) {
        let endpoints: Vec<_> =
            self.members.values().map(|member| (Arc::clone(&member.endpoint), member.state())).collect();
        let sources =
            self.sources.iter().map(|state| state.status(|address| self.members.contains_key(address))).collect();
        let config = &self.handle.config;
        let thresholds = Thresholds { panic: config.panic_threshold, tier: config.tier_threshold };
        let new = pool::snapshot(&endpoints, thresholds, sources);
        let old = self.handle.snapshot.load();
        if pool::is_same(&old, &new) {
            return;
        }
        self.report_panic_change(&old, &new);
        self.report_tier_change(&old, &new);
        self.handle.snapshot.store(Arc::new(new));
    }

    fn report_panic_change(&self, old: &PoolSnapshot, new: &PoolSnapshot) {
        let (pool, healthy, all) = (&self.handle.config.name, new.healthy.len(), new.endpoints.len());
        if new.panic && !old.panic {
            self.handle.panics.add(1);
            warn!(pool, healthy, all, "too few endpoints are healthy: using all of them");
        } else if old.panic && !new.panic {
            info!(pool, healthy, all, "enough endpoints are healthy again");
        }
    }

    fn report_tier_change(&self, old: &PoolSnapshot, new: &PoolSnapshot) {
        let (pool, config, tier) = (&self.handle.config.name, &self.handle.config, new.last_tier);
        let first = config.sources.iter().map(|source| config.options_of(source).tier).min().unwrap_or_default();
        let stands_in = |snapshot: &PoolSnapshot| snapshot.last_tier > first;
        if stands_in(new) && tier != old.last_tier {
            let tier = if tier == BACKUP { "backup".to_owned() } else { tier.to_string() };
            warn!(pool, tier, "too few endpoints of the first tier are usable: using a further tier");
        } else if stands_in(old) && tier == first {
            info!(pool, tier, "enough endpoints of the first tier are usable again");
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
