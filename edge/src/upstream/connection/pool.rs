//! The connections of one worker: in use by a request, or idle and kept for the next.
//!
//! Idle connections are not polled. One that the endpoint closed is detected when it is taken or by the worker's sweep.
//! While requests wait in a pool's queue, no worker keeps an idle connection to its endpoints.

use std::{
    cell::RefCell,
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use tokio::time::Instant;

use super::{Connection, Place, mesh::Mesh};
use crate::{
    io::buffer::BufferPool,
    upstream::{mesh::link::Link, queue::Queue},
};

/// A connection in use for one request, counted as in flight.
///
/// [`finish`](Self::finish) returns it to the pool if the exchange is complete. Dropping it earlier closes it: no other
/// request may read the rest of this response.
#[derive(Debug)]
pub struct PooledConnection {
    connection: Option<Box<Connection>>,
    pool: Rc<ConnectionPool>,
}

impl PooledConnection {
    /// Takes a connection into use and counts it as in flight.
    #[must_use]
    pub fn new(mut connection: Box<Connection>, pool: &Rc<ConnectionPool>) -> Self {
        if connection.pool().mesh && !connection.is_counted() {
            pool.mesh(connection.queue()).adopt(&mut connection, Instant::now());
        }
        connection.endpoint().stats.of(pool.worker).in_flight.add(1);
        Self { connection: Some(connection), pool: Rc::clone(pool) }
    }

    /// The connection, until [`finish`](Self::finish).
    pub fn connection(&mut self) -> Option<&mut Connection> {
        self.connection.as_deref_mut()
    }

    /// Ends the exchange, whose response is complete. If `sent` says that the request is complete as well, the
    /// connection becomes idle, or goes to a request that waits for one.
    pub fn finish(&mut self, sent: bool, now: Instant) {
        if let Some(mut connection) = self.release() {
            if connection.announced_drain() {
                self.pool.doubt(&connection, now);
            }
            if sent && connection.is_reusable() && connection.is_young(now) {
                connection.become_idle(now, &self.pool.buffers);
                if connection.is_open() {
                    return self.pool.put(connection, now);
                }
                connection.note_closed(now);
            }
            connection.discard(&self.pool.buffers);
        }
    }

    /// Takes the connection out of use without returning it to the pool.
    pub fn release(&mut self) -> Option<Box<Connection>> {
        let mut connection = self.connection.take()?;
        connection.stop_waiting(self.pool.worker);
        connection.endpoint().stats.of(self.pool.worker).in_flight.sub(1);
        Some(connection)
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        if let Some(connection) = self.release() {
            self.pool.doubt(&connection, Instant::now());
        }
    }
}

/// What a request demands of an idle connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// It is open as far as the runtime knows.
    Open,
    /// It is open as far as the kernel knows.
    OpenInKernel,
    /// So it is, and it is [fresh](Connection::is_fresh): the request cannot be sent again.
    Fresh,
}

/// The idle connections of one worker, by endpoint.
#[derive(Debug)]
pub struct ConnectionPool {
    worker: usize,
    /// The memory that the connections of this worker share.
    pub buffers: BufferPool,
    /// By endpoint id, the most recently used last: it is taken first, and the others expire. A connection stays in its
    /// box, so that it is never moved.
    #[expect(clippy::vec_box, reason = "a connection in use is in the same box")]
    by_endpoint: RefCell<HashMap<u64, Vec<Box<Connection>>, BuildHasherDefault<EndpointIdHasher>>>,
    /// The connections of pools behind a mesh, by the address of the pool's queue, which survives a reload.
    meshes: RefCell<HashMap<usize, Rc<Mesh>>>,
}

/// Hashes endpoint ids. The edge assigns them itself, so no client can choose them to collide.
#[derive(Debug, Default)]
struct EndpointIdHasher(u64);

impl Hasher for EndpointIdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        // Fibonacci hashing (Knuth, The Art of Computer Programming, volume 3, section 6.4).
        self.0 = id.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}

impl ConnectionPool {
    /// An empty pool, whose connections read into memory of `buffers`.
    #[must_use]
    pub fn new(worker: usize, buffers: BufferPool) -> Self {
        Self { worker, buffers, by_endpoint: RefCell::default(), meshes: RefCell::default() }
    }

    /// Takes the most recently used idle connection to an endpoint that is still open.
    pub fn take(&self, endpoint: u64, demand: Demand, now: Instant) -> Option<Box<Connection>> {
        let mut by_endpoint = self.by_endpoint.borrow_mut();
        let idle = by_endpoint.get_mut(&endpoint)?;
        while let Some(connection) = idle.pop() {
            let is_open = match demand {
                Demand::Open => connection.is_open(),
                Demand::OpenInKernel | Demand::Fresh => connection.is_open_in_kernel(),
            };
            if !is_open {
                connection.note_closed(now);
            } else if connection.endpoint().allows_reuse() {
                // The others were used even earlier. This one is closed, so that a new one does not add to their number.
                return (demand != Demand::Fresh || connection.is_fresh(now)).then_some(connection);
            }
        }
        None
    }

    /// Whether there is an idle connection to an endpoint, open or not.
    #[must_use]
    pub fn has_idle(&self, endpoint: u64) -> bool {
        self.by_endpoint.borrow().get(&endpoint).is_some_and(|idle| !idle.is_empty())
    }

    /// The connections of a pool behind a mesh, which has this queue.
    #[must_use]
    pub fn mesh(&self, queue: &Arc<Queue<Place>>) -> Rc<Mesh> {
        let mut meshes = self.meshes.borrow_mut();
        Rc::clone(meshes.entry(Arc::as_ptr(queue).addr()).or_insert_with(|| Rc::new(Mesh::new(queue, Instant::now()))))
    }

    /// Behind a mesh: makes the idle connections to the node and to the replica of this one due to be asked. If it does
    /// not answer, or what it leads to drains, that concerns others as well.
    pub fn doubt(&self, connection: &Connection, now: Instant) {
        if let Some(link) = &connection.link {
            self.mesh(connection.queue()).doubt(connection.endpoint().id, link.replica(), now);
        }
    }

    /// Keeps a connection without a request for the next one, or gives it to a request that waits.
    pub fn put(&self, connection: Box<Connection>, now: Instant) {
        let is_wanted = connection.queue().is_waiting();
        if is_wanted && connection.link.as_ref().is_some_and(Link::is_unfit) {
            // Closing it makes room for another, which probably leads to a better replica.
            return;
        }
        let Some(connection) = (if is_wanted { hand_over(connection, now) } else { Some(connection) }) else { return };
        if connection.pool().mesh {
            let mesh = self.mesh(connection.queue());
            mesh.put(connection, now);
            return;
        }
        let mut by_endpoint = self.by_endpoint.borrow_mut();
        let idle = by_endpoint.entry(connection.endpoint().id).or_default();
        let pool = connection.pool();
        // Without a queue, an idle connection at the limit would make other workers refuse requests.
        let is_scarce = || connection.endpoint().connections.load(Relaxed) >= pool.max_connections.get();
        if idle.len() < pool.max_idle && !(pool.timeouts.queue.is_zero() && is_scarce()) {
            idle.push(connection);
        }
    }

    /// Gives idle connections to the requests that wait for one, of any worker.
    pub fn serve_queues(&self, now: Instant) {
        let meshes: Vec<_> = self.meshes.borrow().values().map(Rc::clone).collect();
        for mesh in meshes.iter().filter(|mesh| mesh.queue().is_waiting()) {
            mesh.extract(usize::MAX, |_| true).into_iter().for_each(|connection| self.put(connection, now));
        }
        for idle in self.by_endpoint.borrow_mut().values_mut() {
            while let Some(connection) = idle.pop_if(|connection| connection.queue().is_waiting()) {
                // Closing it makes room for another.
                if !connection.is_open() {
                    connection.note_closed(now);
                } else if connection.endpoint().allows_reuse() {
                    idle.extend(hand_over(connection, now));
                }
            }
        }
    }

    /// Closes connections that are too old, that the endpoint closed, or whose endpoint is in maintenance or rejected
    /// by `keep`. Pools behind a mesh are tended more often; here go those that are no longer configured, for which
    /// `is_mesh` returns false.
    pub fn sweep(&self, now: Instant, keep: impl Fn(u64) -> bool, is_mesh: impl Fn(&Arc<Queue<Place>>) -> bool) {
        self.meshes.borrow_mut().retain(|_, mesh| is_mesh(mesh.queue()));
        self.by_endpoint.borrow_mut().retain(|endpoint, idle| {
            idle.retain_mut(|connection| {
                let stays = !connection.is_idle_expired(now)
                    && connection.is_young(now)
                    && connection.endpoint().allows_reuse();
                let is_open = stays && connection.is_open();
                match (stays, is_open) {
                    (true, true) => connection.note_open(now),
                    (true, false) => connection.note_closed(now),
                    (false, _) => {}
                }
                is_open
            });
            !idle.is_empty() && keep(*endpoint)
        });
    }
}

/// Gives an idle connection to a request that waits. Returns it if none waits any more.
///
/// It is closed if those that wait cannot use it, or if it cannot leave or enter a runtime: a request that comes behind
/// them would not make this worker look through its idle connections; see [`queue`](crate::upstream::queue).
fn hand_over(connection: Box<Connection>, now: Instant) -> Option<Box<Connection>> {
    let place = connection.into_place().ok()?.offer()?;
    if place.permit.queue().is_waiting() { None } else { Connection::from_place(place, now).ok() }
}
