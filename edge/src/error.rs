//! What can go wrong with one request.
//!
//! An [`Error`] states which side caused it and whether another endpoint may be tried; the code that detects the error
//! decides both. [`crate::proxy::respond`] alone decides the response to the client.

use std::error::Error as StdError;

/// A request that the edge could not forward, or a failed attempt at it.
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

impl Error {
    /// Creates an error without an underlying one.
    #[must_use]
    pub fn new(kind: Kind, retry: Retry) -> Self {
        Self { kind, retry, source: None }
    }

    /// Creates an error with its cause.
    #[must_use]
    pub fn because(kind: Kind, retry: Retry, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { kind, retry, source: Some(source.into()) }
    }
}

/// Whether the same request may be sent again (RFC 9110 section 9.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The endpoint received nothing of it: any request may be sent again.
    Unsent,
    /// The endpoint may have acted on it: idempotent requests may be sent again.
    IfIdempotent,
    /// Like [`IfIdempotent`](Self::IfIdempotent), but only once and only to another endpoint: each attempt makes the
    /// client wait again, and an endpoint that is slow for this request would be just as slow again.
    OnceElsewhere,
    /// Never: the response has begun, or the client is at fault.
    Never,
}

/// The side that caused an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The client.
    Downstream,
    /// The edge: it has no endpoint to send to, or nothing to send with.
    Edge,
    /// The endpoint.
    Upstream,
}

/// Defines an enum together with its list, its count, its labels, and one more column of its table.
macro_rules! labelled {
    (
        $(#[$enum_doc:meta])+ $enum:ident,
        $(#[$column_doc:meta])+ $column:ident -> $type:ty;
        $($(#[$doc:meta])+ $name:ident, $label:literal, $value:expr;)+
    ) => {
        $(#[$enum_doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $enum {
            $($(#[$doc])+ $name,)+
        }

        impl $enum {
            /// The number of variants.
            pub const COUNT: usize = [$($label),+].len();

            /// Every variant; `variant as usize` is its index here and in arrays of counters.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$name),+];

            /// The name in metrics and logs.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)+
                }
            }

            $(#[$column_doc])+
            #[must_use]
            pub const fn $column(self) -> $type {
                match self {
                    $(Self::$name => $value,)+
                }
            }
        }
    };
}
pub(crate) use labelled;

labelled! {
    /// What happened, in the detail that metrics and the status table need.
    Kind,
    /// The side that caused it.
    side -> Side;

    /// `Host` is missing, duplicated, malformed, or differs from the authority of the target.
    BadHost, "bad_host", Side::Downstream;
    /// The target cannot be forwarded; CONNECT is one such.
    BadTarget, "bad_target", Side::Downstream;
    /// HTTP forbids the request.
    BadRequest, "bad_request", Side::Downstream;
    /// The head has more header fields, or more bytes, than allowed.
    HeadTooLarge, "head_too_large", Side::Downstream;
    /// The client has too many requests in progress, or sends them too fast.
    TooManyRequests, "too_many_requests", Side::Downstream;
    /// The request passed through edges too often, because a pool leads back to an edge.
    Loop, "loop", Side::Edge;
    /// No route matches.
    NoRoute, "no_route", Side::Downstream;
    /// The body is larger than the route allows.
    BodyTooLarge, "body_too_large", Side::Downstream;
    /// The client stopped sending its body.
    BodyTimeout, "body_timeout", Side::Downstream;
    /// The client disconnected before the end of the response.
    ClientGone, "client_gone", Side::Downstream;
    /// No endpoint of the pool can be used.
    NoEndpoint, "no_endpoint", Side::Edge;
    /// Every usable endpoint has as many connections as allowed.
    PoolFull, "pool_full", Side::Edge;
    /// The endpoint refused the connection or could not be reached.
    Connect, "connect_failed", Side::Upstream;
    /// The endpoint did not accept a connection in time.
    ConnectTimeout, "connect_timeout", Side::Upstream;
    /// The edge has no file descriptor, port or memory for a connection to an endpoint.
    NoResources, "no_resources", Side::Edge;
    /// The endpoint closed or reset the connection before its response was complete.
    UpstreamClosed, "upstream_closed", Side::Upstream;
    /// The endpoint's response is not HTTP.
    UpstreamInvalid, "upstream_invalid", Side::Upstream;
    /// The endpoint did not respond in time.
    ResponseTimeout, "response_timeout", Side::Upstream;
    /// The target is longer than any server accepts.
    TargetTooLong, "target_too_long", Side::Downstream;
    /// The head of the endpoint's response has more header fields, or more bytes, than the pool allows.
    UpstreamHeadTooLarge, "upstream_head_too_large", Side::Upstream;
    /// The edge is short of memory.
    Overloaded, "overloaded", Side::Edge;
    /// Neither side of an upgraded connection sent a byte in time.
    TunnelTimeout, "tunnel_timeout", Side::Upstream;
    /// The path has no meaning, or servers disagree about it and so about the route.
    BadPath, "bad_path", Side::Downstream;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_the_index_of_its_counter() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index, "{kind:?}");
        }
    }
}
