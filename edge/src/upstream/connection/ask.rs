//! Asks for the health path on an idle connection: whether its replica still answers, which one it is, and whether it
//! should get requests.

use std::{future::poll_fn, io};

use http::{Method, Request, StatusCode};
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, timeout},
};

use super::Connection;
use crate::{
    config::HealthCheck,
    error::{Error, Kind, Retry},
    io::buffer::BufferPool,
    protocol::h1::chunked::BodyEvent,
    upstream::health::probe::{MAX_BODY, Search, is_expected, request},
};

/// Asks once, within the timeout of the check: the request of the check, on this connection. Returns whether the status
/// is an expected one, and the body contains the expected text if there is one. The connection can then be used again if
/// it is [reusable](Connection::is_reusable).
///
/// # Errors
/// There is no answer: the connection must be closed.
pub async fn ask(connection: &mut Connection, buffers: &BufferPool, check: &HealthCheck) -> Result<bool, Error> {
    let request = request(check, &connection.endpoint().authority());
    let invalid = |error: http::Error| Error::because(Kind::UpstreamInvalid, Retry::Never, error);
    let Some(request) = request.map_err(invalid)? else { return Ok(true) };
    let (head, to_head) = (head(&request), request.method() == Method::HEAD);
    let mut search = Search::new(check.body.as_deref().unwrap_or_default());
    let exchange = exchange(connection, buffers, &head, to_head, &mut search);
    let answered = timeout(check.timeout, exchange).await;
    let status = answered.unwrap_or_else(|_elapsed| Err(Error::new(Kind::ResponseTimeout, Retry::Never)))?;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok(is_expected(status, &check.expect) && search.is_found())
}

/// Writes the head of a request without a body.
fn head<B>(request: &Request<B>) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri()).into_bytes();
    for (name, value) in request.headers() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    // A method that may have a body needs its length (RFC 9112 section 6.3).
    if ![Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) {
        head.extend_from_slice(b"content-length: 0\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

async fn exchange(
    connection: &mut Connection,
    buffers: &BufferPool,
    head: &[u8],
    to_head: bool,
    search: &mut Search<'_>,
) -> Result<u16, Error> {
    let closed = |error: io::Error| Error::because(Kind::UpstreamClosed, Retry::Never, error);
    connection.wait_for_room(false);
    connection.stream.write_all(head).await.map_err(closed)?;
    let mut status_of = |head: &super::ResponseHead<'_>| head.parts.status;
    let status = poll_fn(|cx| connection.poll_head(cx, buffers, to_head, &mut |_| {}, &mut status_of)).await?;
    let mut length = 0;
    loop {
        let now = Instant::now();
        match connection.next_event()? {
            BodyEvent::End => return Ok(status),
            BodyEvent::More => {
                connection.note_progress(now);
                poll_fn(|cx| connection.poll_read_more(cx, buffers, now)).await?;
            }
            BodyEvent::Data(count) => {
                length += count;
                if length > MAX_BODY {
                    return Err(Error::because(Kind::UpstreamInvalid, Retry::Never, "the answer is too long"));
                }
                search.feed(connection.data().get(..count).unwrap_or_default());
                connection.consume(count, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_has_the_method_and_the_fields_of_the_check() {
        let mut check = HealthCheck { path: Some("/ready?x".parse().unwrap()), ..HealthCheck::default() };
        let written =
            |check: &HealthCheck| String::from_utf8(head(&request(check, "web:80").unwrap().unwrap())).unwrap();
        let expected = "GET /ready?x HTTP/1.1\r\nhost: web:80\r\nuser-agent: edge-health\r\n\r\n";
        assert_eq!(written(&check), expected);
        check.method = Method::POST;
        check.host = Some("a.example".to_owned());
        check.headers = vec![("x-probe".parse().unwrap(), "1".parse().unwrap())];
        let expected = "POST /ready?x HTTP/1.1\r\nhost: a.example\r\nuser-agent: edge-health\r\nx-probe: 1\r\n\
                        content-length: 0\r\n\r\n";
        assert_eq!(written(&check), expected);
    }
}
