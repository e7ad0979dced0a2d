//! Why a stack did not start.

use std::{io, net::SocketAddr, num::NonZeroUsize};

use app::OpenError;
use edge::control::StartError;

/// Why a stack did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A replica's port is in use or not allowed.
    #[error("replica {number} cannot listen on {address} (choose other ports with --listen, such as --listen {other})")]
    Replica {
        /// The number of the replica, from 1.
        number: usize,
        /// Its address.
        address: SocketAddr,
        /// An address of the first replica that might work for all of them.
        other: SocketAddr,
        /// Why it cannot listen there.
        source: io::Error,
    },
    /// There are not enough ports after the first one.
    #[error(
        "there are not enough ports for {replicas} replicas from port {first} on: choose a lower port with
    # --listen"
    )]
    Ports {
        /// The number of replicas.
        replicas: NonZeroUsize,
        /// The port of the first replica.
        first: u16,
    },
    /// The port of the edge or of its status page is in use or not allowed.
    #[error("the edge cannot start (choose another address with --edge, or with --admin for its status page)")]
    Edge(#[source] StartError),
    /// The store cannot be opened.
    #[error("the store cannot be opened (choose another folder with --data)")]
    Store(#[source] OpenError),
    /// The system refused a thread or a runtime.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}
