//! The limit on an endpoint's connections, and the number of attempts in flight.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use crate::upstream::Endpoint;

/// One of the connections that an endpoint may have, released on drop.
#[derive(Debug)]
pub struct ConnectionPermit(Arc<Endpoint>);

impl ConnectionPermit {
    /// Takes a permit unless `max` are taken.
    #[must_use]
    pub fn take(endpoint: &Arc<Endpoint>, max: usize) -> Option<Self> {
        let more = |open: usize| (open < max).then_some(open + 1);
        endpoint.connections.fetch_update(Relaxed, Relaxed, more).ok()?;
        Some(Self(Arc::clone(endpoint)))
    }

    /// The endpoint that it belongs to.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.0
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

/// Counts one attempt as in flight until dropped.
#[derive(Debug)]
pub struct InFlight {
    endpoint: Arc<Endpoint>,
    worker: usize,
}

impl InFlight {
    /// Counts an attempt of this worker at this endpoint.
    #[must_use]
    pub fn new(endpoint: &Arc<Endpoint>, worker: usize) -> Self {
        endpoint.stats.of(worker).in_flight.add(1);
        Self { endpoint: Arc::clone(endpoint), worker }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.endpoint.stats.of(self.worker).in_flight.sub(1);
    }
}
