//! What one line of the access log contains.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::Version;

use super::text::Text;

/// What one line tells.
#[derive(Clone, Debug)]
pub struct Record {
    /// When the request head had been read.
    pub start: SystemTime,
    /// Who asked.
    pub client: SocketAddr,
    /// Whether over TLS.
    pub tls: bool,
    /// As the client spoke.
    pub version: Version,
    /// What the request said of itself.
    pub text: Text,
    /// Of the answer that the client was sent.
    pub status: u16,
    /// Body bytes read from the client.
    pub request_bytes: u64,
    /// Body bytes written to the client.
    pub response_bytes: u64,
    /// From the request head being read to the last byte of the answer, or to giving up.
    pub duration: Duration,
    /// From the request head being read to the response head being at hand.
    pub head: Duration,
    /// The pool that the route named, if one matched.
    pub pool: Option<Arc<str>>,
    /// Who answered, or failed last.
    pub endpoint: Option<SocketAddr>,
    /// How often the request was sent to an endpoint.
    pub attempts: u8,
    /// Why the edge answered by itself, or cut the answer short.
    pub error: Option<&'static str>,
}

impl Record {
    /// Of a request that has just come, with nothing known of it.
    #[must_use]
    pub fn new(start: SystemTime) -> Self {
        Self {
            start,
            client: SocketAddr::from(([0, 0, 0, 0], 0)),
            tls: false,
            version: Version::HTTP_11,
            text: Text::default(),
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
