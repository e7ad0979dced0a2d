//! How endpoints are discovered.

use std::{collections::HashMap, fmt, net::SocketAddr, path::PathBuf, time::Duration};

use super::source::Source;

/// A resolver: how names of endpoints are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Name servers to query; empty means those of `/etc/resolv.conf`. Default empty.
    pub servers: Vec<NameServer>,
    /// The name or the address for which the certificates of servers with [`Transport::Tls`] must be. Default: the
    /// address of the server.
    pub tls_name: Option<String>,
    /// PEM file with the certificate authorities to trust for them, in place of those of this machine. Default none.
    pub ca_file: Option<PathBuf>,
    /// The interval between two queries for one name. Default 1 s, whatever the TTL of the response: Docker returns
    /// 600 s, but may change its response within a second.
    pub interval: Interval,
    /// How long one query may take, including all servers and the fall-back to TCP. Default 2 s.
    pub timeout: Duration,
}

/// A name server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameServer {
    /// How queries travel.
    pub transport: Transport,
    /// Where they go.
    pub address: SocketAddr,
}

/// How queries travel to a name server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Over UDP, and over TCP if the answer is truncated.
    Udp,
    /// Over TCP (RFC 7766).
    Tcp,
    /// Over TLS (RFC 7858); the certificate of the server must be valid.
    Tls,
}

/// The interval between two lookups of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    /// Always this long.
    Fixed(Duration),
    /// The TTL of the answer, within these limits.
    Ttl {
        /// The least, also after an answer without a TTL: a failed one. Default 1 s.
        min: Duration,
        /// The most. Default 1 min.
        max: Duration,
    },
}

/// How the sources of a pool are looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// The name of the resolver; `None`, the default, is [`Config::dns`](super::Config::dns).
    pub resolver: Option<String>,
    /// The names of the resolvers of those sources that have one of their own.
    pub resolvers: HashMap<Source, String>,
    /// The interval between two lookups; `None`, the default, is that of the resolver.
    pub interval: Option<Interval>,
}

/// How the nodes of a swarm are requested, for every [`Source::Swarm`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swarm {
    /// File with the token that is sent to `watch`; see [`token`](super::token). Default none.
    pub token_file: Option<PathBuf>,
}

impl Discovery {
    /// Returns the name of the resolver of a source; `None` is [`Config::dns`](super::Config::dns).
    #[must_use]
    pub fn resolver_of(&self, source: &Source) -> Option<&str> {
        self.resolvers.get(source).or(self.resolver.as_ref()).map(String::as_str)
    }
}

impl Interval {
    /// Returns the time from an answer to the next lookup. `ttl` is that of the answer, `None` if it failed.
    #[must_use]
    pub fn after(self, ttl: Option<Duration>) -> Duration {
        match self {
            Self::Fixed(interval) => interval,
            Self::Ttl { min, max } => ttl.unwrap_or(min).min(max).max(min),
        }
    }
}

impl Transport {
    /// The scheme by which the configuration names it; empty for UDP, the usual one.
    pub(crate) const fn scheme(self) -> &'static str {
        match self {
            Self::Udp => "",
            Self::Tcp => "tcp://",
            Self::Tls => "tls://",
        }
    }
}

impl From<SocketAddr> for NameServer {
    fn from(address: SocketAddr) -> Self {
        Self { transport: Transport::Udp, address }
    }
}

impl fmt::Display for NameServer {
    /// Formats the name server as the configuration does: `IP:port`, `tcp://IP:port` or `tls://IP:port`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.transport.scheme(), self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ttl_is_honoured_within_its_limits_and_a_failure_has_the_shortest() {
        let seconds = Duration::from_secs;
        let ttl = Interval::Ttl { min: seconds(1), max: seconds(60) };
        for (given, expected) in [(Some(0), 1), (Some(1), 1), (Some(30), 30), (Some(600), 60), (None, 1)] {
            assert_eq!(ttl.after(given.map(seconds)), seconds(expected), "{given:?}");
        }
        for given in [Some(0), Some(600), None] {
            assert_eq!(Interval::Fixed(seconds(5)).after(given.map(seconds)), seconds(5), "{given:?}");
        }
    }
}
