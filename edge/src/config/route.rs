//! Which requests go to which pool.

/// Sends matching requests to a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The hosts it matches. Default any.
    pub host: HostMatch,
    /// Path prefix, matched on whole segments: `/api` matches `/api` and `/api/x`, not `/apix`. Compared with the path
    /// as the client sent it, so a route is no access control: `/x/../api` does not match `/api` here, but the endpoint
    /// may resolve it to that. Default `/`.
    pub path: String,
    /// Index into [`Config::pools`](super::Config::pools).
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
