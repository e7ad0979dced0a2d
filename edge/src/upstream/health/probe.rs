//! One active health check of one endpoint.
//!
//! Each check opens a connection of its own. A kept one would say how the endpoint treats old
//! connections, not whether it accepts new ones; behind a routing mesh it would ask the same task for
//! ever. It is closed with a reset (`SO_LINGER` 0), as HAProxy does: checks would otherwise leave
//! thousands of sockets in TIME_WAIT here, and a mesh that tracks connections forgets it at once.

use std::{fmt, io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::Empty;
use net::client;
use tokio::{net::TcpStream, time::timeout};

use crate::config::{Expect, HealthCheck};

/// How a check ended.
pub type Outcome = Result<Passed, Failure>;

/// A check that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// The endpoint accepted the connection, and that was all that was asked.
    Connected,
    /// The endpoint answered with a status that is good.
    Status(StatusCode),
}

/// A check that failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The connection could not be made.
    #[error("{}", .0.kind())]
    Connect(io::Error),
    /// Connecting and answering took too long; the limit.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The connection was closed or reset before the answer.
    #[error("closed before it answered")]
    Closed(#[source] hyper::Error),
    /// The answer is not HTTP, or its head is too large.
    #[error("not an HTTP answer: {0}")]
    Invalid(#[source] hyper::Error),
    /// The endpoint answered with a status that is not good.
    #[error("status {}", .0.as_u16())]
    Status(StatusCode),
    /// The question itself cannot be put into HTTP: the configured `Host` has bytes that it must not.
    #[error("cannot ask: {0}")]
    Question(#[from] http::Error),
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Status(status) => write!(f, "status {}", status.as_u16()),
        }
    }
}

/// Checks the endpoint at `address` once, within the time-out of the check. `source` is what `Host`
/// says unless the configuration has another one.
///
/// # Errors
/// Why the check failed.
pub async fn probe(check: &HealthCheck, address: SocketAddr, source: &str) -> Outcome {
    let whole = async {
        let stream = connect(address).await.map_err(Failure::Connect)?;
        match request(check, source)? {
            None => Ok(Passed::Connected),
            Some(request) => judge(ask(stream, request).await?, &check.expect),
        }
    };
    timeout(check.timeout, whole).await.unwrap_or(Err(Failure::Timeout(check.timeout)))
}

/// Whether a status is a good answer.
///
/// # Errors
/// [`Failure::Status`] if it is not.
pub fn judge(status: StatusCode, expect: &Expect) -> Outcome {
    let good = match expect {
        Expect::Any => true,
        Expect::Statuses(ranges) => ranges.iter().any(|(from, to)| (*from..=*to).contains(&status.as_u16())),
    };
    if good { Ok(Passed::Status(status)) } else { Err(Failure::Status(status)) }
}

/// Connects for one question; closing resets.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = client::connect(address).await?;
    stream.set_zero_linger()?;
    Ok(stream)
}

/// The question; `None` if connecting is all that is asked.
fn request(check: &HealthCheck, source: &str) -> Result<Option<Request<Empty<Bytes>>>, http::Error> {
    let Some(path) = &check.path else { return Ok(None) };
    Request::get(Uri::from(path.clone()))
        .header(header::HOST, check.host.as_deref().unwrap_or(source))
        .header(header::USER_AGENT, "edge-health")
        .header(header::CONNECTION, "close")
        .body(Empty::new())
        .map(Some)
}

/// Sends the question and reads the head of the answer; the body is left unread.
async fn ask(stream: TcpStream, request: Request<Empty<Bytes>>) -> Result<StatusCode, Failure> {
    client::exchange(stream, request, async |response| response.status()).await.map_err(failure)
}

fn failure(error: hyper::Error) -> Failure {
    if error.is_parse() { Failure::Invalid(error) } else { Failure::Closed(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::health::state::tests::check;

    #[test]
    fn a_status_is_judged_by_inclusive_ranges() {
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
            let outcome = judge(StatusCode::from_u16(status).unwrap(), expect);
            assert_eq!(outcome.is_ok(), good, "{status} for {expect:?}");
        }
    }

    #[test]
    fn reasons_are_short_and_plain() {
        let refused = Failure::Connect(io::Error::from_raw_os_error(111));
        for (reason, text) in [
            (refused.to_string(), "connection refused"),
            (Failure::Timeout(Duration::from_secs(1)).to_string(), "no answer within 1s"),
            (Failure::Status(StatusCode::SERVICE_UNAVAILABLE).to_string(), "status 503"),
            (Passed::Status(StatusCode::OK).to_string(), "status 200"),
        ] {
            assert_eq!(reason, text);
        }
    }

    #[test]
    fn the_question_names_the_source_unless_a_host_is_configured() {
        let mut check = check(2, 3);
        assert!(request(&check, "tasks.web:8000").unwrap().is_none(), "connects only");
        check.path = Some("/health?x=1".parse().unwrap());
        let question = request(&check, "tasks.web:8000").unwrap().unwrap();
        assert_eq!(question.uri(), "/health?x=1");
        assert_eq!(question.headers()["host"], "tasks.web:8000");
        assert_eq!(question.headers()["user-agent"], "edge-health");
        assert_eq!(question.headers()["connection"], "close");
        check.host = Some("example.com".to_owned());
        assert_eq!(request(&check, "tasks.web:8000").unwrap().unwrap().headers()["host"], "example.com");
        check.host = Some("a\nb".to_owned());
        assert!(request(&check, "tasks.web:8000").is_err());
    }
}
