//! Answers without an endpoint.

use std::path::PathBuf;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

/// Answers every request of a route, such as with a page for maintenance or `robots.txt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Respond {
    /// From 200 to 599, except 205 and 304. Default 200.
    pub status: StatusCode,
    /// Default empty.
    pub body: Body,
    /// Default by the extension of the file, else `text/plain; charset=utf-8`.
    pub content_type: HeaderValue,
}

/// A body of the edge's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// This text.
    Text(Bytes),
    /// What the file contains, at most 1 MiB.
    File(PathBuf),
}
