//! Picks an endpoint, and a connection to it: an idle one of this worker, or a new one.

use std::{rc::Rc, sync::Arc};

use tokio::time::Instant;

use crate::{
    error::{Error, Kind},
    proxy::{candidates::Candidates, request::never, retry_state::RetryState, suspects::Suspects},
    upstream::{
        Endpoint, PoolSnapshot, WEIGHT_UNIT, balance,
        connection::{Connecting, Connection, ConnectionPermit, mesh::Mesh, pool::Demand},
    },
    worker::{PoolView, Worker},
};

/// A connection to the endpoint that was picked.
#[derive(Debug)]
pub(super) enum Picked {
    /// One that carried other requests before.
    Idle(Box<Connection>),
    /// One to be opened.
    New(Connecting),
}

/// The endpoints that the next attempt may use, as the balancing policy sees them.
struct Available<'a, 'w> {
    candidates: &'w Candidates<'a>,
    worker: &'w Worker,
    max_connections: usize,
    weighted: bool,
    /// Whether an endpoint on probation is left alone while another request is on trial there.
    spares_probation: bool,
    /// The endpoints without room, by id: another worker may take the last place, and an idle connection may turn out
    /// to be closed. With those that the request avoids.
    full: Vec<u64>,
}

impl Available<'_, '_> {
    /// Whether an endpoint has an idle connection, or room for a new one.
    fn has_place(&self, endpoint: &Endpoint) -> bool {
        ConnectionPermit::has_room(endpoint, self.max_connections) || self.worker.connections.has_idle(endpoint.id)
    }

    /// Whether no other request is on trial at an endpoint, or that must not matter.
    fn admits(&self, endpoint: &Endpoint) -> bool {
        !self.spares_probation || endpoint.admits(self.worker.clock.age())
    }
}

impl balance::Candidates for Available<'_, '_> {
    fn count(&self) -> usize {
        self.candidates.endpoints.len()
    }

    fn is_excluded(&self, index: usize) -> bool {
        let endpoint = &self.candidates.endpoints[index];
        !self.candidates.allow(endpoint)
            || self.full.contains(&endpoint.id)
            || !self.has_place(endpoint)
            || !self.admits(endpoint)
    }

    /// The requests of all workers: otherwise an endpoint that is busy with another worker's would look idle.
    fn load(&self, index: usize) -> u64 {
        self.candidates.endpoints[index].stats.sum(|stats| stats.in_flight.value())
    }

    fn latency(&self, index: usize) -> f64 {
        self.candidates.endpoints[index].latency(self.worker.index, self.worker.clock.age())
    }

    fn is_weighted(&self) -> bool {
        self.weighted
    }

    fn weight(&self, index: usize) -> u32 {
        self.candidates.endpoints[index].current_weight()
    }

    fn percentage(&self, index: usize) -> u32 {
        self.candidates.endpoints[index].percentage()
    }

    fn unit(&self) -> u32 {
        WEIGHT_UNIT
    }

    fn hash(&self, index: usize) -> u64 {
        self.candidates.endpoints[index].hash
    }

    fn id(&self, index: usize) -> u64 {
        self.candidates.endpoints[index].id
    }
}

/// Whether an endpoint takes an attempt: it is not on probation, the attempt is on trial there, or no endpoint is spared,
/// because nothing else is left or in a panic. Begins the trial, so ask only about the endpoint that was chosen.
pub(super) fn enters(
    snapshot: &PoolSnapshot,
    retry_state: &RetryState,
    endpoint: &Arc<Endpoint>,
    worker: &Worker,
    is_spared: bool,
) -> bool {
    !snapshot.on_probation || retry_state.is_admitted(endpoint, worker.clock.age()) || !is_spared
}

/// Takes a warm connection to one of the candidates behind a mesh, which must be [fresh](Connection::is_fresh) if
/// `demand` says so.
pub(super) fn take_warm(
    worker: &Worker,
    mesh: &Mesh,
    snapshot: &PoolSnapshot,
    candidates: &Candidates<'_>,
    retry_state: &RetryState,
    demand: Demand,
) -> Option<Box<Connection>> {
    let now = worker.clock.age();
    let is_fresh = |connection: &Connection| demand != Demand::Fresh || connection.is_fresh(worker.clock.now());
    let is_spared = snapshot.on_probation && !snapshot.panic;
    loop {
        let may_use =
            |endpoint: &Arc<Endpoint>| !is_spared || endpoint.admits(now) || retry_state.is_on_trial(endpoint.id);
        let connection = mesh.take(demand != Demand::Open, |connection| {
            is_fresh(connection) && candidates.find(connection.endpoint().id).is_some_and(may_use)
        })?;
        if enters(snapshot, retry_state, connection.endpoint(), worker, is_spared) {
            return Some(connection);
        }
        // Another worker was first. The next turn does not choose it again, because it no longer admits anything.
        mesh.put(connection, Instant::now());
    }
}

/// Whether another endpoint than `current` is left for the next attempt.
pub(super) fn has_other(pool: &PoolView, retry_state: &RetryState, current: u64) -> bool {
    let snapshot = pool.handle.snapshot.load();
    let is_left = |endpoint: &Arc<Endpoint>| endpoint.id != current && !retry_state.endpoints.contains(&endpoint.id);
    let PoolSnapshot { healthy, draining, reserve, panic, .. } = &**snapshot;
    healthy.iter().chain(draining).any(is_left)
        || reserve.iter().any(|endpoint| is_left(endpoint) && (*panic || !endpoint.is_down()))
}

/// Whether an endpoint is left for the next attempt that has not failed this request.
pub(super) fn has_untried(pool: &PoolView, retry_state: &RetryState) -> bool {
    // No endpoint has this id.
    has_other(pool, retry_state, u64::MAX)
}

/// Picks the endpoint of the request's session, or one of the usable endpoints, that has an idle connection or room for
/// a new one.
///
/// # Errors
/// [`Kind::NoEndpoint`], or [`Kind::PoolFull`] if there are endpoints, but all have as many connections as allowed.
pub(super) fn pick(worker: &Rc<Worker>, pool: &PoolView, retry_state: &RetryState) -> Result<Picked, Error> {
    let snapshot = pool.handle.snapshot.load();
    let candidates = Candidates::new(&snapshot, retry_state);
    if pool.handle.config.mesh {
        // A warm connection comes first, since a new one may lead to a replica that is dead.
        let mesh = worker.connections.mesh(&pool.handle.queue);
        if let Some(connection) = take_warm(worker, &mesh, &snapshot, &candidates, retry_state, retry_state.demand()) {
            return Ok(Picked::Idle(connection));
        }
    }
    let max_connections = pool.handle.config.max_connections.get();
    let mut available = Available {
        candidates: &candidates,
        worker,
        max_connections,
        weighted: snapshot.weighted,
        spares_probation: snapshot.on_probation && !snapshot.panic,
        full: Vec::new(),
    };
    let session = retry_state.affinity.session.and_then(|tag| snapshot.sessions.endpoint(tag));
    let is_usable = |endpoint: &&Arc<Endpoint>| {
        !candidates.tried.contains(&endpoint.id) && available.has_place(endpoint) && available.admits(endpoint)
    };
    let mut session = session.filter(is_usable);
    let mut suspects = Suspects::new(worker, pool, retry_state);
    loop {
        let by_policy = || {
            let index = pool.pick(retry_state.attempts <= 1, &available, worker.random(), retry_state.affinity.key);
            index.and_then(|index| candidates.endpoints.get(index))
        };
        let of_session = session.take();
        // What a session has kept at its endpoint is worth more than one request.
        let may_avoid = of_session.is_none();
        let Some(endpoint) = of_session.or_else(by_policy) else {
            if suspects.relent() {
                // The others are full, or nothing else is left.
                available.full.clear();
                continue;
            }
            let is_other = |endpoint: &Arc<Endpoint>| candidates.allow(endpoint) && endpoint.admits(worker.clock.age());
            if available.spares_probation && !retry_state.beside_another && !candidates.endpoints.iter().any(is_other) {
                // Nothing else is left.
                available.spares_probation = false;
                continue;
            }
            let is_full = candidates.endpoints.iter().any(|endpoint| candidates.allow(endpoint));
            return Err(never(if is_full { Kind::PoolFull } else { Kind::NoEndpoint }));
        };
        if may_avoid && suspects.avoids(endpoint, &candidates) {
            available.full.push(endpoint.id);
            continue;
        }
        if !enters(&snapshot, retry_state, endpoint, worker, available.spares_probation) {
            // Another worker was first.
            continue;
        }
        if !retry_state.stale
            && let Some(connection) = worker.connections.take(endpoint.id, retry_state.demand(), worker.clock.now())
        {
            return Ok(Picked::Idle(connection));
        }
        if retry_state.stale && !ConnectionPermit::has_room(endpoint, max_connections) {
            // A new connection takes the place of an idle one.
            drop(worker.connections.take(endpoint.id, Demand::OpenInKernel, worker.clock.now()));
        }
        match ConnectionPermit::take(endpoint, &pool.handle.queue, max_connections) {
            Some(permit) => return Ok(Picked::New(Connecting::new(permit, worker.index))),
            None => {
                retry_state.leave_trial(endpoint.id);
                available.full.push(endpoint.id);
            }
        }
    }
}
