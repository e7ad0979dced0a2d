//! The configuration of an edge, parsed and checked.
//!
//! Every value is valid: an address is an address, a pool that a route names exists, a duration is positive. No other
//! module looks a setting up by name or discovers an invalid one at request time. [`mod@file`] parses the file and
//! [`flags`] the command line; both build these types and take missing settings from [`defaults`].

pub(crate) mod address;
pub mod defaults;
pub mod file;
pub mod flags;
pub mod problem;
pub mod token;
pub(crate) mod value;

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod reference;

use std::{fmt, net::SocketAddr, num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration};

use http::uri::PathAndQuery;
use ipnet::IpNet;

/// The whole configuration of one edge.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Worker threads; each has its own runtime, listeners and upstream connections.
    /// Default: the number of cores this process may use. Not changed by a reload.
    pub workers: NonZeroUsize,
    /// How long active requests may take to finish after SIGTERM. Default 30 s.
    pub drain: Duration,
    /// Address of the status page, metrics, liveness and readiness; `None` turns them off.
    /// Default 127.0.0.1:9901. Not changed by a reload.
    pub admin: Option<SocketAddr>,
    /// Destination of the access log, one line per request. Default off.
    pub access_log: AccessLog,
    /// How names of endpoints are resolved.
    pub dns: Dns,
    /// How the nodes of a swarm are requested.
    pub swarm: Swarm,
    /// Addresses that clients connect to, at least one.
    pub listeners: Vec<Listener>,
    /// Map requests to pools; matched by host, then by longest path prefix.
    pub routes: Vec<Route>,
    /// Groups of endpoints; a [`Route`] refers to one by its index here.
    pub pools: Vec<Arc<Pool>>,
    /// Limits on the resources of a client.
    pub limits: Limits,
    /// How long a client may take over each step.
    pub timeouts: Timeouts,
    /// Peers whose `X-Forwarded-*` and `Forwarded` fields are kept and extended; those of other clients are replaced.
    /// Default none.
    pub trusted_proxies: Vec<IpNet>,
}

/// Destination of the access log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    #[default]
    Off,
    /// To standard output.
    Stdout,
    /// Appended to a file, which SIGHUP reopens (log rotation).
    File(PathBuf),
}

/// How names of endpoints are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Name servers to query; empty means those of `/etc/resolv.conf`. Default empty.
    pub servers: Vec<SocketAddr>,
    /// Interval between two queries for one name, whatever the TTL of the answer: Docker returns 600 s and changes its
    /// answer within a second. Default 1 s.
    pub interval: Duration,
    /// How long one query may take, including all servers and the fall-back to TCP. Default 2 s.
    pub timeout: Duration,
}

/// How the nodes of a swarm are requested, for every [`Source::Swarm`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swarm {
    /// File with the token that is sent to `watch`; see [`token`]. Default none.
    pub token_file: Option<PathBuf>,
}

/// One address that clients connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address; port 0 lets the kernel choose.
    pub address: SocketAddr,
    /// Whether to bind an address that this host does not have yet (`IP_FREEBIND`). Default false.
    pub freebind: bool,
    /// TLS on this address, with ALPN `h2` and `http/1.1`. Default none: plain HTTP/1.1 and h2c by
    /// prior knowledge.
    pub tls: Option<Tls>,
}

/// Which certificates a listener presents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Selected by SNI; a client that sends no name or an unknown one gets the first.
    pub certificates: Vec<CertificateFiles>,
    /// Names in the self-signed certificate that the edge generates if `certificates` is empty, so that port 443 works
    /// without further setup. Browsers warn about it.
    pub self_signed: Vec<String>,
}

/// A certificate chain and its key in PEM, reloaded when either file changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// Sends matching requests to a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The hosts it matches. Default any.
    pub host: HostMatch,
    /// Path prefix, matched on whole segments: `/api` matches `/api` and `/api/x`, not `/apix`. Compared with the path as
    /// the client sent it, so a route is no access control: `/x/../api` does not match `/api` here, but the endpoint
    /// may resolve it to that.
    /// Default `/`.
    pub path: String,
    /// Index into [`Config::pools`].
    pub pool: usize,
    /// Largest request body in bytes; a larger one gets a 413. Default unlimited: bodies are streamed, not buffered.
    pub max_body: Option<u64>,
}

/// The host part of a route; compared without the port, ignoring case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostMatch {
    /// Every host, also a request without one.
    Any,
    /// This host, lower case.
    Exact(String),
    /// `*.example.com`, stored as `example.com`: one or more labels before it.
    Suffix(String),
}

/// A group of endpoints that serve the same thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Its name in logs, metrics and on the status page.
    pub name: String,
    /// Where its endpoints come from, at least one.
    pub sources: Vec<Source>,
    /// How the next endpoint is picked. Default round robin.
    pub balance: Balance,
    /// Active health checks; `None` assumes every endpoint healthy until connecting to it fails.
    pub health: Option<HealthCheck>,
    /// Passive ejection after failures of real requests.
    pub ejection: Ejection,
    /// Share of usable endpoints, 0.0 to 1.0, below which health is ignored and all endpoints are used: with nearly all
    /// down, the checks are more likely wrong than the endpoints. Default 0.3. Envoy's panic threshold is 0.5, which is
    /// too high for three nodes that must survive on one.
    pub panic_threshold: f64,
    /// How often one request may be sent in total, including the first attempt. Default 3.
    pub attempts: NonZeroUsize,
    /// Most connections to one endpoint over all workers, including idle ones. At the limit the next endpoint is tried;
    /// if all are full, the response is 503. Default 4096.
    pub max_connections: NonZeroUsize,
    /// Most idle connections kept per endpoint and worker; `idle` closes the ones that are no longer needed.
    /// Default 4096, the same as `max_connections`.
    pub max_idle: usize,
    /// How long the edge waits for an endpoint.
    pub timeouts: UpstreamTimeouts,
}

/// Where endpoints of a pool come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// One fixed endpoint.
    Address(SocketAddr),
    /// All A and AAAA records of a name, queried repeatedly.
    Name {
        /// Host name, without a trailing dot unless it was given.
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

impl Source {
    /// Whether its addresses must be looked up: of a name or a swarm.
    #[must_use]
    pub const fn is_looked_up(&self) -> bool {
        !matches!(self, Self::Address(_))
    }

    /// Whether it is the node list of a swarm.
    #[must_use]
    pub const fn is_swarm(&self) -> bool {
        matches!(self, Self::Swarm { .. })
    }
}

impl fmt::Display for Source {
    /// As it is written: `host:port`, or `swarm://host:port?port=port`.
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

/// The prefix of a [`Source::Swarm`].
pub(crate) const SWARM: &str = "swarm://";

/// How the endpoint of the next request is picked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// Each in turn.
    #[default]
    RoundRobin,
    /// The one with fewer active requests of two drawn at random (Mitzenmacher 2001, "The power of
    /// two choices in randomized load balancing").
    LeastRequests,
    /// Drawn at random.
    Random,
}

/// Active health checks of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthCheck {
    /// The path to request; `None` only connects.
    pub path: Option<PathAndQuery>,
    /// `Host` of the request. Default: the endpoint's address, or its source's name.
    pub host: Option<String>,
    /// The responses that pass. Default 200 to 399. Use [`Expect::Any`] behind a routing mesh, where one failing task
    /// would respond for every node.
    pub expect: Expect,
    /// Interval between two checks, plus or minus a tenth so that edges do not check in lockstep. Default 2 s.
    pub interval: Duration,
    /// The interval while the state is changing (HAProxy's `fastinter`). Default 500 ms, or `interval`
    /// if that is shorter.
    pub fast_interval: Duration,
    /// How long one check may take, including the connection. Default 1 s.
    pub timeout: Duration,
    /// Consecutive passing checks before an endpoint is used again. Default 2.
    pub rise: u32,
    /// Consecutive failing checks before an endpoint is no longer used. Default 3.
    pub fall: u32,
}

/// The statuses that pass a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Any response.
    Any,
    /// One of these inclusive ranges.
    Statuses(Vec<(u16, u16)>),
}

/// Passive ejection of endpoints that fail requests (Envoy's outlier detection).
#[derive(Clone, Debug, PartialEq)]
pub struct Ejection {
    /// Consecutive failures (refused, reset, timed out; never a status) that eject; 0 turns ejection off.
    /// Default 5.
    pub consecutive_failures: u32,
    /// How long the first ejection lasts; the n-th consecutive one lasts n times as long. Default 5 s, or
    /// `max` if that is shorter.
    pub base: Duration,
    /// The longest ejection. Default 60 s, or `base` if that is longer.
    pub max: Duration,
    /// Largest share of a pool that may be ejected at one time, 0.0 to 1.0. Default 0.5.
    pub max_share: f64,
}

/// How long the edge waits for an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// TCP connection. Default 1 s.
    pub connect: Duration,
    /// How long the endpoint's host may take to acknowledge a sent request without a body before the edge abandons the
    /// connection; an idempotent request is then retried, any other gets a 502. A machine that loses power sends
    /// nothing, and behind a mesh no check tells which connections led to it. Default 3 s.
    pub unacknowledged: Duration,
    /// From the end of the request to the response head; 504 after it. Default 30 s.
    pub response: Duration,
    /// Pause inside a response body. Default 30 s.
    pub body_idle: Duration,
    /// An idle connection is closed after this time; Swarm's mesh drops connections after 900 s. Default 30 s.
    pub idle: Duration,
    /// A connection is not reused after this age, so that new tasks behind a mesh get their share.
    /// Default 5 min.
    pub max_age: Duration,
    /// Silence in both directions of an upgraded connection. Default 1 h.
    pub tunnel_idle: Duration,
}

/// Limits on the resources of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most open client connections over all listeners and workers; further ones are closed at once.
    /// Default 20,000.
    pub max_connections: NonZeroUsize,
    /// Largest request head in bytes; a larger one gets a 431. Default 32 KiB.
    pub max_head: usize,
    /// Most header fields of a request; more get a 431. Default 100.
    pub max_headers: usize,
    /// Most concurrent HTTP/2 streams of one connection. Default 100.
    pub max_streams: u32,
}

/// How long a client may take over each step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The TLS handshake. Default 10 s.
    pub handshake: Duration,
    /// A request head, from its first byte (from connecting, for the first); 408 after it.
    /// Default 10 s.
    pub head: Duration,
    /// Silence between two requests. Default 60 s.
    pub keep_alive: Duration,
    /// Pause inside a request body, or not reading the response. Default 30 s.
    pub body_idle: Duration,
}
