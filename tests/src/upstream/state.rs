//! The state that a server, its connections and the test share.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::behaviour::Behaviour;

/// The state of a server.
#[derive(Debug)]
pub(super) struct State {
    pub(super) address: SocketAddr,
    pub(super) behaviours: Mutex<HashMap<String, Behaviour>>,
    /// The number of requests received for each path.
    pub(super) requests: Mutex<HashMap<String, usize>>,
    pub(super) accepted: Mutex<usize>,
    /// A second handle of every open connection's socket, to set its options. The key is the connection's number.
    pub(super) open: Mutex<HashMap<usize, OwnedFd>>,
    /// The tasks of the listener, the connections and the WebSockets.
    pub(super) tasks: Mutex<JoinSet<()>>,
    pub(super) hung: watch::Sender<bool>,
}

/// One accepted connection. Dropping it removes it from the open ones.
pub(super) struct Connection {
    pub(super) state: Arc<State>,
    pub(super) client: SocketAddr,
    /// Counts from one.
    pub(super) number: usize,
}

impl Connection {
    pub(super) fn reset_when_closed(&self) {
        if let Some(connection) = lock(&self.state.open).get(&self.number) {
            reset_when_closed(connection);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        lock(&self.state.open).remove(&self.number);
    }
}

/// Makes the close of a socket a reset (RST).
pub(super) fn reset_when_closed(connection: &OwnedFd) {
    // Fails only on a connection that the client has reset.
    set_socket_linger(connection, Some(Duration::ZERO)).unwrap_or(());
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
