//! The programs that are compared.

use serde::Serialize;

/// A proxy, or a counter.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Peer {
    Edge,
    Haproxy,
    Nginx,
    Caddy,
    Pingora,
    Relay,
    /// The counter with one Redis.
    App,
    /// The counter with a Redis and its replicas.
    Replicated,
    /// A page that does not count.
    Constant,
    /// An `INCR` for each request.
    Naive,
    /// The tutorial's program under gunicorn.
    Flask,
}

impl Peer {
    /// Its name, as on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
            Self::Pingora => "pingora",
            Self::Relay => "relay",
            Self::App => "app",
            Self::Replicated => "app, replicated",
            Self::Constant => "constant",
            Self::Naive => "naive",
            Self::Flask => "flask",
        }
    }
}
