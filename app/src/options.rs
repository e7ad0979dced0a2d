//! How an app is served.

use std::{num::NonZeroUsize, time::Duration};

/// Limits on connections, and the times of the shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The maximum number of open connections; one more closes the connection that has been idle for longest.
    /// Default 2048, about 30 MB when all are idle.
    pub max_connections: NonZeroUsize,
    /// The longest a request's header may take to arrive, within a factor of two. Default 10 s.
    pub header_timeout: Duration,
    /// How long a connection may be idle between requests. Default 75 s: longer than a proxy in front keeps its idle
    /// connections, so that the proxy closes first and never sends a request on a connection that is being closed.
    pub idle_timeout: Duration,
    /// How long to keep accepting connections after readiness has failed. Default zero: a swarm removes a task from its
    /// DNS and mesh two seconds before it sends SIGTERM. If `/readyz` alone controls the traffic, use more than the
    /// prober needs to notice.
    pub drain_delay: Duration,
    /// How long open requests may take to finish after that. Default 10 s.
    pub grace: Duration,
}

impl Options {
    /// For the operators' pages, which few programs read. They are served until the visitors' pages have drained, and
    /// end immediately then.
    pub(crate) fn of_admin() -> Self {
        Self {
            max_connections: NonZeroUsize::MIN.saturating_add(63),
            drain_delay: Duration::ZERO,
            grace: Duration::from_secs(1),
            ..Self::default()
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: NonZeroUsize::MIN.saturating_add(2047),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            drain_delay: Duration::ZERO,
            grace: Duration::from_secs(10),
        }
    }
}
