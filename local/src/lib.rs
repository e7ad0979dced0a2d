//! The whole stack in one process on one machine: replicas of the counter that share a store, and an edge in front of
//! them.
//!
//! `cargo run` starts it, and tests start it on port 0. Each part has its own thread and its own runtime, as it would
//! have in a process of its own, so [`Stack::kill_replica`] has the effect of a crash.

mod addresses;
mod error;
mod replica;
mod store;

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    thread::{self, JoinHandle},
    time::Duration,
};

use app::StoreConfig;
use edge::{
    config::{Config, HealthCheck, Listener, Pool, Source},
    control::{Command, Edge, StartError},
    downstream::listener::BindError,
};
use tokio::sync::{mpsc, watch};

pub use crate::{addresses::MAX_REPLICAS, error::Error};
use crate::{replica::Replica, store::Store};

/// What to start, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the count is stored.
    pub store: StoreConfig,
    /// The number of replicas of the counter, at most [`MAX_REPLICAS`]. Default 3.
    pub replicas: NonZeroUsize,
    /// The address of the first replica; each further one listens on the next port. With port 0 the kernel chooses a
    /// port for each. Default 127.0.0.1:8000.
    pub app: SocketAddr,
    /// The address of the edge. Default 127.0.0.1:8088.
    pub edge: SocketAddr,
    /// The address of the edge's status page. Default 127.0.0.1:9901.
    pub admin: SocketAddr,
}

impl Options {
    /// The defaults with this store.
    #[must_use]
    pub fn new(store: StoreConfig) -> Self {
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            store,
            replicas: NonZeroUsize::MIN.saturating_add(2),
            app: local(8000),
            edge: local(8088),
            admin: local(9901),
        }
    }

    /// Returns the address of each replica.
    ///
    /// # Errors
    /// There are too many replicas, there are not enough ports after the first, or two parts have the same address.
    pub fn replica_addresses(&self) -> Result<Vec<SocketAddr>, Error> {
        addresses::replicas(self.replicas, self.app, self.edge, self.admin)
    }

    /// Makes the kernel choose every port.
    #[must_use]
    pub fn on_free_ports(mut self) -> Self {
        for address in [&mut self.app, &mut self.edge, &mut self.admin] {
            address.set_port(0);
        }
        self
    }
}

/// A running stack. Dropping it stops it in the background; [`stop`](Self::stop) waits until it has stopped.
#[derive(Debug)]
pub struct Stack {
    replicas: Vec<Option<Replica>>,
    addresses: Vec<SocketAddr>,
    edge: SocketAddr,
    admin: SocketAddr,
    /// Commands to the edge, which also stops when this is dropped.
    commands: mpsc::UnboundedSender<Command>,
    edge_thread: JoinHandle<Result<(), StartError>>,
    /// Closed when the edge's thread ends.
    edge_ended: watch::Receiver<()>,
    /// The last field, so that it is dropped after the replicas that use it.
    store: Store,
}

impl Stack {
    /// Binds all addresses, opens the store, and starts all parts.
    ///
    /// # Errors
    /// The first part that cannot start, and how to choose another address. In that case nothing runs.
    pub fn start(options: &Options) -> Result<Self, Error> {
        let listeners = bind_replicas(options)?;
        let addresses: Vec<SocketAddr> =
            listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>().map_err(Error::Thread)?;
        let edge = Edge::bind(edge_config(options, &addresses)).map_err(Error::Edge)?;
        // The edge by itself would serve, and wait for the address.
        let Some(admin) = edge.admin_address() else {
            let source = io::ErrorKind::AddrInUse.into();
            return Err(Error::Edge(BindError { address: options.admin, reuse_port: false, source }.into()));
        };

        let store = Store::open(&options.store)?;
        let replicas = listeners.into_iter().enumerate().map(|(index, listener)| {
            Replica::start(&format!("replica-{}", index + 1), listener, store.counter.clone()).map(Some)
        });
        let replicas = replicas.collect::<io::Result<Vec<_>>>().map_err(Error::Thread)?;

        let edge_address = edge.addresses().first().copied().unwrap_or(options.edge);
        let (commands, inbox) = mpsc::unbounded_channel();
        let (end, edge_ended) = watch::channel(());
        let edge_thread = thread::Builder::new().name("edge".into()).spawn(move || {
            // Dropped when the thread ends, even by a panic.
            let _end = end;
            edge.run(inbox)
        });
        let edge_thread = edge_thread.map_err(Error::Thread)?;
        Ok(Self { replicas, addresses, edge: edge_address, admin, commands, edge_thread, edge_ended, store })
    }

    /// The addresses of the replicas, including those that were killed.
    #[must_use]
    pub fn replicas(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The address of the edge.
    #[must_use]
    pub fn edge(&self) -> SocketAddr {
        self.edge
    }

    /// The address of the edge's status page.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Stops a replica like a crash: its connections break, including requests in progress. When this returns, its port
    /// is closed. `index` counts from 0. A killed replica does not come back.
    pub fn kill_replica(&mut self, index: usize) {
        if let Some(replica) = self.replicas.get_mut(index).and_then(Option::take) {
            replica.kill();
        }
    }

    /// Completes when an essential part has failed: the edge, or the counter on the store.
    pub async fn failed(&self) -> Part {
        let mut edge = self.edge_ended.clone();
        tokio::select! {
            // Nothing is ever sent, so this completes only when the thread has dropped its end.
            _ = edge.changed() => Part::Edge,
            () = self.store.counter.ended() => Part::Counter,
        }
    }

    /// Drains the edge, then the replicas, and then closes the store. Blocks until all have stopped; each has its own
    /// time limit.
    ///
    /// # Errors
    /// The edge's error.
    pub fn stop(self) -> Result<(), Error> {
        // Fails if the edge has already stopped.
        drop(self.commands.send(Command::Drain));
        let ended = self.edge_thread.join().unwrap_or(Ok(()));
        // All replicas start to drain before the first wait, so that their time limits do not add up.
        let replicas: Vec<_> = self.replicas.into_iter().flatten().map(Replica::drain).collect();
        for replica in replicas {
            replica.wait();
        }
        self.store.close();
        ended.map_err(Error::Edge)
    }
}

/// A part without which the stack cannot serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The edge.
    Edge,
    /// The counter that all replicas share.
    Counter,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Edge => "the edge",
            Self::Counter => "the counter",
        })
    }
}

fn bind_replicas(options: &Options) -> Result<Vec<TcpListener>, Error> {
    let other = SocketAddr::new(options.app.ip(), if options.app.port() < 9000 { 9000 } else { 7000 });
    let addresses = options.replica_addresses()?;
    let bind = |(number, address)| {
        net::server::bind(address).map_err(|source| Error::Replica { number, address, other, source })
    };
    (1..).zip(addresses).map(bind).collect()
}

fn edge_config(options: &Options, replicas: &[SocketAddr]) -> Config {
    let mut pool = Pool::new("web", replicas.iter().copied().map(Source::Address).collect());
    pool.health = Some(HealthCheck {
        path: Some(http::uri::PathAndQuery::from_static("/readyz")),
        interval: Duration::from_secs(1),
        ..HealthCheck::default()
    });
    Config { admin: Some(options.admin), ..Config::simple(vec![Listener::plain(options.edge)], pool) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    fn stack(folder: &tempfile::TempDir) -> Stack {
        let store = StoreConfig::File(folder.path().join("hits.redb"));
        Stack::start(&Options::new(store).on_free_ports()).unwrap()
    }

    #[tokio::test]
    async fn a_failed_edge_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let stack = stack(&folder);
        assert!(tokio::time::timeout(Duration::ZERO, stack.failed()).await.is_err(), "the edge runs");
        // The edge then ends as if it had failed.
        stack.commands.send(Command::Drain).unwrap();
        let part = tokio::time::timeout(SOON, stack.failed()).await.unwrap();
        assert_eq!(part, Part::Edge);
    }

    #[tokio::test]
    async fn a_failed_counter_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let stack = stack(&folder);
        stack.store.counter.close().await;
        let part = tokio::time::timeout(SOON, stack.failed()).await.unwrap();
        assert_eq!(part, Part::Counter);
    }
}
