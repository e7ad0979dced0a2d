//! Answers without an endpoint.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

/// Answers every request of a route, such as with a page for maintenance or `robots.txt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Respond {
    /// From 200 to 599. Default 200.
    pub status: StatusCode,
    /// Default empty.
    pub body: Bytes,
    /// Default `text/plain; charset=utf-8`.
    pub content_type: HeaderValue,
}
