//! Connections between requests: in use by one, or idle and kept for the next.
//!
//! Idle connections belong to one worker; nobody polls them. One that was closed meanwhile is found out
//! when it is taken or by the worker's sweep.

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

/// A connection in use for one request, counted as under way.
///
/// [`finish`](Self::finish) gives it back to the worker's idle ones if the exchange is complete. Whoever
/// is dropped half way closes it instead: nobody else may use what is left on it.
#[derive(Debug)]
pub struct PooledConnection {
    connection: Option<Box<Connection>>,
    home: Rc<ConnectionPool>,
}

impl PooledConnection {
    /// Takes a connection into use. It is counted as an attempt and as one under way.
    #[must_use]
    pub fn new(connection: Box<Connection>, home: &Rc<ConnectionPool>) -> Self {
        connection.endpoint().stats.of(home.worker).in_flight.add(1);
        Self { connection: Some(connection), home: Rc::clone(home) }
    }

    /// The connection, until [`finish`](Self::finish).
    pub fn connection(&mut self) -> Option<&mut Connection> {
        self.connection.as_deref_mut()
    }

    /// The same, to look at.
    #[must_use]
    pub fn peek(&self) -> Option<&Connection> {
        self.connection.as_deref()
    }

    /// The response is complete, and `sent` says that the request is: then the connection is idle.
    pub fn finish(&mut self, sent: bool, now: Instant) {
        if let Some(mut connection) = self.release() {
            if sent && connection.is_reusable() && connection.is_young(now) && connection.is_open() {
                connection.rest(now, &self.home.buffers);
                self.home.put(connection);
            } else {
                connection.discard(&self.home.buffers);
            }
        }
    }

    /// Takes the connection out of use without making it idle.
    pub fn release(&mut self) -> Option<Box<Connection>> {
        let connection = self.connection.take()?;
        connection.endpoint().stats.of(self.home.worker).in_flight.sub(1);
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
    /// Memory of this worker, which goes from connection to connection.
    pub buffers: BufferPool,
    /// Most recently used last: it is taken first, and the others get old and go. Boxed, as it is in use,
    /// so that it is not moved.
    #[expect(clippy::vec_box, reason = "a connection in use is in the same box")]
    by_endpoint: RefCell<HashMap<u64, Vec<Box<Connection>>, BuildHasherDefault<Numbers>>>,
}

/// Hashes the ids of endpoints: the edge numbers them itself, so nobody can choose them to collide.
#[derive(Debug, Default)]
struct Numbers(u64);

impl Hasher for Numbers {
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
    /// None yet.
    #[must_use]
    pub fn new(worker: usize) -> Self {
        Self { worker, buffers: BufferPool::default(), by_endpoint: RefCell::default() }
    }

    /// The youngest idle connection to an endpoint that can still be used.
    pub fn take(&self, endpoint: u64) -> Option<Box<Connection>> {
        let mut by_endpoint = self.by_endpoint.borrow_mut();
        let idle = by_endpoint.get_mut(&endpoint)?;
        while let Some(connection) = idle.pop() {
            if connection.is_open() {
                return Some(connection);
            }
        }
        None
    }

    fn put(&self, connection: Box<Connection>) {
        let mut by_endpoint = self.by_endpoint.borrow_mut();
        let idle = by_endpoint.entry(connection.endpoint().id).or_default();
        // At the limit an idle connection would keep other workers from having one.
        let scarce = connection.endpoint().connections.load(Relaxed) >= connection.pool().max_connections.get();
        if idle.len() < connection.pool().max_idle && !scarce {
            idle.push(connection);
        }
    }

    /// Closes what is too old, was closed by the other side, or belongs to an endpoint that `keep` does
    /// not know any more.
    pub fn sweep(&self, now: Instant, keep: impl Fn(u64) -> bool) {
        self.by_endpoint.borrow_mut().retain(|endpoint, idle| {
            idle.retain(|connection| !connection.is_tired(now) && connection.is_young(now) && connection.is_open());
            !idle.is_empty() && keep(*endpoint)
        });
    }
}
