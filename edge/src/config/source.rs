//! Where endpoints come from.

use std::{fmt, net::SocketAddr};

/// Where endpoints of a pool come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// One fixed endpoint.
    Address(SocketAddr),
    /// All A and AAAA records of a name, which is resolved repeatedly.
    Name {
        /// Host name, with a final dot only if the configuration has one.
        host: String,
        /// Port of all its endpoints.
        port: u16,
    },
    /// Every ready node of a swarm, as its `watch` lists them.
    Swarm {
        /// Host of watch's HTTP server: an address, without brackets, or a name that may have several.
        host: String,
        /// Port of watch's HTTP server.
        host_port: u16,
        /// Port of all its endpoints.
        port: u16,
    },
}

/// What a source says about each of its endpoints, beside their addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointOptions {
    /// The share of the requests that it gets, relative to the weights of the others, 1 to [`MAX_WEIGHT`]. Default 1.
    pub weight: u32,
    /// When it gets requests: the endpoints of a tier stand in for those of lower ones; 1 to [`MAX_TIER`], or
    /// [`BACKUP`]. Default 1.
    pub tier: u8,
    /// Where it runs; see [`Pool::zone`](super::Pool::zone). Default nowhere in particular.
    pub zone: Option<String>,
}

/// The highest [`EndpointOptions::tier`] apart from [`BACKUP`].
pub const MAX_TIER: u8 = 9;

/// The tier of backup endpoints, after all others. They get requests only while no other endpoint is usable, or so few
/// that the pool would be in panic.
pub const BACKUP: u8 = u8::MAX;

/// The largest [`EndpointOptions::weight`], the same as in HAProxy.
pub const MAX_WEIGHT: u32 = 256;

impl Source {
    /// Returns whether its addresses must be looked up: those of a name or a swarm.
    #[must_use]
    pub const fn is_looked_up(&self) -> bool {
        !matches!(self, Self::Address(_))
    }

    /// Returns whether it is the node list of a swarm.
    #[must_use]
    pub const fn is_swarm(&self) -> bool {
        matches!(self, Self::Swarm { .. })
    }
}

impl fmt::Display for Source {
    /// Formats the source as the configuration does: `host:port`, or `swarm://host:port?port=port`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
            Self::Swarm { host, host_port, port } if host.contains(':') => {
                write!(f, "{SWARM}[{host}]:{host_port}?port={port}")
            }
            Self::Swarm { host, host_port, port } => write!(f, "{SWARM}{host}:{host_port}?port={port}"),
        }
    }
}

/// The scheme of a [`Source::Swarm`].
pub(crate) const SWARM: &str = "swarm://";
