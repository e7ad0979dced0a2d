//! The connections of one worker: in use by a request, or idle and kept for the next.
//!
//! Idle connections are not polled. One that the endpoint closed is detected when it is taken or by the worker's sweep.

use std::{
    cell::RefCell,
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    rc::Rc,
    sync::atomic::Ordering::Relaxed,
};

use tokio::time::Instant;

use super::Connection;
use crate::io::buffer::BufferPool;

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
    pub fn new(connection: Box<Connection>, pool: &Rc<ConnectionPool>) -> Self {
        connection.endpoint().stats.of(pool.worker).in_flight.add(1);
        Self { connection: Some(connection), pool: Rc::clone(pool) }
    }

    /// The connection, until [`finish`](Self::finish).
    pub fn connection(&mut self) -> Option<&mut Connection> {
        self.connection.as_deref_mut()
    }

    /// The connection, for reading its state.
    #[must_use]
    pub fn as_connection(&self) -> Option<&Connection> {
        self.connection.as_deref()
    }

    /// Ends the exchange, whose response is complete. The connection becomes idle if `sent` says that the request is
    /// complete as well.
    pub fn finish(&mut self, sent: bool, now: Instant) {
        if let Some(mut connection) = self.release() {
            if sent && connection.is_reusable() && connection.is_young(now) && connection.is_open() {
                connection.become_idle(now, &self.pool.buffers);
                self.pool.put(connection);
            } else {
                connection.discard(&self.pool.buffers);
            }
        }
    }

    /// Takes the connection out of use without returning it to the pool.
    pub fn release(&mut self) -> Option<Box<Connection>> {
        let connection = self.connection.take()?;
        connection.endpoint().stats.of(self.pool.worker).in_flight.sub(1);
        Some(connection)
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        drop(self.release());
    }
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
    /// An empty pool.
    #[must_use]
    pub fn new(worker: usize) -> Self {
        Self { worker, buffers: BufferPool::default(), by_endpoint: RefCell::default() }
    }

    /// Takes the most recently used idle connection to an endpoint that is still open. With `ask_kernel` the kernel
    /// decides whether it is, for a request that cannot be sent again on another connection.
    pub fn take(&self, endpoint: u64, ask_kernel: bool) -> Option<Box<Connection>> {
        let mut by_endpoint = self.by_endpoint.borrow_mut();
        let idle = by_endpoint.get_mut(&endpoint)?;
        while let Some(connection) = idle.pop() {
            let is_open = if ask_kernel { connection.is_open_in_kernel() } else { connection.is_open() };
            if is_open && connection.endpoint().allows_reuse() {
                return Some(connection);
            }
        }
        None
    }

    fn put(&self, connection: Box<Connection>) {
        let mut by_endpoint = self.by_endpoint.borrow_mut();
        let idle = by_endpoint.entry(connection.endpoint().id).or_default();
        // At the limit, an idle connection would keep other workers from opening one.
        let scarce = connection.endpoint().connections.load(Relaxed) >= connection.pool().max_connections.get();
        if idle.len() < connection.pool().max_idle && !scarce {
            idle.push(connection);
        }
    }

    /// Closes connections that are too old, that the endpoint closed, or whose endpoint `keep` rejects.
    pub fn sweep(&self, now: Instant, keep: impl Fn(u64) -> bool) {
        self.by_endpoint.borrow_mut().retain(|endpoint, idle| {
            idle.retain(|connection| {
                !connection.is_idle_expired(now) && connection.is_young(now) && connection.is_open()
            });
            !idle.is_empty() && keep(*endpoint)
        });
    }
}
