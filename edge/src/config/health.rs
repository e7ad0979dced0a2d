//! Active health checks and passive ejection.

use std::{path::PathBuf, time::Duration};

use http::{HeaderName, HeaderValue, Method, uri::PathAndQuery};

use super::source::Source;

/// Active health checks of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthCheck {
    /// The path to request by HTTP/1.1. Without it and without `grpc` the check only connects.
    pub path: Option<PathAndQuery>,
    /// The method of that request. Default GET, and never CONNECT.
    pub method: Method,
    /// The service to ask about by the gRPC health protocol; the empty name is the server as a whole. Default none.
    /// There is no `path` then.
    pub grpc: Option<String>,
    /// The port to connect to. Default: the endpoint's. For endpoints that report their health on another port.
    pub port: Option<u16>,
    /// `Host` or `:authority` of the request. Default: the endpoint's address, or its source's name.
    pub host: Option<String>,
    /// Further fields of the request. Default none.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The responses that pass. Default 200 to 399. Use [`Expect::Any`] behind a routing mesh, where one failing task
    /// would respond for every node.
    pub expect: Expect,
    /// A text that the first 64 KiB of the response's body must contain as well. Default none.
    pub body: Option<String>,
    /// TLS for the check alone: requests go to endpoints without. Default none.
    pub tls: Option<TlsCheck>,
    /// Interval between two checks, plus or minus a tenth so that edges do not check in lockstep. Default 2 s.
    pub interval: Duration,
    /// The interval while the state is changing (HAProxy's `fastinter`). Default 500 ms, or `interval`
    /// if that is shorter.
    pub fast_interval: Duration,
    /// The interval while the pool gets no requests, at least `interval`: it begins when the last one is that long ago,
    /// and the next one ends it (Envoy's `no_traffic_interval`). Default none: `interval`.
    pub idle_interval: Option<Duration>,
    /// How long one check may take, including the connection. Default 1 s.
    pub timeout: Duration,
    /// Consecutive passing checks before an endpoint is used again. Default 2.
    pub rise: u32,
    /// Consecutive failing checks before an endpoint is no longer used. Default 3.
    pub fall: u32,
}

/// What a check sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Nothing: it connects, and makes a handshake if it has TLS.
    Tcp,
    /// An HTTP/1.1 request.
    Http,
    /// A call of the gRPC health protocol, over HTTP/2.
    Grpc,
}

impl HealthCheck {
    /// What the check sends.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match (&self.grpc, &self.path) {
            (Some(_), _) => Protocol::Grpc,
            (None, Some(_)) => Protocol::Http,
            (None, None) => Protocol::Tcp,
        }
    }
}

/// How a check makes its TLS handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsCheck {
    /// Which certificates it accepts. Default [`Trust::System`].
    pub trust: Trust,
    /// The name that is sent (SNI), and that the certificate must have. Default: that of `host`, or of the endpoint's
    /// source, or else its address.
    pub server_name: Option<String>,
}

/// Which certificates of an endpoint a check accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those that an authority of this machine signed.
    System,
    /// Those that an authority in this PEM file signed, and those in it.
    File(PathBuf),
    /// Any.
    Any,
}

/// The statuses that pass a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Any response.
    Any,
    /// One of these inclusive ranges.
    Statuses(Vec<(u16, u16)>),
}

/// Passive ejection of endpoints that fail requests (Envoy's outlier detection), or answer with far more server errors
/// than the others.
#[derive(Clone, Debug, PartialEq)]
pub struct Ejection {
    /// Consecutive failures (refused, reset, timed out; never a status) that eject; 0 turns off all
    /// ejection, also by status. Default 5.
    pub consecutive_failures: u32,
    /// Consecutive server errors (5xx but for 501 and 505) that eject; 0, the default, turns that off. One URL that
    /// always fails, or a fault of the whole site, would eject endpoints that work: `error_share` compares them with
    /// the others instead. Behind a mesh it has no effect.
    pub consecutive_errors: u32,
    /// Share of server errors (5xx but for 501 and 505) among an endpoint's responses, 0.0 to 1.0, that ejects it if
    /// the others' share is at most half of it; 0.0 turns ejection by status off. Behind a mesh it ejects replicas and
    /// never nodes. Default 0.5, and 0.0 where nothing tells the replicas apart (see [`behind_mesh`]) or the endpoints
    /// get different requests (see [`ties_requests`](super::ties_requests)).
    pub error_share: f64,
    /// How long the first ejection lasts; the n-th consecutive one lasts n times as long. Default 5 s, or
    /// `max` if that is shorter.
    pub base: Duration,
    /// The longest ejection. Default 60 s, or `base` if that is longer.
    pub max: Duration,
    /// Largest share of a pool that may be ejected at one time, 0.0 to 1.0. Default 0.5.
    pub max_share: f64,
}

impl Ejection {
    /// Whether no endpoint is ever ejected.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.consecutive_failures == 0
    }

    /// Whether consecutive server errors eject endpoints.
    #[must_use]
    pub fn counts_errors(&self) -> bool {
        !self.is_off() && self.consecutive_errors > 0
    }

    /// Whether the share of server errors ejects endpoints.
    #[must_use]
    pub fn is_by_status(&self) -> bool {
        !self.is_off() && self.error_share > 0.0
    }
}

/// Whether the settings show that the endpoints of a pool without `mesh` lead to any task all the same: they are the
/// nodes of a swarm, or any response passes a check.
#[must_use]
pub fn behind_mesh(sources: &[Source], check: Option<&HealthCheck>) -> bool {
    sources.iter().any(Source::is_swarm) || check.is_some_and(|check| check.expect == Expect::Any)
}
