//! One request in the ledger.

use std::time::Duration;

/// A request and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Whether it is a POST; otherwise it is a GET.
    pub is_post: bool,
    /// Whether its client speaks HTTP/2.
    pub is_http2: bool,
    /// How many times an endpoint received it completely, and so may have executed it.
    pub received: usize,
    /// What the client got, unless it still waits.
    pub ended: Option<Ended>,
}

/// What the client of a request got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// A complete response with 200.
    pub is_ok: bool,
    /// The time since the request was sent, including the connection if a new one was opened.
    pub took: Duration,
    /// The status, or the error.
    pub text: String,
}
