//! Picks an endpoint, and a connection to it: an idle one of this worker, or a new one.

use std::{rc::Rc, sync::Arc};

use crate::{
    error::{Error, Kind},
    proxy::{request::never, retry_state::RetryState},
    upstream::{
        Endpoint, PoolSnapshot,
        connection::{Connecting, Connection, ConnectionPermit},
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

/// The endpoints that the next attempt may use. After a failure it prefers healthy endpoints that were not tried yet,
/// then draining ones, and falls back to ejected ones: an endpoint that failed a moment ago may have recovered, while the
/// healthy one may have died since its last check.
pub(super) struct Candidates<'a> {
    endpoints: &'a [Arc<Endpoint>],
    /// The endpoints that must not be tried, by id.
    tried: &'a [u64],
    /// Endpoints that are down are no candidates.
    only_up: bool,
}

impl<'a> Candidates<'a> {
    /// The candidates of the next attempt.
    pub(super) fn new(snapshot: &'a PoolSnapshot, retry_state: &'a RetryState) -> Self {
        if retry_state.attempts <= 1 {
            return Self { endpoints: snapshot.usable(), tried: &[], only_up: false };
        }
        let tried = retry_state.endpoints.as_slice();
        let is_untried = |endpoint: &Arc<Endpoint>| !tried.contains(&endpoint.id);
        for endpoints in [&snapshot.healthy, &snapshot.draining] {
            if endpoints.iter().any(is_untried) {
                return Self { endpoints, tried, only_up: false };
            }
        }
        Self { endpoints: &snapshot.reserve, tried, only_up: !snapshot.panic }
    }

    /// Whether an endpoint is one of them.
    pub(super) fn contains(&self, id: u64) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.id == id && self.allow(endpoint))
    }

    fn allow(&self, endpoint: &Endpoint) -> bool {
        let is_excluded = self.tried.contains(&endpoint.id) || (self.only_up && endpoint.is_down());
        !is_excluded
    }
}

/// Picks one of the usable endpoints that has an idle connection or room for a new one.
///
/// # Errors
/// [`Kind::NoEndpoint`], or [`Kind::PoolFull`] if there are endpoints, but all have as many connections as allowed.
pub(super) fn pick(worker: &Rc<Worker>, pool: &PoolView, retry_state: &RetryState) -> Result<Picked, Error> {
    let snapshot = pool.handle.snapshot.load();
    let candidates = Candidates::new(&snapshot, retry_state);
    let endpoints = candidates.endpoints;
    let max = pool.handle.config.max_connections.get();
    let has_place =
        |endpoint: &Endpoint| ConnectionPermit::has_room(endpoint, max) || worker.connections.has_idle(endpoint.id);
    // Another worker may take the last place, and an idle connection may turn out to be closed.
    let mut full: Vec<u64> = Vec::new();
    loop {
        let picked = pool.pick(
            retry_state.attempts <= 1,
            endpoints.len(),
            worker.random(),
            // The requests of all workers: otherwise an endpoint that is busy with another worker's would look idle.
            |index| endpoints[index].stats.sum(|stats| stats.in_flight.value()),
            |index| {
                let endpoint = &endpoints[index];
                !candidates.allow(endpoint) || full.contains(&endpoint.id) || !has_place(endpoint)
            },
        );
        let Some(endpoint) = picked.map(|index| &endpoints[index]) else {
            let is_full = endpoints.iter().any(|endpoint| candidates.allow(endpoint));
            return Err(never(if is_full { Kind::PoolFull } else { Kind::NoEndpoint }));
        };
        if !retry_state.stale
            && let Some(connection) = worker.connections.take(endpoint.id, !retry_state.replayable)
        {
            return Ok(Picked::Idle(connection));
        }
        if retry_state.stale && !ConnectionPermit::has_room(endpoint, max) {
            // A new connection takes the place of an idle one.
            drop(worker.connections.take(endpoint.id, true));
        }
        match ConnectionPermit::take(endpoint, &pool.handle.queue, max) {
            Some(permit) => return Ok(Picked::New(Connecting::new(permit, worker.index))),
            None => full.push(endpoint.id),
        }
    }
}
