//! The limit on an endpoint's connections, and the number of attempts in flight.

use std::{
    net::TcpStream,
    sync::{
        Arc,
        atomic::Ordering::{Relaxed, SeqCst},
    },
};

use tokio::time::Instant;

use crate::{
    config,
    upstream::{Endpoint, mesh::link::Known, queue::Queue},
};

/// One of the connections that an endpoint may have. Dropping it makes room for another, which goes to a request that
/// waits in the pool's queue, if there is one.
#[derive(Debug)]
pub struct ConnectionPermit {
    endpoint: Arc<Endpoint>,
    queue: Arc<Queue<Place>>,
}

/// What a waiting request gets: a permit, and possibly an idle connection under it.
#[derive(Debug)]
pub struct Place {
    /// The connection. Dropped first: it must be closed when another one takes its place.
    pub(super) idle: Option<IdleStream>,
    /// The permit.
    pub permit: ConnectionPermit,
}

/// An idle connection on its way from one worker to another.
#[derive(Debug)]
pub(super) struct IdleStream {
    pub(super) stream: TcpStream,
    pub(super) pool: Arc<config::Pool>,
    pub(super) opened: Instant,
    pub(super) idle_since: Instant,
    pub(super) quiet_since: Instant,
    pub(super) waits_for_room: bool,
    /// Behind a mesh: what it was known for.
    pub(super) known: Option<Known>,
}

impl ConnectionPermit {
    /// Takes a permit unless `max` are taken. When it is released, its place goes to the requests in `queue`.
    #[must_use]
    pub fn take(endpoint: &Arc<Endpoint>, queue: &Arc<Queue<Place>>, max: usize) -> Option<Self> {
        let more = |open: usize| (open < max).then_some(open + 1);
        endpoint.connections.fetch_update(SeqCst, Relaxed, more).ok()?;
        Some(Self { endpoint: Arc::clone(endpoint), queue: Arc::clone(queue) })
    }

    /// Whether fewer than `max` permits are taken. See [`queue`](crate::upstream::queue) for the order of memory.
    #[must_use]
    pub fn has_room(endpoint: &Endpoint, max: usize) -> bool {
        endpoint.connections.load(SeqCst) < max
    }

    /// The endpoint that it belongs to.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// The requests that wait for a place.
    #[must_use]
    pub fn queue(&self) -> &Arc<Queue<Place>> {
        &self.queue
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        // Room first: a request that enters the queue after the second step finds it by itself.
        self.endpoint.connections.fetch_sub(1, SeqCst);
        if self.queue.is_waiting() {
            let Self { endpoint, queue } = &*self;
            queue.offer(endpoint.id, |max| Some(Place { permit: Self::take(endpoint, queue, max)?, idle: None }));
        }
    }
}

impl Place {
    /// Offers it to the requests that wait. Returns it if none of them can use it.
    #[must_use]
    pub(super) fn offer(self) -> Option<Self> {
        let (queue, endpoint) = (Arc::clone(&self.permit.queue), Arc::clone(&self.permit.endpoint));
        let mut place = Some(self);
        // A limit that a reload lowered takes effect although the queue is never empty.
        queue.offer(endpoint.id, |max| if endpoint.connections.load(Relaxed) <= max { place.take() } else { None });
        place
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

#[cfg(test)]
mod tests {
    use std::{
        task::{Context, Poll, Waker},
        time::SystemTime,
    };

    use super::*;
    use crate::upstream::queue::{Waiting, Wanted};

    fn endpoint() -> Arc<Endpoint> {
        Arc::new(Endpoint::new("10.0.0.1:80".parse().unwrap(), "s".into(), 1, SystemTime::now()))
    }

    fn wait(queue: &Arc<Queue<Place>>, max: usize) -> Waiting<Place> {
        queue.enter(Wanted::new(queue, Vec::new(), max), 9).unwrap()
    }

    fn got(waiting: &mut Waiting<Place>) -> Option<Place> {
        match waiting.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(place) => place,
            Poll::Pending => None,
        }
    }

    #[test]
    fn the_place_of_a_dropped_permit_goes_to_a_request_that_waits() {
        let (endpoint, queue) = (endpoint(), Arc::default());
        let permit = ConnectionPermit::take(&endpoint, &queue, 1).unwrap();
        assert!(ConnectionPermit::take(&endpoint, &queue, 1).is_none());
        let (mut first, mut second) = (wait(&queue, 1), wait(&queue, 1));
        drop(permit);
        assert!(!ConnectionPermit::has_room(&endpoint, 1), "a new request does not overtake");
        let place = got(&mut first).expect("the place");
        drop(place);
        drop(got(&mut second).expect("the place of the first one"));
        assert!(ConnectionPermit::has_room(&endpoint, 1));
    }

    #[test]
    fn a_place_that_its_request_never_took_goes_to_the_next_one() {
        let (endpoint, queue) = (endpoint(), Arc::default());
        let permit = ConnectionPermit::take(&endpoint, &queue, 1).unwrap();
        let (first, mut second) = (wait(&queue, 1), wait(&queue, 1));
        drop(permit);
        drop(first);
        drop(got(&mut second).expect("the place"));
        assert!(ConnectionPermit::has_room(&endpoint, 1));
    }

    #[test]
    fn a_limit_that_was_lowered_takes_effect_while_requests_wait() {
        let (endpoint, queue) = (endpoint(), Arc::default());
        let permits: Vec<_> = (0..3).map(|_| ConnectionPermit::take(&endpoint, &queue, 3).unwrap()).collect();
        let mut waiting = wait(&queue, 1);
        let mut permits = permits.into_iter();
        drop(permits.next());
        let place = Place { permit: permits.next().unwrap(), idle: None };
        drop(place.offer().expect("one connection too many"));
        assert!(got(&mut waiting).is_none(), "one is left");
        drop(permits);
        assert!(got(&mut waiting).is_some());
    }
}
