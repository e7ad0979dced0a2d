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
    /// There are more replicas than one process can have.
    #[error("--replicas is {replicas}: write a number from 1 to {most}")]
    Replicas {
        /// The number of replicas.
        replicas: NonZeroUsize,
        /// The maximum.
        most: usize,
    },
    /// Two parts cannot listen on their addresses at the same time.
    #[error("{}: choose another port for one of them", overlap(one, other))]
    Overlap {
        /// The flag and the address of one part.
        one: (&'static str, SocketAddr),
        /// Those of the other.
        other: (&'static str, SocketAddr),
    },
    /// A part has the address of a replica after the first.
    #[error(
        "{} is {}, which is replica {number} of those from --listen {first} on: choose another port for one of them",
        other.0, other.1
    )]
    OnReplica {
        /// The part's flag and address.
        other: (&'static str, SocketAddr),
        /// The number of the replica, from 1.
        number: usize,
        /// The first replica's address.
        first: SocketAddr,
    },
    /// There are not enough ports after the first one.
    #[error(
        "there are not enough ports for {replicas} replicas from port {first} on: choose a lower port with --listen"
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

fn overlap(one: &(&str, SocketAddr), other: &(&str, SocketAddr)) -> String {
    let ((flag, address), (other_flag, other_address)) = (one, other);
    if address == other_address {
        return format!("{flag} and {other_flag} are both {address}");
    }
    format!("{flag} {address} and {other_flag} {other_address} overlap")
}
