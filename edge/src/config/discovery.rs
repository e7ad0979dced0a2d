//! How endpoints are discovered.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// How names of endpoints are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Name servers to query; empty means those of `/etc/resolv.conf`. Default empty.
    pub servers: Vec<SocketAddr>,
    /// Interval between two queries for one name, whatever the TTL of the response: Docker returns 600 s, but may
    /// change its response within a second. Default 1 s.
    pub interval: Duration,
    /// How long one query may take, including all servers and the fall-back to TCP. Default 2 s.
    pub timeout: Duration,
}

/// How the nodes of a swarm are requested, for every [`Source::Swarm`](super::Source::Swarm).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swarm {
    /// File with the token that is sent to `watch`; see [`token`](super::token). Default none.
    pub token_file: Option<PathBuf>,
}
