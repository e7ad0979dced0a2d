//! What a server, its connections and the test share.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::behaviour::Behaviour;

/// Shared by the server's tasks and the test.
#[derive(Debug)]
pub(super) struct State {
    pub(super) address: SocketAddr,
    pub(super) behaviours: Mutex<HashMap<String, Behaviour>>,
    /// By path.
    pub(super) requests: Mutex<HashMap<String, usize>>,
    pub(super) accepted: Mutex<usize>,
    /// A second handle of every open connection's socket, to set its options.
    pub(super) open: Mutex<HashMap<usize, OwnedFd>>,
    /// The listener's, the connections' and the WebSockets' tasks.
    pub(super) tasks: Mutex<JoinSet<()>>,
    pub(super) hung: watch::Sender<bool>,
}

/// One accepted connection, forgotten when dropped.
pub(super) struct Link {
    pub(super) state: Arc<State>,
    pub(super) client: SocketAddr,
    /// From one.
    pub(super) number: usize,
}

impl Link {
    pub(super) fn reset_when_closed(&self) {
        if let Some(connection) = lock(&self.state.open).get(&self.number) {
            reset_when_closed(connection);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        lock(&self.state.open).remove(&self.number);
    }
}

pub(super) fn reset_when_closed(connection: &OwnedFd) {
    // Fails only on a connection that the other side has reset.
    set_socket_linger(connection, Some(Duration::ZERO)).unwrap_or(());
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
