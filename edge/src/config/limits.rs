//! How much of the edge's resources and time a client may use.

use std::{num::NonZeroUsize, time::Duration};

/// Limits on the resources that clients may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of open client connections over all listeners and workers; further ones are closed at once.
    /// Default 20,000.
    pub max_connections: NonZeroUsize,
    /// Maximum size of a request head in bytes; a larger one gets a 431. Default 32 KiB.
    pub max_head: usize,
    /// Maximum number of header fields of a request; more get a 431. Default 100.
    pub max_headers: usize,
    /// Maximum number of concurrent HTTP/2 streams of one connection. Default 100.
    pub max_streams: u32,
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
