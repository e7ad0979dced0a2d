//! Every default. `docs/edge.md` lists them too; a test compares it with these.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    sync::Arc,
    thread,
    time::Duration,
};

use http::Method;

use super::{
    AccessLog, Balance, Config, Discovery, Dns, Drain, Ejection, EndpointOptions, Expect, HashKey, HealthCheck,
    HostMatch, Interval, Limits, Listener, Pool, Route, Source, Swarm, Timeouts, TlsCheck, Trust, UpstreamTimeouts,
    memory,
};

/// The default address of the admin listener, reachable from this machine only.
pub const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);

/// The default port of a name server.
pub const NAME_SERVER_PORT: u16 = 53;

/// The default port of a name server that is queried over TLS (RFC 7858 section 3.1).
pub const DNS_OVER_TLS_PORT: u16 = 853;

/// The default shortest interval between two lookups that follow the TTL.
pub const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// The default longest interval between two lookups that follow the TTL.
pub const MAX_INTERVAL: Duration = Duration::from_secs(60);

/// The default field of responses that names the replica.
pub const REPLICA_HEADER: &str = "x-served-by";

/// Returns the default names in a self-signed certificate.
#[must_use]
pub fn self_signed() -> Vec<String> {
    vec!["localhost".to_owned()]
}

impl Config {
    /// Creates a configuration that sends all requests from `listeners` to `pool`, with defaults otherwise.
    #[must_use]
    pub fn simple(listeners: Vec<Listener>, pool: Pool) -> Self {
        Self {
            workers: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            drain: Duration::from_secs(30),
            drain_delay: Duration::ZERO,
            takeover: None,
            admin: Some(ADMIN),
            admin_token_file: None,
            access_log: AccessLog::default(),
            dns: Dns::default(),
            resolvers: BTreeMap::new(),
            swarm: Swarm::default(),
            listeners,
            routes: vec![Route::to(0)],
            pools: vec![Arc::new(pool)],
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            trusted_proxies: Vec::new(),
        }
    }
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            tls_name: None,
            ca_file: None,
            interval: Interval::Fixed(Duration::from_secs(1)),
            timeout: Duration::from_secs(2),
        }
    }
}

impl Listener {
    /// Creates a listener for plain HTTP without `freebind` and `reuse_port`.
    #[must_use]
    pub const fn plain(address: SocketAddr) -> Self {
        Self { address, freebind: false, reuse_port: false, tls: None }
    }
}

impl Route {
    /// Creates a route from every host and path to the pool at this index of [`Config::pools`].
    #[must_use]
    pub fn to(pool: usize) -> Self {
        Self { host: HostMatch::Any, path: "/".to_owned(), pool, max_body: None, rules: None }
    }
}

impl Pool {
    /// Creates a pool of these sources, whose health checks only connect.
    #[must_use]
    pub fn new(name: impl Into<String>, sources: Vec<Source>) -> Self {
        Self {
            name: name.into(),
            mesh: sources.iter().any(Source::is_swarm),
            replica_header: REPLICA_HEADER.to_owned(),
            sources,
            options: HashMap::new(),
            discovery: Discovery::default(),
            balance: Balance::default(),
            hash_key: HashKey::default(),
            hash_bound: 1.25,
            sticky: None,
            health: Some(HealthCheck::default()),
            ejection: Ejection::default(),
            slow_start: None,
            drain: Drain::default(),
            panic_threshold: 0.3,
            tier_threshold: 0.0,
            zone: None,
            zone_threshold: 0.7,
            via: true,
            attempts: at_least_one(3),
            retry_statuses: Vec::new(),
            replay_buffer: 16 * 1024,
            retry_budget: 0.2,
            suspicion: Duration::from_secs(10),
            hedge: 0.0,
            max_connections: at_least_one(4096),
            max_queue: 1024,
            max_idle: 4096,
            max_response_head: 64 * 1024,
            max_response_headers: 128,
            timeouts: UpstreamTimeouts::default(),
        }
    }
}

impl Default for EndpointOptions {
    fn default() -> Self {
        Self { weight: 1, tier: 1, zone: None }
    }
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self {
            path: None,
            method: Method::GET,
            grpc: None,
            port: None,
            host: None,
            headers: Vec::new(),
            expect: Expect::default(),
            body: None,
            tls: None,
            interval: Duration::from_secs(2),
            fast_interval: Duration::from_millis(500),
            idle_interval: None,
            timeout: Duration::from_secs(1),
            rise: 2,
            fall: 3,
        }
    }
}

impl Default for TlsCheck {
    fn default() -> Self {
        Self { trust: Trust::System, server_name: None }
    }
}

impl Default for Expect {
    fn default() -> Self {
        Self::Statuses(vec![(200, 399)])
    }
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            consecutive_errors: 0,
            error_share: 0.5,
            base: Duration::from_secs(5),
            max: Duration::from_secs(60),
            max_share: 0.5,
        }
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self { header: None, time: Duration::from_secs(30) }
    }
}

impl Default for UpstreamTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            queue: Duration::from_secs(1),
            unacknowledged: Duration::from_secs(3),
            response: Duration::from_secs(30),
            one_try: None,
            request: None,
            body_idle: Duration::from_secs(30),
            idle: Duration::from_secs(30),
            max_age: Duration::from_secs(5 * 60),
            tunnel_idle: Duration::from_secs(60 * 60),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: at_least_one(20_000),
            connections_per_client: 10_000,
            handshakes_per_client: 1_000,
            requests_per_client: 0,
            request_rate_per_client: 0,
            request_burst_per_client: 100,
            max_head: 32 * 1024,
            max_headers: 100,
            max_streams: 100,
            memory: Some(memory::default_limit()),
            min_rate: 500,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            keep_alive: Duration::from_secs(60),
            body_idle: Duration::from_secs(30),
        }
    }
}

/// Converts a constant above zero.
const fn at_least_one(number: usize) -> NonZeroUsize {
    match NonZeroUsize::new(number) {
        Some(number) => number,
        None => NonZeroUsize::MIN,
    }
}
