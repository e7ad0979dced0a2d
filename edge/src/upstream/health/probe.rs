//! One active health check of one endpoint.
//!
//! Each check opens a connection of its own. A kept connection would show how the endpoint treats old connections, not
//! whether it accepts new ones; behind a routing mesh, it would check the same task forever. The connection is closed
//! with a reset (`SO_LINGER` 0), as HAProxy does. Otherwise checks would leave thousands of sockets in TIME_WAIT on
//! this host; and a mesh that tracks connections removes a reset one from its table at once.

use std::{cell::Cell, fmt, io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::body::Incoming;
use net::client;
use tokio::{net::TcpStream, time::timeout};

use crate::{
    config::{Expect, HealthCheck},
    upstream::shortage::shortage,
};

/// The outcome of a check.
pub type Outcome = Result<Passed, Failure>;

/// A check that was answered as a working endpoint answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// The endpoint accepted the connection, and the check sends no request.
    Connected,
    /// The endpoint responded with an expected status.
    Status(StatusCode),
    /// The endpoint works, but announces that it drains: 503 with `Retry-After`.
    Draining,
}

/// A check that failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The connection failed.
    #[error("{}", .0.kind())]
    Connect(io::Error),
    /// The edge itself has no file descriptor, port or memory for a check, so nothing is known about the endpoint.
    #[error("not checked: {0}")]
    NoResources(io::Error),
    /// No connection was established within the timeout of the check.
    #[error("no connection within {0:?}")]
    ConnectTimeout(Duration),
    /// There was a connection, but no response within the timeout of the check.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The check timed out, and no request got a response meanwhile although some waited long for one.
    #[error("no answer within {0:?}, and none to requests")]
    Hung(Duration),
    /// The connection was closed or reset before the response.
    #[error("connection closed before the response")]
    Closed(#[source] hyper::Error),
    /// The response is not HTTP, or its head is too large.
    #[error("not an HTTP response: {0}")]
    Invalid(#[source] hyper::Error),
    /// The endpoint responded with an unexpected status.
    #[error("status {}", .0.as_u16())]
    Status(StatusCode),
    /// The request is not valid HTTP: the configured `Host` contains bytes that are not allowed.
    #[error("invalid request: {0}")]
    Request(#[from] http::Error),
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Status(status) => write!(f, "status {}", status.as_u16()),
            Self::Draining => f.write_str("status 503 with Retry-After"),
        }
    }
}

/// Checks the endpoint at `address` once, within the timeout of the check. `source` is the value of `Host` unless the
/// configuration sets one; the port is that of `address` unless the configuration sets one.
///
/// # Errors
/// Why the check failed.
pub async fn probe(check: &HealthCheck, address: SocketAddr, source: &str) -> Outcome {
    let mut address = address;
    if let Some(port) = check.port {
        // Everything else of it stays, the scope of a link-local address among it.
        address.set_port(port);
    }
    let connected = Cell::new(false);
    let attempt = async {
        let stream = connect(address).await.map_err(|error| match shortage(&error, address) {
            None => Failure::Connect(error),
            Some(_) => Failure::NoResources(error),
        })?;
        connected.set(true);
        match request(check, source)? {
            None => Ok(Passed::Connected),
            Some(request) => {
                let (status, retry_after) = send(stream, request).await?;
                evaluate(status, retry_after, &check.expect)
            }
        }
    };
    timeout(check.timeout, attempt).await.unwrap_or_else(|_| {
        Err(if connected.get() { Failure::Timeout(check.timeout) } else { Failure::ConnectTimeout(check.timeout) })
    })
}

/// Evaluates a status, and whether there is a `Retry-After` with it. A 503 that is expected passes even so: behind a
/// mesh, where any response passes, a task that drains says nothing about the node.
///
/// # Errors
/// [`Failure::Status`]: the status is not an expected one.
pub fn evaluate(status: StatusCode, retry_after: bool, expect: &Expect) -> Outcome {
    let is_expected = match expect {
        Expect::Any => true,
        Expect::Statuses(ranges) => ranges.iter().any(|(from, to)| (*from..=*to).contains(&status.as_u16())),
    };
    match status {
        _ if is_expected => Ok(Passed::Status(status)),
        StatusCode::SERVICE_UNAVAILABLE if retry_after => Ok(Passed::Draining),
        _ => Err(Failure::Status(status)),
    }
}

/// Connects for one request. Closing the connection resets it.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = client::connect(address).await?;
    stream.set_zero_linger()?;
    Ok(stream)
}

/// Builds the request; `None` if the check only connects.
fn request(check: &HealthCheck, source: &str) -> Result<Option<Request<Empty<Bytes>>>, http::Error> {
    let Some(path) = &check.path else { return Ok(None) };
    Request::get(Uri::from(path.clone()))
        .header(header::HOST, check.host.as_deref().unwrap_or(source))
        .header(header::USER_AGENT, "edge-health")
        .header(header::CONNECTION, "close")
        .body(Empty::new())
        .map(Some)
}

/// Sends the request and reads the head of the response, but not its body. Returns the status, and whether there is a
/// `Retry-After`.
async fn send(stream: TcpStream, request: Request<Empty<Bytes>>) -> Result<(StatusCode, bool), Failure> {
    let read =
        async |response: Response<Incoming>| (response.status(), response.headers().contains_key(header::RETRY_AFTER));
    client::exchange(stream, request, read).await.map_err(failure)
}

fn failure(error: hyper::Error) -> Failure {
    if error.is_parse() { Failure::Invalid(error) } else { Failure::Closed(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::health::state::tests::check;

    #[test]
    fn a_status_is_compared_with_inclusive_ranges() {
        let ranges = Expect::Statuses(vec![(200, 299), (404, 404)]);
        for (status, expect, good) in [
            (199, &ranges, false),
            (200, &ranges, true),
            (299, &ranges, true),
            (300, &ranges, false),
            (404, &ranges, true),
            (503, &ranges, false),
            (503, &Expect::Any, true),
            (200, &Expect::Statuses(Vec::new()), false),
        ] {
            let outcome = evaluate(StatusCode::from_u16(status).unwrap(), false, expect);
            assert_eq!(outcome.is_ok(), good, "{status} for {expect:?}");
        }
    }

    #[test]
    fn unexpected_503_with_retry_after_announces_a_drain() {
        let expected = Expect::default();
        for (status, expect, drains) in [
            (503, &expected, true),
            (500, &expected, false),
            (429, &expected, false),
            (200, &expected, false),
            (503, &Expect::Any, false),
            (503, &Expect::Statuses(vec![(200, 599)]), false),
        ] {
            let outcome = evaluate(StatusCode::from_u16(status).unwrap(), true, expect);
            assert_eq!(matches!(outcome, Ok(Passed::Draining)), drains, "{status} for {expect:?}");
        }
    }

    #[test]
    fn reasons_are_short() {
        let refused = Failure::Connect(io::Error::from_raw_os_error(111));
        for (reason, text) in [
            (refused.to_string(), "connection refused"),
            (Failure::Timeout(Duration::from_secs(1)).to_string(), "no answer within 1s"),
            (Failure::Status(StatusCode::SERVICE_UNAVAILABLE).to_string(), "status 503"),
            (Passed::Status(StatusCode::OK).to_string(), "status 200"),
            (Passed::Draining.to_string(), "status 503 with Retry-After"),
        ] {
            assert_eq!(reason, text);
        }
    }

    #[test]
    fn the_request_names_the_source_unless_a_host_is_configured() {
        let mut check = check(2, 3);
        assert!(request(&check, "tasks.web:8000").unwrap().is_none(), "connects only");
        check.path = Some("/health?x=1".parse().unwrap());
        let sent = request(&check, "tasks.web:8000").unwrap().unwrap();
        assert_eq!(sent.uri(), "/health?x=1");
        assert_eq!(sent.headers()["host"], "tasks.web:8000");
        assert_eq!(sent.headers()["user-agent"], "edge-health");
        assert_eq!(sent.headers()["connection"], "close");
        check.host = Some("example.com".to_owned());
        assert_eq!(request(&check, "tasks.web:8000").unwrap().unwrap().headers()["host"], "example.com");
        check.host = Some("a\nb".to_owned());
        assert!(request(&check, "tasks.web:8000").is_err());
    }
}
