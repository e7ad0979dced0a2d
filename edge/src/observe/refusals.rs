//! Why a client gets no response from an endpoint, and the limit of the log lines about it.
//!
//! In an attack a worker refuses thousands of clients a second: their lines must not fill the disk, but some must
//! remain, because they name the attacker. Each reason has a limit of its own, so that many refusals of one kind do not
//! hide those of another. The counters count all of them.

use std::fmt;

use tokio::time::Instant;

use super::log_limit::LogLimit;
use crate::error::{Kind, labelled};

/// The maximum number of lines about one reason in each second.
const MAX_LINES: u32 = 10;

labelled! {
    /// Why a client gets no response from an endpoint.
    Refusal,
    /// The reason in words.
    words -> &'static str;

    /// As many connections are open as `limits.max_connections` allows.
    Connections, "max_connections", "too many connections are open";
    /// Clients make the edge hold as much as `limits.memory` allows, so it accepts no more connections.
    Memory, "memory", "no memory for another connection";
    /// The connection held much of that memory, so it was closed.
    Shed, "shed", "closed for lack of memory";
    /// The client has as many connections as `limits.connections_per_client` allows.
    ConnectionsPerClient, "connections_per_client", "the client has too many connections";
    /// The client has as many unfinished handshakes as `limits.handshakes_per_client` allows.
    HandshakesPerClient, "handshakes_per_client", "the client has too many unfinished TLS handshakes";
    /// The client has as many requests in progress as `limits.requests_per_client` allows.
    RequestsPerClient, "requests_per_client", "the client has too many requests in progress";
    /// The client sends requests faster than `limits.request_rate_per_client` allows.
    RequestRatePerClient, "request_rate_per_client", "the client sends requests too fast";
    /// The handshake did not end within `timeouts.handshake`.
    HandshakeTimeout, "handshake_timeout", "the TLS handshake took too long";
    /// The handshake failed.
    HandshakeFailed, "handshake_failed", "TLS handshake failed";
    /// The client speaks HTTP without TLS on a port for TLS.
    HttpOnTlsPort, "http_on_tls_port", "HTTP without TLS on a TLS port";
    /// The head of a request, or the first bytes of a connection, did not arrive within `timeouts.head`.
    HeadTimeout, "head_timeout", "the request head did not arrive in time";
    /// A request of an HTTP/2 connection is malformed.
    MalformedHttp2, "malformed_http2", "malformed HTTP/2 request";
    /// An HTTP/2 connection makes the edge work for nothing.
    Http2Flood, "http2_flood", "too many HTTP/2 resets, control frames or header fields";
    /// [`Kind::BadHost`].
    BadHost, "bad_host", "Host is missing, repeated or malformed, or contradicts the target";
    /// [`Kind::BadTarget`].
    BadTarget, "bad_target", "the request target cannot be forwarded";
    /// [`Kind::BadRequest`].
    BadRequest, "bad_request", "not a valid HTTP request";
    /// [`Kind::HeadTooLarge`].
    HeadTooLarge, "head_too_large", "the request head has too many or too long fields";
    /// [`Kind::TargetTooLong`].
    TargetTooLong, "target_too_long", "the request target is too long";
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

impl Refusal {
    /// The reason for an error that a request's head or framing causes; `None` for every other error.
    #[must_use]
    pub const fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::BadHost => Some(Self::BadHost),
            Kind::BadTarget => Some(Self::BadTarget),
            Kind::BadRequest => Some(Self::BadRequest),
            Kind::HeadTooLarge => Some(Self::HeadTooLarge),
            Kind::TargetTooLong => Some(Self::TargetTooLong),
            _ => None,
        }
    }
}

/// The limit for the lines of one worker.
#[derive(Debug, Default)]
pub struct RefusalLines([LogLimit<MAX_LINES>; Refusal::COUNT]);

impl RefusalLines {
    /// Whether a line about `reason` may be written now. Returns the number of lines that were omitted since the last
    /// one about it.
    pub fn admit(&self, reason: Refusal, now: Instant) -> Option<u64> {
        self.0[reason as usize].admit(now)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_flood_for_one_reason_does_not_hide_another() {
        let (lines, now) = (RefusalLines::default(), Instant::now());
        let flood = (0..1000).filter_map(|_| lines.admit(Refusal::HandshakeFailed, now)).count();
        assert_eq!(flood, 10);
        assert_eq!(lines.admit(Refusal::HeadTimeout, now), Some(0));
    }

    #[test]
    fn a_reason_is_the_index_of_its_counter_and_has_a_name_of_its_own() {
        for (index, reason) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{reason:?}");
        }
        let labels: HashSet<_> = Refusal::ALL.into_iter().map(Refusal::label).collect();
        assert_eq!(labels.len(), Refusal::COUNT);
    }

    #[test]
    fn an_error_about_a_head_has_the_same_name_as_a_reason() {
        let reasons = Kind::ALL.into_iter().filter_map(|kind| Some((kind.label(), Refusal::of(kind)?.label())));
        let reasons: Vec<_> = reasons.collect();
        assert_eq!(reasons.len(), 5);
        assert!(reasons.iter().all(|(kind, reason)| kind == reason), "{reasons:?}");
    }
}
