//! The endpoints of one pool and all that is known of them.
//!
//! Answers of name servers and swarms, outcomes of checks and failures of requests come in as plain calls; each
//! one updates what is known and publishes a new snapshot if that makes a difference. No socket, no
//! timer and no task here: those are in [`watch`](super::health::watch) and [`manager`](super::manager), which
//! share one of these per pool on the control thread.

use std::{collections::BTreeMap, net::SocketAddr, rc::Rc, sync::Arc, time::SystemTime};

use tokio::{sync::Notify, time::Instant};
use tracing::{info, warn};

use super::{
    Endpoint, EndpointState, EndpointStatus, PoolHandle, PoolSnapshot,
    discovery::{
        self, Answer, Decision, Known,
        source_state::SourceState,
        swarm::{self, Nodes},
    },
    health::{
        Flip, Health, Verdict,
        outlier::{self, Outlier, Standing},
        probe::Outcome,
    },
    pool,
};
use crate::config::{self, Source};

/// Everything about one pool; see the module.
#[derive(Debug)]
pub(crate) struct PoolState {
    handle: Arc<PoolHandle>,
    workers: usize,
    sources: Vec<SourceState>,
    members: BTreeMap<SocketAddr, Member>,
    /// Tells the pool's task that endpoints came or went.
    changed: Rc<Notify>,
}

/// One endpoint and what is known of it.
#[derive(Clone, Debug)]
struct Member {
    endpoint: Arc<Endpoint>,
    health: Health,
    outlier: Outlier,
}

/// A moment on both clocks: one to compute with, one to show to people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) tick: Instant,
    pub(crate) clock: SystemTime,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { tick: Instant::now(), clock: SystemTime::now() }
    }
}

impl PoolState {
    /// Sets a pool up and publishes its first snapshot. What `before`, the same pool before a reload,
    /// knows of addresses and sources that stay is taken over, counters and open connections included.
    pub(crate) fn new(config: &Arc<config::Pool>, workers: usize, before: Option<&Self>, now: Moment) -> Self {
        let mut handle = PoolHandle::new(Arc::clone(config), workers);
        let mut members = BTreeMap::new();
        if let Some(before) = before {
            handle.stats = Arc::clone(&before.handle.stats);
            handle.panics = Arc::clone(&before.handle.panics);
            handle.snapshot = arc_swap::ArcSwap::new(before.handle.snapshot.load_full());
            members.clone_from(&before.members);
        }
        let known = |source: &Source| before?.sources.iter().find(|state| state.source == *source).cloned();
        let sources: Vec<_> = config
            .sources
            .iter()
            .map(|source| known(source).unwrap_or_else(|| SourceState::new(source.clone(), now.clock)))
            .collect();
        handle.sources = sources.iter().map(|state| Arc::clone(&state.stats)).collect();
        let mut this = Self { handle: Arc::new(handle), workers, sources, members, changed: Rc::default() };
        if config.health.is_none() {
            this.assume_healthy(now);
        }
        this.reconcile(now);
        this.publish();
        this
    }

    /// What workers and the admin listener see of it.
    pub(crate) fn handle(&self) -> &Arc<PoolHandle> {
        &self.handle
    }

    /// Notified when endpoints came or went.
    pub(crate) fn changed(&self) -> Rc<Notify> {
        Rc::clone(&self.changed)
    }

    /// The endpoints of the moment.
    pub(crate) fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.members.values().map(|member| Arc::clone(&member.endpoint)).collect()
    }

    /// How the checks see an endpoint; `None` if it has left the pool.
    pub(crate) fn health(&self, endpoint: &Endpoint) -> Option<Health> {
        self.member(endpoint).map(|member| member.health)
    }

    /// When the ejection of an endpoint is over; the outer `None` if it has left the pool.
    pub(crate) fn ejected_until(&self, endpoint: &Endpoint) -> Option<Option<Instant>> {
        self.member(endpoint).map(|member| member.outlier.until())
    }

    /// Takes in what the name servers said about the source at `index` of the configuration.
    pub(crate) fn answered(&mut self, index: usize, answer: &Answer, now: Moment) {
        self.decided(index, |known| discovery::decide(known, answer), now);
    }

    /// Takes in which nodes the swarm of the source at `index` of the configuration has, or why that is not
    /// known.
    pub(crate) fn listed(&mut self, index: usize, answer: &Result<Nodes, String>, now: Moment) {
        self.decided(index, |_| swarm::decide(answer), now);
    }

    fn decided(&mut self, index: usize, decide: impl FnOnce(&Known) -> Decision, now: Moment) {
        let pool = &self.handle.config.name;
        let Some(state) = self.sources.get_mut(index) else { return };
        let Decision { known, error } = decide(&state.known);
        state.stats.questions.add(1);
        match (&state.error, &error) {
            (None, Some(error)) => {
                warn!(pool, source = &*state.label, error, kept = state.addresses.len(), "source not known well");
            }
            (Some(_), None) => info!(pool, source = &*state.label, "source known well again"),
            _ => {}
        }
        if error.is_some() {
            state.stats.failures.add(1);
        }
        state.error = error;
        if let Some(known) = known {
            state.resolved = Some(now.clock);
            if known != state.known {
                state.learn(known);
                self.reconcile(now);
            }
        }
        self.publish();
    }

    /// Takes in the outcome of a check and returns how the checks see the endpoint now; `None` if it
    /// has left the pool.
    pub(crate) fn checked(&mut self, endpoint: &Endpoint, outcome: &Outcome, now: Moment) -> Option<Health> {
        let handle = Arc::clone(&self.handle);
        let check = handle.config.health.as_ref()?;
        let member = self.member_mut(endpoint)?;
        let before = member.state();
        endpoint.checks.done.add(1);
        if outcome.is_err() {
            endpoint.checks.failed.add(1);
        }
        match member.health.observe(outcome.is_ok(), check) {
            // Failures from before it was good again must not eject it.
            Some(Flip::Up) => endpoint.reset_failures(),
            // From here on the checks alone decide when it comes back.
            Some(Flip::Down) => member.outlier.release(now.tick),
            None => {}
        }
        if outcome.is_ok() && member.outlier.is_awaiting_check() {
            member.outlier.release(now.tick);
            endpoint.reset_failures();
        }
        let (health, state) = (member.health, member.state());
        // A check that contradicts the state says nothing of how the endpoint got there.
        let speaks = state != EndpointState::Ejected && outcome.is_ok() == (state == EndpointState::Healthy);
        let reason = match outcome {
            Ok(passed) => passed.to_string(),
            Err(failure) => failure.to_string(),
        };
        if speaks {
            member.note(&reason, now.clock);
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

    /// Takes in that a real request failed: enough of them in a row eject the endpoint.
    pub(crate) fn failed(&mut self, endpoint: &Endpoint, now: Moment) {
        let handle = Arc::clone(&self.handle);
        let ejection = &handle.config.ejection;
        let failures = endpoint.failures_in_a_row();
        if !outlier::is_due(ejection, failures) {
            return;
        }
        let standing = self.standing();
        let Some(member) = self.member_mut(endpoint) else { return };
        if member.state() != EndpointState::Healthy || !outlier::may_eject(ejection, standing) {
            return;
        }
        let term = member.outlier.eject(ejection, now.tick);
        endpoint.checks.ejections.add(1);
        let reason = format!("{failures} requests failed in a row, for {term:?}");
        member.note(&reason, now.clock);
        warn!(pool = handle.config.name, endpoint = %endpoint.address, reason, "endpoint is ejected");
        self.publish();
    }

    /// Takes in that the time of an ejection is over. With health checks the endpoint comes back when
    /// the next one passes, without them at once.
    pub(crate) fn served(&mut self, endpoint: &Endpoint, now: Moment) {
        let checked = self.handle.config.health.is_some();
        let Some(member) = self.member_mut(endpoint) else { return };
        if checked {
            member.outlier.expire();
        } else {
            self.release(endpoint.address, now);
            self.publish();
        }
    }

    /// Takes the word of nobody's checks any more, after a reload that turned them off.
    fn assume_healthy(&mut self, now: Moment) {
        for member in self.members.values_mut() {
            let before = member.state();
            member.health = Health::trusted();
            // Nothing else would end it now.
            if member.outlier.is_awaiting_check() {
                member.outlier.release(now.tick);
            }
            if member.state() != before {
                member.note("not checked", now.clock);
            }
        }
    }

    /// Ends an ejection without a check.
    fn release(&mut self, address: SocketAddr, now: Moment) {
        let Some(member) = self.members.get_mut(&address) else { return };
        member.outlier.release(now.tick);
        member.endpoint.reset_failures();
        member.note("its ejection is over", now.clock);
        info!(pool = self.handle.config.name, endpoint = %address, "endpoint is no longer ejected");
    }

    /// Makes the endpoints those that the sources name.
    fn reconcile(&mut self, now: Moment) {
        let present = self.members.iter().map(|(at, member)| (*at, Arc::clone(&member.endpoint.source))).collect();
        let wanted = self.sources.iter().map(|state| (&state.label, &state.addresses));
        let difference = pool::difference(&present, wanted);
        let pool = &self.handle.config.name;
        for address in &difference.gone {
            self.members.remove(address);
            info!(pool, endpoint = %address, "endpoint is gone");
        }
        let health = self.handle.config.health.as_ref().map_or_else(Health::trusted, |_| Health::unchecked());
        for (address, source) in difference.new {
            info!(pool, endpoint = %address, source = &*source, "endpoint is new");
            let endpoint = Arc::new(Endpoint::new(address, source, self.workers, now.clock));
            let member = Member { endpoint, health, outlier: Outlier::default() };
            member.note("not checked", now.clock);
            self.members.insert(address, member);
        }
        self.keep_the_share(now);
        self.changed.notify_one();
    }

    /// Lets ejected endpoints back in, the earliest first, as long as more are out than the share of a
    /// pool that has shrunk or was reconfigured.
    fn keep_the_share(&mut self, now: Moment) {
        loop {
            let Standing { total, ejected, .. } = self.standing();
            if outlier::within_share(&self.handle.config.ejection, total, ejected) {
                return;
            }
            let out = self.members.values().filter(|member| member.outlier.is_out());
            let Some(first) = out.min_by_key(|member| member.outlier.until()) else { return };
            self.release(first.endpoint.address, now);
        }
    }

    fn standing(&self) -> Standing {
        let count = |state| self.members.values().filter(|member| member.state() == state).count();
        Standing {
            total: self.members.len(),
            ejected: self.members.values().filter(|member| member.outlier.is_out()).count(),
            healthy: count(EndpointState::Healthy),
        }
    }

    /// Publishes what is known, unless that is what was published last.
    fn publish(&self) {
        let endpoints: Vec<_> =
            self.members.values().map(|member| (Arc::clone(&member.endpoint), member.state())).collect();
        let sources =
            self.sources.iter().map(|state| state.status(|address| self.members.contains_key(address))).collect();
        let new = pool::snapshot(&endpoints, self.handle.config.panic_threshold, sources);
        let old = self.handle.snapshot.load();
        if pool::is_same(&old, &new) {
            return;
        }
        self.tell_of_panic(&old, &new);
        self.handle.snapshot.store(Arc::new(new));
    }

    fn tell_of_panic(&self, old: &PoolSnapshot, new: &PoolSnapshot) {
        let (pool, healthy, all) = (&self.handle.config.name, new.healthy.len(), new.endpoints.len());
        if new.panic && !old.panic {
            self.handle.panics.add(1);
            warn!(pool, healthy, all, "too few endpoints are healthy: all are used");
        } else if old.panic && !new.panic {
            info!(pool, healthy, all, "enough endpoints are healthy again");
        }
    }

    /// By id: the address may have come back as another endpoint.
    fn member(&self, endpoint: &Endpoint) -> Option<&Member> {
        self.members.get(&endpoint.address).filter(|member| member.endpoint.id == endpoint.id)
    }

    fn member_mut(&mut self, endpoint: &Endpoint) -> Option<&mut Member> {
        self.members.get_mut(&endpoint.address).filter(|member| member.endpoint.id == endpoint.id)
    }
}

impl Member {
    fn state(&self) -> EndpointState {
        match self.health.verdict() {
            Verdict::Unhealthy => EndpointState::Unhealthy,
            _ if self.outlier.is_out() => EndpointState::Ejected,
            Verdict::Unchecked => EndpointState::Unchecked,
            Verdict::Healthy => EndpointState::Healthy,
        }
    }

    /// Writes the present state down for people.
    fn note(&self, reason: &str, now: SystemTime) {
        let before = self.endpoint.status();
        let state = self.state();
        let since = if before.state == state { before.since } else { now };
        self.endpoint.set_status(EndpointStatus { state, reason: reason.to_owned(), since });
    }
}

#[cfg(test)]
pub(crate) mod tests;
