//! A response that a rule makes.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

/// A whole response without an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The name of the rule in the access log.
    pub label: &'static str,
    /// The status.
    pub status: StatusCode,
    /// The fields, except those about the body's length and the connection.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
}
