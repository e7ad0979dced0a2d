//! Which requests go to which pool, and what happens to them on the way.

use std::sync::Arc;

use super::rules::Rules;

/// Sends matching requests to a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The hosts it matches. Default any.
    pub host: HostMatch,
    /// Path prefix, matched on whole segments: `/api` matches `/api` and `/api/x`, not `/apix`. Compared with the
    /// normalized path; see [`path`](crate::protocol::path). Default `/`.
    pub path: String,
    /// Index into [`Config::pools`](super::Config::pools).
    pub pool: usize,
    /// Largest request body in bytes; a larger one gets a 413. Default unlimited: bodies are streamed, not buffered.
    pub max_body: Option<u64>,
    /// What happens to its requests and their responses. `None` if nothing does, which costs nothing.
    pub rules: Option<Arc<Rules>>,
}

impl Route {
    /// Whether its rules answer every request, so that its pool gets none.
    #[must_use]
    pub fn answers_everything(&self) -> bool {
        self.rules.as_ref().is_some_and(|rules| rules.answer_everything())
    }
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
