//! Where endpoints come from.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

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
    /// The targets and ports in the SRV records of a name (RFC 2782), which is resolved repeatedly, as are the targets.
    Services {
        /// The name, such as `_http._tcp.web.example`, with a final dot only if the configuration has one.
        name: String,
    },
    /// The addresses in a file, which is read repeatedly.
    File(PathBuf),
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

impl EndpointOptions {
    /// Returns the options of an endpoint that has these on its own, in a source with those of `source`: the weights
    /// are multiplied, the tier counts from that of the source, and a backup stays one.
    #[must_use]
    pub fn within(&self, source: &Self) -> Self {
        let tier = match (self.tier, source.tier) {
            (BACKUP, _) | (_, BACKUP) => BACKUP,
            (own, first) => first.saturating_add(own).saturating_sub(1).min(MAX_TIER),
        };
        Self {
            weight: self.weight.saturating_mul(source.weight),
            tier,
            zone: self.zone.clone().or_else(|| source.zone.clone()),
        }
    }
}

impl Source {
    /// Returns whether its addresses must be looked up: all but a fixed address.
    #[must_use]
    pub const fn is_looked_up(&self) -> bool {
        !matches!(self, Self::Address(_))
    }

    /// Returns whether name servers are queried for it.
    #[must_use]
    pub const fn is_resolved(&self) -> bool {
        matches!(self, Self::Name { .. } | Self::Services { .. } | Self::Swarm { .. })
    }

    /// Returns whether it is a file.
    #[must_use]
    pub const fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Makes the path of a file relative to `folder`, unless it is absolute.
    #[must_use]
    pub fn in_folder(self, folder: &Path) -> Self {
        if let Self::File(path) = self { Self::File(folder.join(path)) } else { self }
    }

    /// Returns whether it is the node list of a swarm.
    #[must_use]
    pub const fn is_swarm(&self) -> bool {
        matches!(self, Self::Swarm { .. })
    }
}

impl fmt::Display for Source {
    /// Formats the source as the configuration does, such as `host:port` or `swarm://host:port?port=port`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
            Self::Services { name } => write!(f, "{SERVICES}{name}"),
            Self::File(path) => write!(f, "{FILE}{}", path.display()),
            Self::Swarm { host, host_port, port } if host.contains(':') => {
                write!(f, "{SWARM}[{host}]:{host_port}?port={port}")
            }
            Self::Swarm { host, host_port, port } => write!(f, "{SWARM}{host}:{host_port}?port={port}"),
        }
    }
}

/// The scheme of a [`Source::Services`].
pub(crate) const SERVICES: &str = "srv://";

/// The scheme of a [`Source::File`].
pub(crate) const FILE: &str = "file://";

/// The scheme of a [`Source::Swarm`].
pub(crate) const SWARM: &str = "swarm://";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_an_endpoint_add_to_those_of_its_source() {
        let options = |weight, tier, zone: Option<&str>| EndpointOptions { weight, tier, zone: zone.map(Into::into) };
        for (own, source, expected) in [
            (options(1, 1, None), options(1, 1, None), options(1, 1, None)),
            (options(3, 1, None), options(2, 1, Some("a")), options(6, 1, Some("a"))),
            (options(1, 2, Some("b")), options(1, 1, Some("a")), options(1, 2, Some("b"))),
            (options(1, 2, None), options(1, 3, None), options(1, 4, None)),
            (options(1, 9, None), options(1, 9, None), options(1, MAX_TIER, None)),
            (options(1, BACKUP, None), options(1, 3, None), options(1, BACKUP, None)),
            (options(1, 3, None), options(1, BACKUP, None), options(1, BACKUP, None)),
            (options(MAX_WEIGHT, 1, None), options(MAX_WEIGHT, 1, None), options(65_536, 1, None)),
        ] {
            assert_eq!(own.within(&source), expected, "{own:?} in {source:?}");
        }
    }
}
