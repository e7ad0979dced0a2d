//! The network between the hosts: a relay in front of each Redis server and each sentinel.
//!
//! Each announces its relay's address, so that they and the counters reach each other only through relays. A relay
//! looks up which process connects (`owner`), and so knows the two hosts of the connection. A host also reaches itself
//! through a relay; that link is never cut.

mod owner;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::Pid;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::relay::{Link, Relay, Wire};

/// The number of hosts: the smallest that survives the loss of any one.
pub const HOSTS: usize = 3;

/// The kind of process at an end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A server of Redis.
    Redis,
    /// A sentinel.
    Sentinel,
    /// A counter.
    App,
}

/// The links between all hosts. Clones share the same network.
#[derive(Clone, Debug)]
pub struct Network {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Indexed by the sum of the two hosts minus one: with three hosts, each pair has a different sum.
    links: [Wire; HOSTS],
    /// The link of every host with itself.
    loopback: Wire,
    /// What happens to the replies of each host's Redis to counters.
    replies: [Wire; HOSTS],
    /// The processes that may connect.
    processes: Mutex<Vec<(i32, (usize, Kind))>>,
    /// A thread for the relays alone: busy clients must not make a host look dead.
    thread: Option<Runtime>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Without waiting: this may be dropped where blocking is not allowed.
        self.thread.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

impl Network {
    /// Creates a network whose links are all open.
    ///
    /// # Panics
    /// No thread can be started.
    #[must_use]
    pub fn new() -> Self {
        let thread = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a thread");
        Self {
            shared: Arc::new(Shared {
                thread: Some(thread),
                links: std::array::from_fn(|_| Wire::new()),
                loopback: Wire::new(),
                replies: std::array::from_fn(|_| Wire::new()),
                processes: Mutex::default(),
            }),
        }
    }

    /// Registers a process of `host`. Connections of unknown processes are reset.
    pub fn register(&self, pid: Pid, host: usize, kind: Kind) {
        let mut processes = self.shared.processes.lock().unwrap_or_else(PoisonError::into_inner);
        processes.retain(|(_, owner)| *owner != (host, kind));
        processes.push((pid.as_raw_nonzero().get(), (host, kind)));
    }

    /// Changes the link between two different hosts.
    pub fn set(&self, a: usize, b: usize, link: Link) {
        assert_ne!(a, b, "a host cannot be cut off from itself");
        self.shared.links[a + b - 1].set(link);
    }

    /// Drops the replies of the Redis of `host` to counters from now on. `None` ends that, and resets the connections
    /// that lost replies.
    pub fn drop_replies_of(&self, host: Option<usize>) {
        for (of, replies) in self.shared.replies.iter().enumerate() {
            if host == Some(of) { replies.lose_replies() } else { replies.deliver_replies() }
        }
    }

    /// Starts the relay from `listen` to `host`'s server at the port `to`.
    ///
    /// # Panics
    /// When the port is taken.
    pub fn relay(&self, host: usize, kind: Kind, listen: u16, to: u16) -> Relay {
        let runtime = self.shared.thread.as_ref().expect("the runtime exists until the last clone is dropped");
        let entered = runtime.enter();
        let bound = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, listen));
        let listener = bound.and_then(|listener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        });
        let listener = listener.expect("a free port");
        let network = self.clone();
        let relay = Relay::on(listener, SocketAddr::from((Ipv4Addr::LOCALHOST, to)), move |client, relay| {
            let network = network.clone();
            async move { network.wire(client, relay, (host, kind)).await }
        });
        drop(entered);
        relay
    }

    /// Returns the wire of a connection to `host`'s server, depending on the process at its other end.
    async fn wire(&self, client: SocketAddr, relay: SocketAddr, (host, kind): (usize, Kind)) -> Option<Wire> {
        let (source, client_kind) = self.owner(client, relay).await?;
        let shared = &self.shared;
        let link = if source == host { &shared.loopback } else { &shared.links[source + host - 1] };
        let is_count = client_kind == Kind::App && kind == Kind::Redis;
        Some(if is_count { link.with_replies_of(&shared.replies[host]) } else { link.clone() })
    }

    /// Returns the host and kind of the process at the other end of a connection with these addresses.
    async fn owner(&self, peer: SocketAddr, local: SocketAddr) -> Option<(usize, Kind)> {
        let processes = self.shared.processes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        tokio::task::spawn_blocking(move || owner::owner(peer, local, &processes)).await.ok().flatten()
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}
