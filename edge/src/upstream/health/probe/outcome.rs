//! What checks find, in words for the status page and the log.

use std::{error::Error, fmt, io, time::Duration};

use http::StatusCode;

use super::answer::Answer;

/// The longest text of an error that an endpoint can influence, in characters.
const MAX_TEXT: usize = 200;

/// The outcome of a check.
pub type Outcome = Result<Passed, Failure>;

/// A check that was answered as a working endpoint answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// The endpoint accepted the connection, and the check sends no request.
    Connected,
    /// The TLS handshake completed, and the check sends no request.
    Handshake,
    /// The endpoint responded with an expected status, and with the expected body if there is one.
    Status(StatusCode),
    /// The endpoint answered by the gRPC health protocol.
    Grpc(Answer),
    /// The endpoint works, but announces that it drains: 503 with `Retry-After`.
    Draining,
}

/// A check that failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The connection failed.
    #[error("{}", cause(.0))]
    Connect(io::Error),
    /// The edge itself has no file descriptor, port or memory for a check, so nothing is known about the endpoint.
    #[error("not checked: {0}")]
    NoResources(io::Error),
    /// No connection was established within the timeout of the check.
    #[error("no connection within {0:?}")]
    ConnectTimeout(Duration),
    /// There was a connection, but no TLS handshake within the timeout of the check.
    #[error("no TLS handshake within {0:?}")]
    HandshakeTimeout(Duration),
    /// There was a connection, but no response within the timeout of the check.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The response did not show within the timeout of the check whether its body contains the expected text.
    #[error("status {}, but neither {text:?} nor the end of the body within {timeout:?}", .status.as_u16())]
    BodyTimeout {
        /// The status, an expected one.
        status: StatusCode,
        /// The expected text.
        text: String,
        /// The timeout.
        timeout: Duration,
    },
    /// The check timed out, and no request got a response meanwhile although some waited long for one.
    #[error("no answer within {0:?}, and none to requests")]
    Hung(Duration),
    /// The connection was closed or reset before the response.
    #[error("connection {} before the response", how_closed(.0.as_ref()))]
    Closed(#[source] Box<dyn Error + Send + Sync>),
    /// The response is not HTTP, or its head is too large.
    #[error("not an HTTP response: {0}")]
    Invalid(#[source] hyper::Error),
    /// The endpoint responded with an unexpected status.
    #[error("status {}", .0.as_u16())]
    Status(StatusCode),
    /// The status is an expected one, but the body does not contain the expected text.
    #[error("status {}, but {text:?} is not in the {} of the body", .status.as_u16(), searched(*.read, *.whole))]
    Body {
        /// The status.
        status: StatusCode,
        /// The expected text.
        text: String,
        /// The number of bytes of the body that were searched.
        read: usize,
        /// Whether the body ended with them.
        whole: bool,
    },
    /// The status is an expected one, but the body broke off before the expected text.
    #[error("status {}, but the body broke off after {read} bytes, without {text:?}", .status.as_u16())]
    BodyBroken {
        /// The status.
        status: StatusCode,
        /// The expected text.
        text: String,
        /// The number of bytes of the body that were searched.
        read: usize,
    },
    /// The TLS handshake failed, or the certificate is not accepted.
    #[error("TLS: {}", tls_cause(.0))]
    Tls(io::Error),
    /// The name of the endpoint cannot be in a certificate.
    #[error("TLS: {0:?} is not the name of a server: set server_name")]
    ServerName(String),
    /// The edge cannot make TLS handshakes with this configuration, so nothing was sent.
    #[error("TLS: {0}")]
    NoTls(String),
    /// The answer by gRPC says that the service is not serving, or that there is none.
    #[error("{0}")]
    Grpc(Answer),
    /// The response is HTTP/2, but not gRPC.
    #[error("not a gRPC response: {0}")]
    NotGrpc(&'static str),
    /// The endpoint does not speak HTTP/2, or ended the exchange.
    #[error("HTTP/2: {}", bounded(.0))]
    Http2(#[source] h2::Error),
    /// The request is not valid HTTP: the configured `Host` contains bytes that are not allowed.
    #[error("invalid request: {0}")]
    Request(#[from] http::Error),
}

/// How far a check is, to say what its timeout ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// It connects.
    Connect,
    /// It makes a TLS handshake.
    Handshake,
    /// It waits for an answer.
    Answer,
    /// It reads the body of a response with this status.
    Body(StatusCode),
}

impl Step {
    /// Returns the failure of a check whose timeout ended this step. `text` is the one that the body must contain.
    pub(super) fn timed_out(self, timeout: Duration, text: Option<&str>) -> Failure {
        match self {
            Self::Connect => Failure::ConnectTimeout(timeout),
            Self::Handshake => Failure::HandshakeTimeout(timeout),
            Self::Answer => Failure::Timeout(timeout),
            Self::Body(status) => Failure::BodyTimeout { status, text: text.unwrap_or_default().to_owned(), timeout },
        }
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Handshake => f.write_str("TLS handshake completed"),
            Self::Status(status) => write!(f, "status {}", status.as_u16()),
            Self::Grpc(answer) => answer.fmt(f),
            Self::Draining => f.write_str("status 503 with Retry-After"),
        }
    }
}

/// Names the kind of an error, or else the error itself: the standard library has no kind for many of them.
fn cause(error: &io::Error) -> String {
    let kind = error.kind().to_string();
    if ["other error", "uncategorized error"].contains(&kind.as_str()) { bounded(error) } else { kind }
}

fn tls_cause(error: &io::Error) -> String {
    match error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidMessage(_)) => "the response is not TLS".to_owned(),
        Some(error) => bounded(error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "connection closed during the handshake".to_owned(),
        None => format!("{} during the handshake", cause(error)),
    }
}

fn how_closed(error: &(dyn Error + Send + Sync + 'static)) -> &'static str {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::ConnectionReset) {
            return "reset";
        }
        next = error.source();
    }
    "closed"
}

fn searched(read: usize, whole: bool) -> String {
    if whole { format!("{read} bytes") } else { format!("first {read} bytes") }
}

/// Formats an error that may quote what an endpoint sent.
fn bounded(error: &impl fmt::Display) -> String {
    let text = error.to_string();
    let clean = text.chars().map(|c| if c.is_control() { '?' } else { c });
    let mut bounded: String = clean.take(MAX_TEXT).collect();
    if text.chars().nth(MAX_TEXT).is_some() {
        bounded.push('…');
    }
    bounded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_short_and_precise() {
        let (ok, text) = (StatusCode::OK, "ready".to_owned());
        let os = io::Error::from_raw_os_error;
        let tls = |error| Failure::Tls(io::Error::new(io::ErrorKind::InvalidData, error));
        let second = Duration::from_secs(1);
        for (reason, expected) in [
            (Failure::Connect(os(111)), "connection refused"),
            (Failure::Connect(os(113)), "host unreachable"),
            // There is no kind for it: "Exec format error".
            (Failure::Connect(os(8)), "Exec format error (os error 8)"),
            (Failure::Timeout(second), "no answer within 1s"),
            (Failure::HandshakeTimeout(second), "no TLS handshake within 1s"),
            (Failure::Closed(Box::new(os(104))), "connection reset before the response"),
            (Failure::Closed(Box::new(os(32))), "connection closed before the response"),
            (Failure::Status(StatusCode::SERVICE_UNAVAILABLE), "status 503"),
            (
                Failure::Body { status: ok, text: text.clone(), read: 12, whole: true },
                "status 200, but \"ready\" is not in the 12 bytes of the body",
            ),
            (
                Failure::Body { status: ok, text: text.clone(), read: 65536, whole: false },
                "status 200, but \"ready\" is not in the first 65536 bytes of the body",
            ),
            (
                Failure::BodyBroken { status: ok, text: text.clone(), read: 3 },
                "status 200, but the body broke off after 3 bytes, without \"ready\"",
            ),
            (
                Failure::BodyTimeout { status: ok, text, timeout: second },
                "status 200, but neither \"ready\" nor the end of the body within 1s",
            ),
            (Failure::ServerName("a b".to_owned()), "TLS: \"a b\" is not the name of a server: set server_name"),
            (
                tls(rustls::Error::General("a\nb".repeat(100))),
                &*format!("TLS: unexpected error: {}…", &"a?b".repeat(100)[..182]),
            ),
            (Failure::Tls(os(104)), "TLS: connection reset during the handshake"),
            (Failure::Tls(io::ErrorKind::UnexpectedEof.into()), "TLS: connection closed during the handshake"),
        ] {
            assert_eq!(reason.to_string(), expected);
        }
        assert_eq!(Passed::Status(ok).to_string(), "status 200");
        assert_eq!(Passed::Draining.to_string(), "status 503 with Retry-After");
    }
}
