//! One numbered request on a client's connection.

use std::error::Error as _;

use http::{Method, Request, StatusCode};

use super::NUMBER;
use crate::client::{Body, Connection, Error, full, request};

/// Sends a request on the client's connection, or on a new one if that was closed.
pub(super) async fn send(
    connection: &mut Option<Connection>,
    connect: impl AsyncFnOnce() -> Result<Connection, Error>,
    number: usize,
    is_post: bool,
) -> Result<StatusCode, Error> {
    let open = match connection {
        // Otherwise the proxy announced the close, or closed the idle connection.
        Some(open) if !open.is_closed() => open,
        _ => connection.insert(connect().await?),
    };
    Ok(open.send(numbered(number, is_post)).await?.status)
}

/// Whether the connection ended before the request was sent, or with a GOAWAY that says that the server has not
/// processed it and that it can be sent again (RFC 9113 section 6.8). The ledger checks that no endpoint received it.
pub(super) fn is_unprocessed(error: &Error) -> bool {
    let Error::Http(error) = error else { return false };
    let of_h2 = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    let goes_away = |error: &h2::Error| error.is_go_away() && error.is_remote();
    error.is_canceled() || of_h2.is_some_and(|error| goes_away(error) && error.reason() == Some(h2::Reason::NO_ERROR))
}

fn numbered(number: usize, is_post: bool) -> Request<Body> {
    let mut request = request("www.example.com", "/");
    if is_post {
        *request.method_mut() = Method::POST;
        *request.body_mut() = full(format!("request {number}"));
    }
    request.headers_mut().insert(NUMBER, number.into());
    request
}
