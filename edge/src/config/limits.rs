//! How much of the edge's resources and time a client may use.

use std::{num::NonZeroUsize, time::Duration};

/// Limits on the resources that clients may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of open client connections over all listeners and workers; further ones are closed at once.
    /// Default 20,000.
    pub max_connections: NonZeroUsize,
    /// Maximum number of open connections of one client, which is an IPv4 address or the /64 of an IPv6 address; further
    /// ones are closed at once. 0 allows any number. Trusted proxies may have any number. Default 10,000.
    pub connections_per_client: u32,
    /// Maximum number of TLS handshakes of one client that have begun and not ended; as above. Default 1,000.
    pub handshakes_per_client: u32,
    /// Maximum number of requests of one client in progress; more get a 429. 0 allows any number, the default. The
    /// client of a request from a trusted proxy is the one that the proxy names.
    pub requests_per_client: u32,
    /// Maximum number of requests of one client per second; more get a 429. 0 allows any number, the default.
    pub request_rate_per_client: u32,
    /// How many of them may arrive at once. Default 100.
    pub request_burst_per_client: u32,
    /// Maximum size of a request head in bytes; a larger one gets a 431. Default 32 KiB.
    pub max_head: usize,
    /// Maximum number of header fields of a request; more get a 431. Default 100.
    pub max_headers: usize,
    /// Maximum number of concurrent HTTP/2 streams of one connection. Default 100.
    pub max_streams: u32,
    /// Maximum number of bytes that all clients together may make the edge hold; `None` is no limit. Default: 60 % of
    /// the process's limit or 25 % of the machine's memory, see [`default_limit`](super::memory::default_limit).
    pub memory: Option<u64>,
    /// The bytes per second that a client must send of a body, or accept of a response, so that its time does not run
    /// out; 0 if any byte restarts the timeout. Default 500, as Apache's `RequestReadTimeout` recommends.
    pub min_rate: u64,
}

impl Limits {
    /// Whether the requests of each client are counted.
    #[must_use]
    pub fn limit_requests(&self) -> bool {
        self.requests_per_client > 0 || self.request_rate_per_client > 0
    }
}

/// How long a client may take over each step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The TLS handshake. Default 10 s.
    pub handshake: Duration,
    /// A request head, from its first byte, or from the connection's start for the first one; after it, the response is
    /// 408. Default 10 s.
    pub head: Duration,
    /// Idle time between two requests. Default 60 s.
    pub keep_alive: Duration,
    /// Longest pause within a request body, or without reading the response. Default 30 s.
    pub body_idle: Duration,
}
