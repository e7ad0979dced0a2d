//! What can go wrong with one request.
//!
//! Whose fault it is and whether another endpoint may be tried are data in the error, decided where it
//! happens; what the client is told is decided in one place, [`crate::proxy::respond`].

use std::error::Error as StdError;

/// A request that the edge could not forward, or an attempt at it.
#[derive(Debug, thiserror::Error)]
#[error("{}", kind.label())]
pub struct Error {
    /// What happened.
    pub kind: Kind,
    /// Whether the same request may be sent to another endpoint.
    pub retry: Retry,
    /// The underlying error, for the log.
    #[source]
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

/// Whether the same request may be sent again (RFC 9110 section 9.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The endpoint has seen nothing of it: any request may.
    Unsent,
    /// The endpoint may have acted on it: idempotent requests may.
    IfIdempotent,
    /// Never: the answer has begun, or it was the client's fault.
    Never,
}

/// What happened, finely enough for metrics and for the status table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `Host` missing, twice, malformed, or different from the authority of the target.
    BadHost,
    /// A target that cannot be forwarded, CONNECT among them.
    BadTarget,
    /// A request that HTTP forbids.
    BadRequest,
    /// More header fields, or more bytes of them, than allowed.
    HeadTooLarge,
    /// The request has passed an edge too often: a pool leads back to one.
    Loop,
    /// No route matches.
    NoRoute,
    /// The body is larger than the route allows.
    BodyTooLarge,
    /// The client stopped sending its body.
    BodyTimeout,
    /// The client went away before its answer.
    ClientGone,
    /// No endpoint of the pool can be used.
    NoEndpoint,
    /// Every usable endpoint has as many connections as allowed.
    PoolFull,
    /// The endpoint refused the connection or could not be reached.
    Connect,
    /// The endpoint did not accept a connection in time.
    ConnectTimeout,
    /// The endpoint closed or reset before it answered.
    UpstreamClosed,
    /// The endpoint's answer is not HTTP.
    UpstreamInvalid,
    /// The endpoint did not answer in time.
    ResponseTimeout,
    /// A target that is longer than any server takes.
    TargetTooLong,
    /// No error: the client asked for the edge itself; see [`crate::proxy::max_forwards`].
    NoFurther,
}

impl Kind {
    /// How many kinds there are.
    pub const COUNT: usize = 18;

    /// All of them, in the order that counters are kept in.
    pub const ALL: [Self; Self::COUNT] = [
        Self::BadHost,
        Self::BadTarget,
        Self::BadRequest,
        Self::HeadTooLarge,
        Self::Loop,
        Self::NoRoute,
        Self::BodyTooLarge,
        Self::BodyTimeout,
        Self::ClientGone,
        Self::NoEndpoint,
        Self::PoolFull,
        Self::Connect,
        Self::ConnectTimeout,
        Self::UpstreamClosed,
        Self::UpstreamInvalid,
        Self::ResponseTimeout,
        Self::TargetTooLong,
        Self::NoFurther,
    ];

    /// Its name in metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::BadHost => "bad_host",
            Self::BadTarget => "bad_target",
            Self::BadRequest => "bad_request",
            Self::HeadTooLarge => "head_too_large",
            Self::Loop => "loop",
            Self::NoRoute => "no_route",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::ClientGone => "client_gone",
            Self::NoEndpoint => "no_endpoint",
            Self::PoolFull => "pool_full",
            Self::Connect => "connect_failed",
            Self::ConnectTimeout => "connect_timeout",
            Self::UpstreamClosed => "upstream_closed",
            Self::UpstreamInvalid => "upstream_invalid",
            Self::ResponseTimeout => "response_timeout",
            Self::TargetTooLong => "target_too_long",
            Self::NoFurther => "max_forwards",
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub const fn side(self) -> Side {
        match self {
            Self::BadHost
            | Self::BadTarget
            | Self::BadRequest
            | Self::HeadTooLarge
            | Self::TargetTooLong
            | Self::NoRoute
            | Self::BodyTooLarge
            | Self::BodyTimeout
            | Self::ClientGone => Side::Downstream,
            Self::Loop | Self::NoEndpoint | Self::PoolFull | Self::NoFurther => Side::Edge,
            Self::Connect
            | Self::ConnectTimeout
            | Self::UpstreamClosed
            | Self::UpstreamInvalid
            | Self::ResponseTimeout => Side::Upstream,
        }
    }
}

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client's.
    Downstream,
    /// Ours: the edge has nobody to ask.
    Edge,
    /// The endpoint's.
    Upstream,
}

impl Error {
    /// An error without an underlying one.
    #[must_use]
    pub fn new(kind: Kind, retry: Retry) -> Self {
        Self { kind, retry, source: None }
    }

    /// An error with its cause.
    #[must_use]
    pub fn because(kind: Kind, retry: Retry, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { kind, retry, source: Some(source.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_follow_the_order_of_the_kinds() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index, "{kind:?}");
        }
    }
}
