//! The programs to compare.

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
    /// The counter with a Redis master, replicas and sentinels.
    Replicated,
    /// A page that does not count.
    Constant,
    /// One `INCR` per request.
    Naive,
    /// The tutorial's program under gunicorn.
    Flask,
}

impl Peer {
    /// The peer's name on the command line and in the table.
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
