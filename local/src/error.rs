//! Why a stack does not start.

use std::{io, net::SocketAddr, num::NonZeroUsize};

use app::OpenError;
use edge::control::StartError;

/// Why a stack does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A replica's port is taken, or cannot be had.
    #[error("replica {number} cannot listen on {address} (choose other ports with --listen, such as --listen {other})")]
    Replica {
        /// Which replica, from 1.
        number: usize,
        /// Where it was to listen.
        address: SocketAddr,
        /// Where all of them might.
        other: SocketAddr,
        /// Why not there.
        source: io::Error,
    },
    /// There are not so many ports behind the first.
    #[error("{replicas} replicas do not fit behind port {first}: choose a lower port with --listen")]
    Ports {
        /// How many there were to be.
        replicas: NonZeroUsize,
        /// The first one's port.
        first: u16,
    },
    /// The edge's port or its status page's is taken, or cannot be had.
    #[error("the edge cannot start (choose another address with --edge, or with --admin for its status page)")]
    Edge(#[source] StartError),
    /// The store cannot be opened.
    #[error("the store cannot be opened (choose another folder with --data)")]
    Store(#[source] OpenError),
    /// The system refused a thread or a runtime.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}
