//! The HTTP/1.1 request of a check, and what its response means.

use std::cell::Cell;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use net::client;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    outcome::{Failure, Outcome, Passed, Step},
    search::{MAX_BODY, Search},
};
use crate::config::{Expect, HealthCheck};

/// What a check says about itself, unless the configuration sets it.
pub(super) const USER_AGENT: &str = "edge-health";

/// Builds the request, which is the same on a connection of its own and on one that is kept open; `None` if the check
/// has no path. `authority` is the value of `Host` unless the configuration sets one.
///
/// # Errors
/// The `Host` contains bytes that are not allowed.
pub(in crate::upstream) fn request(
    check: &HealthCheck,
    authority: &str,
) -> Result<Option<Request<Empty<Bytes>>>, http::Error> {
    let Some(path) = &check.path else { return Ok(None) };
    let mut request = Request::new(Empty::new());
    *request.method_mut() = check.method.clone();
    *request.uri_mut() = Uri::from(path.clone());
    let host = HeaderValue::from_str(check.host.as_deref().unwrap_or(authority))?;
    let headers = request.headers_mut();
    headers.insert(header::HOST, host);
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    for (name, value) in &check.headers {
        headers.insert(name, value.clone());
    }
    Ok(Some(request))
}

/// Whether a status is one that passes.
pub(in crate::upstream) fn is_expected(status: StatusCode, expect: &Expect) -> bool {
    match expect {
        Expect::Any => true,
        Expect::Statuses(ranges) => ranges.iter().any(|(from, to)| (*from..=*to).contains(&status.as_u16())),
    }
}

/// Evaluates a status, and whether there is a `Retry-After` with it. A 503 that is expected passes even so: behind a
/// mesh, where any response passes, a task that drains says nothing about the node.
///
/// # Errors
/// [`Failure::Status`]: the status is not an expected one.
pub(super) fn evaluate(status: StatusCode, retry_after: bool, expect: &Expect) -> Outcome {
    match status {
        _ if is_expected(status, expect) => Ok(Passed::Status(status)),
        StatusCode::SERVICE_UNAVAILABLE if retry_after => Ok(Passed::Draining),
        _ => Err(Failure::Status(status)),
    }
}

/// Sends the request and reads the head of the response, and as much of its body as the check needs.
pub(super) async fn ask<S>(
    stream: S,
    mut request: Request<Empty<Bytes>>,
    check: &HealthCheck,
    step: &Cell<Step>,
) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    let read = async |response: Response<Incoming>| {
        let retry_after = response.headers().contains_key(header::RETRY_AFTER);
        let passed = evaluate(response.status(), retry_after, &check.expect)?;
        match (&passed, &check.body) {
            (Passed::Status(status), Some(text)) => {
                step.set(Step::Body(*status));
                search(response.into_body(), *status, text).await.map(|()| passed)
            }
            _ => Ok(passed),
        }
    };
    client::exchange(stream, request, read).await.unwrap_or_else(|error| {
        Err(if error.is_parse() { Failure::Invalid(error) } else { Failure::Closed(Box::new(error)) })
    })
}

async fn search(mut body: Incoming, status: StatusCode, text: &str) -> Result<(), Failure> {
    let mut search = Search::new(text);
    while !search.is_over() {
        match body.frame().await {
            Some(Ok(frame)) => search.feed(frame.data_ref().map_or(&[], |data| data)),
            Some(Err(_)) => {
                return Err(Failure::BodyBroken { status, text: text.to_owned(), read: search.read() });
            }
            None => break,
        }
    }
    if search.is_found() {
        return Ok(());
    }
    let read = search.read();
    Err(Failure::Body { status, text: text.to_owned(), read, whole: read < MAX_BODY })
}

#[cfg(test)]
mod tests {
    use http::Method;

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
    fn the_request_names_the_source_unless_a_host_is_configured() {
        let mut check = check(2, 3);
        assert!(request(&check, "tasks.web:8000").unwrap().is_none(), "connects only");
        check.path = Some("/health?x=1".parse().unwrap());
        let sent = request(&check, "tasks.web:8000").unwrap().unwrap();
        assert_eq!((sent.method(), sent.uri().to_string()), (&Method::GET, "/health?x=1".to_owned()));
        assert_eq!(sent.headers()["host"], "tasks.web:8000");
        assert_eq!(sent.headers()["user-agent"], "edge-health");
        check.host = Some("example.com".to_owned());
        assert_eq!(request(&check, "tasks.web:8000").unwrap().unwrap().headers()["host"], "example.com");
        check.host = Some("a\nb".to_owned());
        assert!(request(&check, "tasks.web:8000").is_err());
    }

    #[test]
    fn the_request_has_the_configured_method_and_fields() {
        let mut check = check(2, 3);
        check.path = Some("/".parse().unwrap());
        check.method = Method::HEAD;
        check.headers = vec![
            (header::USER_AGENT, HeaderValue::from_static("mine")),
            ("x-probe".parse().unwrap(), HeaderValue::from_static("1")),
        ];
        let sent = request(&check, "a").unwrap().unwrap();
        assert_eq!(sent.method(), Method::HEAD);
        assert_eq!(sent.headers().get_all("user-agent").iter().collect::<Vec<_>>(), ["mine"]);
        assert_eq!(sent.headers()["x-probe"], "1");
    }
}
