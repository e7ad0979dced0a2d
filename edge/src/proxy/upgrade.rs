//! A request to switch protocols that has a body.

use std::task::Poll;

use crate::{
    error::{Error, Kind, Retry},
    proxy::request::never,
    upstream::connection::{
        Connection,
        body_source::BodySource,
        body_writer::{BodyWriter, WriteError},
    },
    worker::Worker,
};

/// Sends the rest of a request whose endpoint has already agreed to switch protocols. The new protocol begins behind the
/// request (RFC 9110 section 7.8), so the client learns of the switch only then.
///
/// # Errors
/// The client or the endpoint failed before the end of the request.
pub async fn finish_request(
    worker: &Worker,
    connection: &mut Connection,
    body: &mut BodyWriter,
    source: &mut impl BodySource,
) -> Result<(), Error> {
    if connection.is_reuse_disabled() {
        // The endpoint broke off behind its head: there is nobody to tunnel to.
        return Err(never(Kind::UpstreamClosed));
    }
    let allowed = connection.pool().timeouts.response;
    let began = worker.clock.now();
    connection.deadline.set(began + allowed);
    std::future::poll_fn(|cx| {
        match body.poll(cx, source, &mut connection.stream, worker.clock.now()) {
            Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
            Poll::Ready(Err(WriteError::Client(error))) => return Poll::Ready(Err(error)),
            Poll::Ready(Err(WriteError::Endpoint(error))) => {
                return Poll::Ready(Err(Error::because(Kind::UpstreamClosed, Retry::Never, error)));
            }
            Poll::Pending => {}
        }
        if let Poll::Ready(Err(error)) = source.poll_interim(cx) {
            return Poll::Ready(Err(Error::because(Kind::ClientGone, Retry::Never, error)));
        }
        while connection.deadline.poll(cx).is_ready() {
            let now = worker.clock.tick();
            let due = body.awaits_endpoint_since(began, now) + allowed;
            if now >= due {
                return Poll::Ready(Err(never(Kind::ResponseTimeout)));
            }
            connection.deadline.set(due);
        }
        Poll::Pending
    })
    .await
}
