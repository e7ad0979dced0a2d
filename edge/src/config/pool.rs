//! Pools: endpoints, and how requests are sent to them.

use std::{collections::HashMap, num::NonZeroUsize, time::Duration};

use super::{
    discovery::Discovery,
    health::{Ejection, HealthCheck, behind_mesh},
    source::{EndpointOptions, Source},
    sticky::Sticky,
};

/// A group of endpoints that serve the same content.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Its name in logs, metrics and on the status page.
    pub name: String,
    /// Where its endpoints come from, at least one.
    pub sources: Vec<Source>,
    /// The options of those sources that have any.
    pub options: HashMap<Source, EndpointOptions>,
    /// How its sources are looked up.
    pub discovery: Discovery,
    /// How the next endpoint is picked. Default round robin.
    pub balance: Balance,
    /// What [`Balance::ConsistentHash`] distributes requests by. Default the client's address.
    pub hash_key: HashKey,
    /// How many times its share of the active requests an endpoint may have before the keys that belong to it go to
    /// others, 1.0 to 100.0. Default 1.25, with which HAProxy's documentation of `hash-balance-factor` begins.
    pub hash_bound: f64,
    /// The cookie that ties a client to the endpoint that answered it first; `None`, the default, sets none.
    pub sticky: Option<Sticky>,
    /// Active health checks; `None` assumes every endpoint healthy until connecting to it fails.
    pub health: Option<HealthCheck>,
    /// Whether the endpoints are nodes whose routing mesh leads each connection to any of the replicas, so that health
    /// and balance belong to connections; see [`mesh`](crate::upstream::mesh). Default: whether a source is a swarm.
    pub mesh: bool,
    /// The field of responses that names the replica, in small letters. Used behind a mesh only. Default `x-served-by`.
    pub replica_header: String,
    /// Passive ejection after failures of real requests.
    pub ejection: Ejection,
    /// How long the weight of an endpoint that is new or recovered grows to all of it; `None`, the default, gives it at
    /// once. See [`slow_start`](crate::upstream::slow_start). Behind a mesh it has no effect.
    pub slow_start: Option<Duration>,
    /// How endpoints announce that they drain.
    pub drain: Drain,
    /// Share of usable endpoints, 0.0 to 1.0, below which health is ignored and all endpoints are used: with nearly all
    /// down, the checks are more likely wrong than the endpoints. Default 0.3. Envoy's panic threshold is 0.5, which is
    /// too high for three nodes that must survive on one.
    pub panic_threshold: f64,
    /// Share of usable endpoints of a tier, 0.0 to 1.0, below which the next tier is used as well. Default 0.0: only if
    /// none is usable, or so few that the pool would be in panic.
    pub tier_threshold: f64,
    /// The zone of this edge, such as a data centre: endpoints of the same zone get its requests. Default none: all
    /// endpoints are equal.
    pub zone: Option<String>,
    /// Share of usable endpoints of the edge's zone, 0.0 to 1.0, below which those of the other zones are used as well.
    /// Default 0.7, as Envoy's overprovisioning factor of 1.4 has it.
    pub zone_threshold: f64,
    /// Whether requests carry `Via`; if not, `CDN-Loop` replaces it. Default true, as RFC 9110 section 7.6.3 requires;
    /// but nginx compresses no response to a request with that field, unless `gzip_proxied` allows it.
    pub via: bool,
    /// How often one request may be sent in total, including the first attempt. Default 3.
    pub attempts: NonZeroUsize,
    /// The statuses of responses after which an idempotent request is sent to another endpoint, as inclusive ranges,
    /// each from 400 to 599. Default none.
    pub retry_statuses: Vec<(u16, u16)>,
    /// Maximum number of bytes of a request body that are kept, so that an idempotent request can be sent again. Default
    /// 16 KiB.
    pub replay_buffer: usize,
    /// The number of retries after an endpoint received a request, and of hedges, as a share of the requests of the last
    /// ten seconds, 0.0 to 1.0; see [`retry_budget`](crate::upstream::retry_budget). Default 0.2, as in Finagle, Envoy
    /// and linkerd.
    pub retry_budget: f64,
    /// How long a failure keeps requests that cannot be sent again from an endpoint; see
    /// [`suspicion`](crate::upstream::suspicion). 0 turns suspicion off, also that of silent endpoints. Default 10 s, as
    /// nginx's `fail_timeout`. Behind a mesh it has no effect.
    pub suspicion: Duration,
    /// The quantile of the response times, 0.0 to 1.0, after which an idempotent request without a body is sent to a
    /// second endpoint as well. Default 0.0: never.
    pub hedge: f64,
    /// Maximum number of connections to one endpoint over all workers, including idle ones. At the limit the next
    /// endpoint is tried; if all are full, the request waits. Default 4096.
    pub max_connections: NonZeroUsize,
    /// Maximum number of requests that wait for a connection, over all workers; the response to further ones is 503.
    /// Default 1024, as Envoy's `max_pending_requests`.
    pub max_queue: usize,
    /// Maximum number of idle connections kept per endpoint and worker; the timeout `idle` closes those that are no
    /// longer needed. Default 4096, the same as `max_connections`.
    pub max_idle: usize,
    /// Maximum size of a response head in bytes; the response is 502 if it is larger. Default 64 KiB.
    pub max_response_head: usize,
    /// Maximum number of header fields of a response; the response is 502 if there are more. Default 128.
    pub max_response_headers: usize,
    /// How long the edge waits for an endpoint.
    pub timeouts: UpstreamTimeouts,
}

/// How endpoints announce that they drain, so that they get no new requests. A health check that is answered with 503
/// and `Retry-After` announces it in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// The name of a response field, in lower case, that announces it, whatever its value; clients do not get the
    /// field. Default none.
    pub header: Option<String>,
    /// How long such a drain lasts in a pool without health checks; with checks, it lasts until they pass. Default
    /// 30 s.
    pub time: Duration,
}

/// Why a pool cannot tie clients or keys to endpoints.
pub(super) const TIES_TO_REPLICAS: &str = "cannot tie clients to nodes whose routing mesh leads to any replica: write the replicas, such as tasks.web:8000, \
     and mesh = false";

/// Why a pool behind a mesh has no slow start.
pub(super) const NO_SLOW_START: &str =
    "has no effect behind a mesh: the weights are those of nodes, and what is new is a replica";

/// Why a pool behind a mesh suspects no endpoints.
pub(super) const NO_SUSPICION: &str = "has no effect behind a mesh: its connections are suspected, not its nodes";

/// Whether the requests of a client, or those with the same key, all go to the same endpoint. Then the endpoints get
/// different requests, and their shares of server errors cannot be compared.
#[must_use]
pub fn ties_requests(balance: Balance, sticky: Option<&Sticky>) -> bool {
    balance == Balance::ConsistentHash || sticky.is_some()
}

/// The settings of a pool behind a mesh that would tie clients or keys to nodes: the keys in the file, and the flags.
pub(super) fn ties_to_replicas(pool: &Pool) -> impl Iterator<Item = &'static str> {
    let settings = [("sticky", pool.sticky.is_some()), ("balance", pool.balance == Balance::ConsistentHash)];
    let mesh = pool.mesh;
    settings.into_iter().filter(move |(_, is_on)| mesh && *is_on).map(|(key, _)| key)
}

/// Whether the shares of server errors of a pool's endpoints can be compared, or those of replicas.
pub(super) fn is_comparable(pool: &Pool) -> bool {
    pool.mesh
        || !(ties_requests(pool.balance, pool.sticky.as_ref()) || behind_mesh(&pool.sources, pool.health.as_ref()))
}

impl Pool {
    /// Whether requests that cannot be sent again avoid endpoints that are suspect.
    #[must_use]
    pub fn suspects(&self) -> bool {
        !self.mesh && !self.suspicion.is_zero()
    }

    /// Whether an idempotent request is sent to another endpoint after a response with this status.
    #[must_use]
    pub fn retries(&self, status: u16) -> bool {
        self.retry_statuses.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }

    /// Whether connections are asked for the health path: behind a mesh, where each leads to one replica.
    #[must_use]
    pub fn has_asks(&self) -> bool {
        self.mesh && self.health.as_ref().is_some_and(|check| check.path.is_some())
    }
}

/// How the endpoint of the next request is picked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// Each in turn, as often as its weight says.
    #[default]
    RoundRobin,
    /// The one with fewer active requests, for its weight, of two drawn at random (Mitzenmacher 2001, "The power of two
    /// choices in randomized load balancing").
    LeastRequests,
    /// The one of two drawn at random that is likely to respond sooner: by how long it took before (Finagle's peak
    /// EWMA), and by its active requests.
    PeakEwma,
    /// Drawn at random.
    Random,
    /// The one to which the request's [`HashKey`] belongs; each in turn for requests without it.
    ConsistentHash,
}

/// What consistent hashing distributes requests by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HashKey {
    /// The client's address; behind a trusted proxy, the one that it names.
    #[default]
    Client,
    /// The path, without the query.
    Path,
    /// The first header field of this name, in lower case.
    Header(String),
    /// The first cookie of this name.
    Cookie(String),
}

impl Pool {
    /// Returns the options of one of its sources.
    #[must_use]
    pub fn options_of(&self, source: &Source) -> EndpointOptions {
        self.options.get(source).cloned().unwrap_or_default()
    }
}

/// How long the edge waits for an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// To establish the TCP connection. Default 1 s.
    pub connect: Duration,
    /// How long a request waits for a connection while every usable endpoint has `max_connections`; after it, the
    /// response is 503. Zero refuses such a request at once. Default 1 s.
    pub queue: Duration,
    /// How long the endpoint's host may take to acknowledge a sent request without a body before the edge abandons the
    /// connection; an idempotent request is then retried, any other gets a 502. A machine that loses power sends
    /// nothing, and behind a mesh no health check shows which connections lead to it. Default 3 s.
    pub unacknowledged: Duration,
    /// From the end of the request to the response head; after it, the response is 504. Default 30 s.
    pub response: Duration,
    /// How long one endpoint may take for that while the request may be sent to another one. Default none: as `response`.
    pub one_try: Option<Duration>,
    /// How long all attempts together may take, with the pauses between them; after it, the response is 504. Default
    /// none.
    pub request: Option<Duration>,
    /// Longest pause within a response body whose length is declared. Default 30 s.
    pub body_idle: Duration,
    /// An idle connection is closed after this time; Swarm's mesh drops connections after 900 s. Default 30 s.
    pub idle: Duration,
    /// A connection is not reused after this age, so that new tasks behind a mesh get their share.
    /// Default 5 min.
    pub max_age: Duration,
    /// Longest silence in both directions of an upgraded connection, and longest pause within a response body without a
    /// declared length. Default 1 h.
    pub tunnel_idle: Duration,
}
