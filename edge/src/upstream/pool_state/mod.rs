//! The endpoints of one pool and their state.
//!
//! Answers of name servers and swarms, outcomes of checks and failures of requests arrive as plain calls; each call
//! updates the state and publishes a new snapshot if it differs from the last one. There is no socket, timer or task
//! here: [`poll`](super::discovery::poll), [`watch`](super::health::watch) and [`manager`](super::manager) have them
//! and share one [`PoolState`] per pool on the control thread.

mod drain;
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
        Health, HealthStatus,
        error_share::Responses,
        outlier::{self, PoolCounts},
        probe::{Failure, Outcome, Passed},
    },
    member::{Member, ORDERED_TO_DRAIN},
    order::{Order, Orders},
    pool,
    snapshot::{PoolHandle, PoolSnapshot},
    sticky::Sessions,
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
    /// The operator's orders for addresses, also for some that have left.
    orders: Orders,
    /// Wakes the pool's task after endpoints were added or removed, or entered or left maintenance.
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
        let (mut members, mut orders) = (BTreeMap::new(), Orders::default());
        if let Some(before) = before {
            orders = before.orders.clone();
            handle.stats = Arc::clone(&before.handle.stats);
            handle.queue = Arc::clone(&before.handle.queue);
            handle.panics = Arc::clone(&before.handle.panics);
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
            shortages: LogLimit::default(),
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
        if member.take_answered() && handle.config.mesh && outcome.is_err() {
            return Some(member.health);
        }
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
        // A check that contradicts the state is not the reason for it.
        let explains = match state {
            EndpointState::Healthy => matches!(outcome, Ok(passed) if *passed != Passed::Draining),
            EndpointState::Unhealthy => outcome.is_err(),
            EndpointState::Draining => order == Order::Ready && matches!(outcome, Ok(Passed::Draining)),
            EndpointState::Unchecked | EndpointState::Ejected | EndpointState::Maintenance => false,
        };
        let reason = match outcome {
            _ if state == EndpointState::Draining && order == Order::Drain => ORDERED_TO_DRAIN.to_owned(),
            Ok(passed) => passed.to_string(),
            Err(failure) => failure.to_string(),
        };
        if explains || state != before {
            member.record_state(&reason, now.wall_clock);
        }
        if state != before {
            let (pool, address) = (&handle.config.name, endpoint.address);
            match state {
                EndpointState::Unhealthy if order == Order::Drain => {
                    info!(pool, endpoint = %address, reason, "endpoint that the operator drained is unhealthy");
                }
                EndpointState::Unhealthy => warn!(pool, endpoint = %address, reason, "endpoint is unhealthy"),
                EndpointState::Draining => info!(pool, endpoint = %address, reason, "endpoint is draining"),
                _ => info!(pool, endpoint = %address, reason, "endpoint is healthy"),
            }
            self.publish();
        }
        Some(health)
    }

    /// The health of an endpoint of which nothing is known.
    fn initial_health(&self) -> Health {
        self.handle.config.health.as_ref().map_or_else(Health::assumed, |_| Health::unchecked())
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
        let health = self.initial_health();
        self.orders.update(|address| self.members.contains_key(address), now.instant);
        for (address, source) in difference.added {
            let order = self.orders.of(&address);
            info!(pool, endpoint = %address, source = &*source, order = order.label(), "endpoint added");
            let endpoint = Arc::new(Endpoint::new(address, source, self.workers, now.wall_clock));
            let mut member = Member::new(endpoint, health);
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

    /// Gives each endpoint the options of its source.
    fn apply_options(&self) {
        let config = &self.handle.config;
        let options = self.sources.iter().map(|state| (&state.label, config.options_of(&state.source)));
        let (options, default): (HashMap<_, _>, _) = (options.collect(), EndpointOptions::default());
        for Member { endpoint, .. } in self.members.values() {
            let options = options.get(&endpoint.source).unwrap_or(&default);
            endpoint.set_options(options, config.zone.as_deref());
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
        self.publish_unless(pool::is_same);
    }

    fn publish_unless(&self, is_same: impl FnOnce(&PoolSnapshot, &PoolSnapshot) -> bool) {
        let endpoints: Vec<_> = self.members.values().map(Member::standing).collect();
        let sources =
            self.sources.iter().map(|state| state.status(|address| self.members.contains_key(address))).collect();
        let thresholds = Thresholds::of(&self.handle.config);
        let mut new = pool::snapshot(&endpoints, thresholds, sources);
        let old = self.handle.snapshot.load();
        if is_same(&old, &new) {
            return;
        }
        if let Some(tags) = &self.handle.tags {
            // A session may end where it began, although its endpoint drains.
            let (in_use, draining) = (if new.panic { &new.reserve } else { &new.healthy }, &new.draining);
            new.sessions = Sessions::new(tags, in_use.iter().chain(draining));
        }
        self.report_change(&old, &new);
        self.report_tier_change(&old, &new);
        self.report_zone_change(&old, &new);
        self.handle.snapshot.store(Arc::new(new));
    }

    fn report_change(&self, old: &PoolSnapshot, new: &PoolSnapshot) {
        let (pool, healthy, all) = (&self.handle.config.name, new.healthy.len(), new.endpoints.len());
        if new.panic && !old.panic {
            self.handle.panics.add(1);
            warn!(pool, healthy, all, "too few endpoints are healthy: using all of them");
        } else if old.panic && !new.panic {
            info!(pool, healthy, all, "enough endpoints are healthy again");
        }
        if new.uses_draining && !old.uses_draining {
            warn!(pool, draining = healthy, all, "no other endpoint is healthy: using those that drain");
        } else if old.uses_draining && !new.uses_draining {
            info!(pool, healthy, all, "no longer using endpoints that drain");
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

    fn report_zone_change(&self, old: &PoolSnapshot, new: &PoolSnapshot) {
        let pool = &self.handle.config.name;
        let Some(zone) = &self.handle.config.zone else { return };
        if old.local && !new.local {
            warn!(pool, zone, "too few endpoints of this zone are usable: using those of all zones");
        } else if new.local && !old.local {
            info!(pool, zone, "enough endpoints of this zone are usable: using only those");
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
