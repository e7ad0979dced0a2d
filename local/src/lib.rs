//! The whole stack on one machine in one process: replicas of the counter on one store, and an edge in
//! front of them.
//!
//! It is what `cargo run` starts, and what tests start on port 0. Each part lives on a thread of its own
//! with a runtime of its own, as it would in a process of its own: [`Stack::kill_replica`] takes one away
//! as a crash would.

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
};
use tokio::sync::{mpsc, watch};

pub use crate::error::Error;
use crate::{replica::Replica, store::Store};

/// What to start, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the count is kept.
    pub store: StoreConfig,
    /// How many replicas of the counter. Default 3.
    pub replicas: NonZeroUsize,
    /// Where the first replica listens; each further one has the next port. Port 0 gives each a port
    /// that the kernel chooses. Default 127.0.0.1:8000.
    pub app: SocketAddr,
    /// Where the edge listens. Default 127.0.0.1:8088.
    pub edge: SocketAddr,
    /// Where the edge's status page is. Default 127.0.0.1:9901.
    pub admin: SocketAddr,
}

impl Options {
    /// The defaults, on this store.
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

    /// Every address on a port that the kernel chooses.
    #[must_use]
    pub fn on_free_ports(mut self) -> Self {
        for address in [&mut self.app, &mut self.edge, &mut self.admin] {
            address.set_port(0);
        }
        self
    }
}

/// A stack that runs. Dropping it ends it in the background; [`stop`](Self::stop) waits for it.
#[derive(Debug)]
pub struct Stack {
    replicas: Vec<Option<Replica>>,
    addresses: Vec<SocketAddr>,
    edge: SocketAddr,
    admin: SocketAddr,
    /// Tells the edge to end, also by being dropped.
    commands: mpsc::UnboundedSender<Command>,
    edge_thread: JoinHandle<Result<(), StartError>>,
    /// The edge's thread drops the other end when it ends.
    edge_ended: watch::Receiver<()>,
    /// After everything that counts in it.
    store: Store,
}

impl Stack {
    /// Binds every address, opens the store, and starts all parts. Clients are answered from then on.
    ///
    /// # Errors
    /// The first thing that cannot be had, and how to choose another. Nothing runs then.
    pub fn start(options: &Options) -> Result<Self, Error> {
        let listeners = bind_replicas(options)?;
        let addresses: Vec<SocketAddr> =
            listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>().map_err(Error::Thread)?;
        let edge = Edge::bind(edge_config(options, &addresses)).map_err(Error::Edge)?;

        let store = Store::open(&options.store)?;
        let replicas = listeners.into_iter().enumerate().map(|(index, listener)| {
            Replica::start(&format!("replica-{}", index + 1), listener, store.counter.clone()).map(Some)
        });
        let replicas = replicas.collect::<io::Result<Vec<_>>>().map_err(Error::Thread)?;

        let edge_address = edge.addresses().first().copied().unwrap_or(options.edge);
        let admin = edge.admin_address().unwrap_or(options.admin);
        let (commands, inbox) = mpsc::unbounded_channel();
        let (end, edge_ended) = watch::channel(());
        let edge_thread = thread::Builder::new().name("edge".into()).spawn(move || {
            // Dropped at the end, also by a panic.
            let _end = end;
            edge.run(inbox)
        });
        let edge_thread = edge_thread.map_err(Error::Thread)?;
        Ok(Self { replicas, addresses, edge: edge_address, admin, commands, edge_thread, edge_ended, store })
    }

    /// Where the replicas listen, or did before they were killed.
    #[must_use]
    pub fn replicas(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where the edge listens.
    #[must_use]
    pub fn edge(&self) -> SocketAddr {
        self.edge
    }

    /// Where the edge's status page is.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Takes a replica away as a crash would: its connections break off, requests under way among them.
    /// Once it returns, its port is closed. `index` counts from 0; a replica that is gone stays gone.
    pub fn kill_replica(&mut self, index: usize) {
        if let Some(replica) = self.replicas.get_mut(index).and_then(Option::take) {
            replica.kill();
        }
    }

    /// Returns when the stack is of no use any more because a part of it has ended by itself: the edge, or
    /// the counter on the store.
    pub async fn broken(&self) -> Part {
        let mut edge = self.edge_ended.clone();
        tokio::select! {
            // An error means that the thread has dropped the other end; nothing is ever sent.
            _ = edge.changed() => Part::Edge,
            () = self.store.counter.ended() => Part::Counter,
        }
    }

    /// Drains the edge, then the replicas, then closes the store. Blocks until all of them have ended;
    /// each has its own bound.
    ///
    /// # Errors
    /// What the edge ended with.
    pub fn stop(self) -> Result<(), Error> {
        // An edge that has ended already needs not be told.
        drop(self.commands.send(Command::Drain));
        let ended = self.edge_thread.join().unwrap_or(Ok(()));
        // All of them are told before the first is waited for, so that their bounds do not add up.
        let replicas: Vec<_> = self.replicas.into_iter().flatten().map(Replica::drain).collect();
        for replica in replicas {
            replica.wait();
        }
        self.store.close();
        ended.map_err(Error::Edge)
    }
}

/// What a stack cannot be without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The one edge.
    Edge,
    /// The one counter of all replicas.
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
    let first = options.app.port();
    let address = |index: usize| {
        let port = u16::try_from(index).ok().filter(|_| first != 0).map_or(Some(first), |step| first.checked_add(step));
        let port = port.ok_or(Error::Ports { replicas: options.replicas, first })?;
        Ok(SocketAddr::new(options.app.ip(), port))
    };
    (0..options.replicas.get())
        .map(|index| {
            let address = address(index)?;
            let other = SocketAddr::new(options.app.ip(), if first < 9000 { 9000 } else { 7000 });
            TcpListener::bind(address).map_err(|source| Error::Replica { number: index + 1, address, other, source })
        })
        .collect()
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
    async fn an_edge_that_ends_by_itself_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let stack = stack(&folder);
        assert!(tokio::time::timeout(Duration::ZERO, stack.broken()).await.is_err(), "it is well");
        // As if it had ended.
        stack.commands.send(Command::Drain).unwrap();
        let part = tokio::time::timeout(SOON, stack.broken()).await.unwrap();
        assert_eq!(part, Part::Edge);
    }

    #[tokio::test]
    async fn a_counter_that_ends_by_itself_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let stack = stack(&folder);
        stack.store.counter.close().await;
        let part = tokio::time::timeout(SOON, stack.broken()).await.unwrap();
        assert_eq!(part, Part::Counter);
    }
}
