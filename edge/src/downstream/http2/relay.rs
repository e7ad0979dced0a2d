//! Passes the response of an endpoint on, and sends it the rest of the request at the same time.

use std::{
    rc::Rc,
    task::{Context, Poll, ready},
};

use http::HeaderMap;

use super::{
    piece::Piece,
    request_body::RequestBody,
    response_stream::{Gone, ResponseStream},
};
use crate::{
    error::Error,
    protocol::{
        h1::{body::Reader, chunked::BodyEvent, head},
        headers::{is_trailer, response::owned},
    },
    proxy::{
        request::{UpstreamRequest, never},
        request_record::RequestRecord,
    },
    upstream::connection::{body_writer::WriteError, pool::PooledConnection},
    worker::Worker,
};

/// A response that has begun, and the rest of its request.
pub(super) struct Relay<'r> {
    pub(super) worker: &'r Rc<Worker>,
    pub(super) pooled: PooledConnection,
    pub(super) upstream_request: UpstreamRequest,
    pub(super) source: RequestBody<'r>,
    pub(super) record: &'r mut RequestRecord,
}

/// What comes next of a response.
enum Next {
    /// A piece, and whether it is the last one.
    Piece(Piece, bool),
    /// The end, with or without trailers.
    End(Option<HeaderMap>),
}

impl Relay<'_> {
    /// Whether the whole response was read.
    pub(super) fn is_complete(&mut self) -> bool {
        self.pooled.connection().is_none_or(|connection| connection.body().is_done())
    }

    /// Releases the connection to the endpoint. The whole response was read.
    pub(super) fn finish(&mut self) {
        self.pooled.finish(self.upstream_request.body.is_done(), self.worker.clock.now());
        self.upstream_request.body.release(&self.worker.connections.buffers);
        self.record.set_request_bytes(self.upstream_request.body.bytes());
    }

    /// Moves both bodies as far as possible. Ready when h2 has the whole response.
    ///
    /// # Errors
    /// Why the response must be cut off.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, client: &mut ResponseStream) -> Poll<Result<(), Error>> {
        self.worker.clock.tick();
        if let Poll::Ready(Gone) = client.poll_gone(cx) {
            return Poll::Ready(Err(gone(Gone)));
        }
        loop {
            // A client may grant the response a window only after all of its own body has been read.
            if let Poll::Ready(Err(error)) = self.poll_upload(cx) {
                return Poll::Ready(Err(error));
            }
            ready!(client.poll_sent(cx)).map_err(gone)?;
            if self.pooled.connection().is_none() {
                return Poll::Ready(Ok(()));
            }
            let next = self.poll_next(cx);
            self.record.mark_pending(next.is_ready());
            match ready!(next)? {
                Next::Piece(piece, is_last) => {
                    client.push(piece, is_last);
                    if is_last {
                        // Before the client has the last byte: its next request may need the connection.
                        self.finish();
                    }
                }
                Next::End(trailers) => {
                    self.finish();
                    return Poll::Ready(client.end(trailers).map_err(gone));
                }
            }
        }
    }

    /// Sends more of the request's body. Ready when no more of it will be sent.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.upstream_request.body.is_done() {
            return Poll::Ready(Ok(()));
        }
        let now = self.worker.clock.now();
        let Some(connection) = self.pooled.connection() else { return Poll::Ready(Ok(())) };
        let polled = self.upstream_request.body.poll(cx, &mut self.source, &mut connection.stream, now);
        self.record.set_request_bytes(self.upstream_request.body.bytes());
        match ready!(polled) {
            Ok(()) => {}
            Err(WriteError::Client(error)) => {
                self.record.set_fault(self.source.fault());
                return Poll::Ready(Err(error));
            }
            // The endpoint has answered and accepts no more of the request.
            Err(WriteError::Endpoint(_)) => {
                self.upstream_request.body.stop();
                connection.disable_reuse();
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads more of the response.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Next, Error>> {
        let now = self.worker.clock.now();
        let Some(connection) = self.pooled.connection() else { return Poll::Ready(Ok(Next::End(None))) };
        loop {
            match connection.next_event()? {
                BodyEvent::Data(count) => {
                    let data = connection.data().get(..count).unwrap_or_default();
                    let piece = Piece::counted(data, self.record.activity());
                    connection.consume(count, now);
                    // The client may not read the piece for long.
                    connection.release_memory(&self.worker.connections.buffers);
                    self.record.add_response_bytes(count as u64);
                    return Poll::Ready(Ok(Next::Piece(piece, connection.body().is_done())));
                }
                BodyEvent::End => return Poll::Ready(Ok(Next::End(trailers(connection.body())))),
                BodyEvent::More => ready!(connection.poll_read_more(cx, &self.worker.connections.buffers, now))?,
            }
        }
    }
}

fn gone(Gone: Gone) -> Error {
    never(crate::error::Kind::ClientGone)
}

/// Returns the trailers of a body that may be forwarded.
fn trailers(body: &Reader) -> Option<HeaderMap> {
    if body.trailers().is_empty() {
        return None;
    }
    let map = head::trailers(body.trailers(), |fields| {
        fields.iter().filter(|field| is_trailer(field.name)).filter_map(owned).collect()
    });
    map.ok()
}
