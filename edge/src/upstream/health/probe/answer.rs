//! What an endpoint answered by the gRPC health protocol.

use std::fmt;

use http::StatusCode;

/// What the endpoint answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The `ServingStatus` of the service.
    Serving(u64),
    /// The call failed with this status of gRPC, such as 5 for an unknown service or 12 for a server without the health
    /// service.
    Code(u32),
    /// The response is not one of gRPC, and has this status.
    Http(StatusCode),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |names: &[&'static str], number: u64| -> &'static str {
            usize::try_from(number).ok().and_then(|number| names.get(number).copied()).unwrap_or("no known one")
        };
        match self {
            Self::Serving(status) if *status < SERVING_STATUSES.len() as u64 => {
                f.write_str(name(&SERVING_STATUSES, *status))
            }
            Self::Serving(status) => write!(f, "serving status {status}"),
            Self::Code(code) => write!(f, "gRPC status {code}, {}", name(&CODES, (*code).into())),
            Self::Http(status) => write!(f, "status {} instead of gRPC", status.as_u16()),
        }
    }
}

/// The names of `ServingStatus`.
const SERVING_STATUSES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/// The names of the statuses (github.com/grpc/grpc, doc/statuscodes.md).
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
