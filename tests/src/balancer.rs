//! A stand-in for the routing mesh of a swarm: every node has a port, and each new connection to any of them leads to
//! one of the replicas for its life, as with IPVS.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::port;

/// How the replica of a new connection is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Each in turn, at each node on its own: the round robin of IPVS.
    InTurn,
    /// At random.
    Random,
}

/// The ports of a mesh. Dropping it closes them and all connections.
#[derive(Debug)]
pub struct Balancer {
    nodes: Vec<SocketAddr>,
    replicas: Arc<Mutex<Vec<SocketAddr>>>,
    accepted: Arc<AtomicUsize>,
    /// One for each node: its listener and its connections.
    tasks: Mutex<Vec<JoinSet<()>>>,
}

impl Balancer {
    /// Starts `nodes` nodes on one port, at 127.0.0.1 and the addresses after it, in front of `replicas`.
    ///
    /// # Panics
    /// If a port cannot be bound.
    pub async fn start(nodes: u8, replicas: &[SocketAddr], choice: Choice) -> Self {
        let port = port::free();
        let replicas = Arc::new(Mutex::new(replicas.to_vec()));
        let accepted = Arc::<AtomicUsize>::default();
        let (mut addresses, mut tasks) = (Vec::new(), Vec::new());
        for last in 1..=nodes {
            let address = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), port));
            let listener = TcpListener::bind(address).await.expect("a free port");
            let mut node = JoinSet::new();
            node.spawn(accept(listener, replicas.clone(), accepted.clone(), choice));
            addresses.push(address);
            tasks.push(node);
        }
        Self { nodes: addresses, replicas, accepted, tasks: Mutex::new(tasks) }
    }

    /// Returns the address of each node.
    #[must_use]
    pub fn nodes(&self) -> &[SocketAddr] {
        &self.nodes
    }

    /// Makes new connections lead to these replicas. Open ones stay.
    pub fn set_replicas(&self, replicas: &[SocketAddr]) {
        *lock(&self.replicas) = replicas.to_vec();
    }

    /// Returns the number of connections accepted.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Closes the port of a node, by its index, and all its connections.
    pub async fn stop_node(&self, index: usize) {
        let node = lock(&self.tasks).get_mut(index).map(std::mem::take);
        if let Some(mut node) = node {
            node.shutdown().await;
        }
    }
}

async fn accept(
    listener: TcpListener,
    replicas: Arc<Mutex<Vec<SocketAddr>>>,
    accepted: Arc<AtomicUsize>,
    choice: Choice,
) {
    let mut connections = JoinSet::new();
    let mut turn = 0_usize;
    loop {
        tokio::select! {
            stream = listener.accept() => {
                let Ok((stream, _client)) = stream else { continue };
                accepted.fetch_add(1, Ordering::Relaxed);
                let replica = {
                    let replicas = lock(&replicas);
                    let index = match choice {
                        Choice::InTurn => turn,
                        Choice::Random => fastrand::usize(..),
                    };
                    turn = turn.wrapping_add(1);
                    replicas.get(index % replicas.len().max(1)).copied()
                };
                connections.spawn(relay(stream, replica));
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

/// Relays until one side ends. Without a replica the connection is reset.
async fn relay(mut client: TcpStream, replica: Option<SocketAddr>) {
    let relayed = async {
        let replica = replica.ok_or(io::ErrorKind::ConnectionRefused)?;
        let mut server = TcpStream::connect(replica).await?;
        server.set_nodelay(true)?;
        client.set_nodelay(true)?;
        copy_bidirectional(&mut client, &mut server).await?;
        io::Result::Ok(())
    };
    if relayed.await.is_err() {
        // The other side reset it, or is gone: so does this one.
        client.set_zero_linger().unwrap_or(());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
