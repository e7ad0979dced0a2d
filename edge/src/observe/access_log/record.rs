//! The content of one line of the access log.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::Version;

use super::request_text::RequestText;

/// One request, as logged in one line.
#[derive(Clone, Debug)]
pub struct Record {
    /// When the head of the request was read.
    pub start: SystemTime,
    /// The address of the client.
    pub client: SocketAddr,
    /// Whether the client used TLS.
    pub tls: bool,
    /// The HTTP version of the request.
    pub version: Version,
    /// The method, target, user agent and host.
    pub text: RequestText,
    /// The status sent to the client; 0 if none was sent.
    pub status: u16,
    /// The bytes of the request body received from the client.
    pub request_bytes: u64,
    /// The bytes of the response body sent to the client.
    pub response_bytes: u64,
    /// The time from reading the head of the request to the last byte of the response, or to the failure.
    pub duration: Duration,
    /// The time from reading the head of the request to having the head of the response.
    pub head: Duration,
    /// The pool of the matching route, if any.
    pub pool: Option<Arc<str>>,
    /// The endpoint that responded, or that failed last.
    pub endpoint: Option<SocketAddr>,
    /// The number of attempts to send the request to an endpoint.
    pub attempts: u8,
    /// Why the edge replied itself, or did not complete the response.
    pub error: Option<&'static str>,
}

impl Record {
    /// The record of a request whose head was read at `start`; everything else is unknown.
    #[must_use]
    pub fn new(start: SystemTime) -> Self {
        Self {
            start,
            client: SocketAddr::from(([0, 0, 0, 0], 0)),
            tls: false,
            version: Version::HTTP_11,
            text: RequestText::default(),
            status: 0,
            request_bytes: 0,
            response_bytes: 0,
            duration: Duration::ZERO,
            head: Duration::ZERO,
            pool: None,
            endpoint: None,
            attempts: 0,
            error: None,
        }
    }
}
