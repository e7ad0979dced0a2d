//! What an edge is told to do, after parsing.
//!
//! Everything here is already checked: an address is an address, a pool that a route names exists, a
//! duration is positive. Nothing downstream of this module looks a setting up by name or finds out at
//! request time that it makes no sense. The file format lives in [`mod@file`], the command line in
//! [`flags`]; both end here, and both fill in what they were not told from [`defaults`].

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
    /// How long open requests may take to finish after SIGTERM. Default 30 s.
    pub drain: Duration,
    /// Where the status page, metrics, liveness and readiness answer; `None` turns them off.
    /// Default 127.0.0.1:9901. Not changed by a reload.
    pub admin: Option<SocketAddr>,
    /// Where one line per request goes. Default off.
    pub access_log: AccessLog,
    /// How names of endpoints are resolved.
    pub dns: Dns,
    /// How nodes of a swarm are asked for.
    pub swarm: Swarm,
    /// Downstream addresses, at least one.
    pub listeners: Vec<Listener>,
    /// Which request goes to which pool; tried by host, then by longest path prefix.
    pub routes: Vec<Route>,
    /// Groups of endpoints; a [`Route`] refers to one by its index here.
    pub pools: Vec<Arc<Pool>>,
    /// Bounds on what a client may take.
    pub limits: Limits,
    /// How long a client may take over each step.
    pub timeouts: Timeouts,
    /// Peers whose `X-Forwarded-*` and `Forwarded` are kept and added to; everybody else's are
    /// replaced. Default: nobody.
    pub trusted_proxies: Vec<IpNet>,
}

/// Where the access log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    #[default]
    Off,
    /// To standard output.
    Stdout,
    /// Appended to a file, which SIGHUP opens anew (log rotation).
    File(PathBuf),
}

/// How names of endpoints are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Name servers to ask; empty means those of `/etc/resolv.conf`. Default empty.
    pub servers: Vec<SocketAddr>,
    /// Pause between two questions for one name, whatever TTL the answer had: Docker answers with
    /// 600 s and changes its mind within one. Default 1 s.
    pub interval: Duration,
    /// How long one question may take, all servers and the TCP fall-back included. Default 2 s.
    pub timeout: Duration,
}

/// How nodes of a swarm are asked for, by every [`Source::Swarm`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swarm {
    /// Holds the token that is shown to `watch`; see [`token`]. Default none.
    pub token_file: Option<PathBuf>,
}

/// One address that clients connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address; port 0 lets the kernel choose.
    pub address: SocketAddr,
    /// Bind even though this host does not have the address yet (`IP_FREEBIND`). Default false.
    pub freebind: bool,
    /// TLS on this address, with ALPN `h2` and `http/1.1`. Default none: plain HTTP/1.1 and h2c by
    /// prior knowledge.
    pub tls: Option<Tls>,
}

/// Which certificates a listener presents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Chosen by SNI; the first one answers a client that sends no name or an unknown one.
    pub certificates: Vec<CertificateFiles>,
    /// Names of the certificate the edge makes itself while `certificates` is empty, so that port 443
    /// answers from the first minute. Browsers warn about it.
    pub self_signed: Vec<String>,
}

/// A certificate chain and its key, PEM, read again when either file changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// Sends what matches to a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Which hosts. Default any.
    pub host: HostMatch,
    /// Path prefix, matched on whole segments: `/api` matches `/api` and `/api/x`, not `/apix`. Compared
    /// as the client sent it, so a route keeps nobody out: `/x/../api` is none of `/api`'s here, but may
    /// be the endpoint's idea of it.
    /// Default `/`.
    pub path: String,
    /// Index into [`Config::pools`].
    pub pool: usize,
    /// Largest request body in bytes, answered 413 above. Default unlimited: bodies are streamed,
    /// never held.
    pub max_body: Option<u64>,
}

/// The host part of a route; compared without the port and without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostMatch {
    /// Every host, also none.
    Any,
    /// This host, lower case.
    Exact(String),
    /// `*.example.com`, kept as `example.com`: any number of labels in front of it, at least one.
    Suffix(String),
}

/// A group of endpoints that serve the same thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Its name in logs, metrics and on the status page.
    pub name: String,
    /// Where its endpoints come from, at least one.
    pub sources: Vec<Source>,
    /// Who gets the next request. Default round robin.
    pub balance: Balance,
    /// Active health checks; `None` trusts every endpoint until connecting to it fails.
    pub health: Option<HealthCheck>,
    /// Passive ejection after failures of real requests.
    pub ejection: Ejection,
    /// Share of usable endpoints, 0.0 to 1.0, below which health is ignored and all are used: with
    /// nearly all down the checks are more likely wrong than the endpoints. Default 0.3. After
    /// Envoy's panic threshold, which is 0.5: too much for three nodes that are to survive on one.
    pub panic_threshold: f64,
    /// How often one request may be sent in all, the first time included. Default 3.
    pub attempts: NonZeroUsize,
    /// Connections to one endpoint, over all workers, idle ones included; beyond it the next endpoint is
    /// tried and when all are full the answer is 503. Default 4096.
    pub max_connections: NonZeroUsize,
    /// Idle connections kept per endpoint and worker; `idle` ends those that are not needed any more.
    /// Default 4096, as many as may be open.
    pub max_idle: usize,
    /// How long the edge waits for an endpoint.
    pub timeouts: UpstreamTimeouts,
}

/// Where endpoints of a pool come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// One fixed endpoint.
    Address(SocketAddr),
    /// All A and AAAA records of a name, asked again and again.
    Name {
        /// Host name, without a trailing dot unless it was given.
        host: String,
        /// Port of all its endpoints.
        port: u16,
    },
    /// Every ready node of a swarm, as a `watch` in it knows them.
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
    /// Whether it has no address of its own: names are resolved, swarms asked.
    #[must_use]
    pub const fn is_looked_up(&self) -> bool {
        !matches!(self, Self::Address(_))
    }

    /// Whether a swarm is asked for its nodes.
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

/// What a [`Source::Swarm`] begins with.
pub(crate) const SWARM: &str = "swarm://";

/// Who gets the next request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// Each in turn.
    #[default]
    RoundRobin,
    /// The one with fewer requests under way of two drawn at random (Mitzenmacher 2001, "The power of
    /// two choices in randomized load balancing").
    LeastRequests,
    /// Drawn at random.
    Random,
}

/// Active health checks of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthCheck {
    /// What is asked; `None` only connects.
    pub path: Option<PathAndQuery>,
    /// `Host` of the question. Default: the endpoint's address, or its source's name.
    pub host: Option<String>,
    /// Which answers are good. Default 200 to 399. Use [`Expect::Any`] behind a routing mesh, where
    /// one bad task would answer for every node.
    pub expect: Expect,
    /// Pause between two checks, give or take a tenth so that edges do not march in step. Default 2 s.
    pub interval: Duration,
    /// The pause while the state is changing (HAProxy's `fastinter`). Default 500 ms, or `interval`
    /// if that is shorter.
    pub fast_interval: Duration,
    /// How long one check may take, connecting included. Default 1 s.
    pub timeout: Duration,
    /// Good checks in a row before an endpoint is used again. Default 2.
    pub rise: u32,
    /// Bad checks in a row before it is not used. Default 3.
    pub fall: u32,
}

/// Which status of a check's answer is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Any answer at all.
    Any,
    /// One of these inclusive ranges.
    Statuses(Vec<(u16, u16)>),
}

/// Passive ejection: what real requests say about an endpoint (after Envoy's outlier detection).
#[derive(Clone, Debug, PartialEq)]
pub struct Ejection {
    /// Failures in a row (refused, reset, timed out; never a status) that eject; 0 turns ejection off.
    /// Default 5.
    pub consecutive_failures: u32,
    /// How long the first ejection lasts; the n-th in a row lasts n times as long. Default 5 s, or
    /// `max` if that is shorter.
    pub base: Duration,
    /// No ejection lasts longer. Default 60 s, or `base` if that is longer.
    pub max: Duration,
    /// Largest share of a pool that may be ejected at one time, 0.0 to 1.0. Default 0.5.
    pub max_share: f64,
}

/// How long the edge waits for an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// TCP connection. Default 1 s.
    pub connect: Duration,
    /// What is sent of a request without a body has to be acknowledged by the endpoint's host within it, or the
    /// connection is given up; an idempotent request is sent again, for any other the answer is 502. A machine that
    /// lost its power says nothing, and behind a mesh no check tells which of its connections led there. Default 3 s.
    pub unacknowledged: Duration,
    /// From the request being sent to the response head; 504 after it. Default 30 s.
    pub response: Duration,
    /// Pause inside a response body. Default 30 s.
    pub body_idle: Duration,
    /// An unused connection is closed after it; Swarm's mesh forgets them after 900 s. Default 30 s.
    pub idle: Duration,
    /// A connection is not used again after it, so that new tasks behind a mesh get their share.
    /// Default 5 min.
    pub max_age: Duration,
    /// Silence in both directions of an upgraded connection. Default 1 h.
    pub tunnel_idle: Duration,
}

/// Bounds on what a client may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open client connections over all listeners and workers; beyond it new ones are closed at once.
    /// Default 20,000.
    pub max_connections: NonZeroUsize,
    /// Bytes of a request head; 431 above. Default 32 KiB.
    pub max_head: usize,
    /// Header fields of a request; 431 above. Default 100.
    pub max_headers: usize,
    /// HTTP/2 streams of one connection at a time. Default 100.
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
