//! Passes the response of an endpoint on, and sends it the rest of the request.

use std::{
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;

use super::{piece::Piece, request_body::RequestBody};
use crate::{
    error::Error,
    protocol::{
        h1::{
            body::Reader,
            chunked::BodyEvent,
            head::{self, Field},
        },
        headers::is_trailer,
    },
    proxy::{request::UpstreamRequest, request_record::RequestRecord},
    upstream::connection::{Connection, body_writer::WriteError, pool::PooledConnection},
    worker::Worker,
};

/// The body of an endpoint's response, and the rest of the request's body.
#[derive(Debug)]
pub(super) struct Relay {
    worker: Rc<Worker>,
    pooled: PooledConnection,
    upstream_request: UpstreamRequest,
    source: RequestBody,
    pub(super) record: RequestRecord,
    /// Why reading the client's body failed.
    failed: Option<Error>,
    /// Woken when that happens: the reader of the response.
    reader: Option<Waker>,
}

impl Relay {
    /// Relays the response of the endpoint on `pooled`, whose head has been read.
    pub(super) fn new(
        worker: Rc<Worker>,
        pooled: PooledConnection,
        upstream_request: UpstreamRequest,
        source: RequestBody,
        record: RequestRecord,
    ) -> Self {
        Self { worker, pooled, upstream_request, source, record, failed: None, reader: None }
    }

    /// Whether the whole response was read.
    pub(super) fn is_complete(&mut self) -> bool {
        self.pooled.connection().is_none_or(|connection| connection.body().is_done())
    }

    /// Whether no more of the request's body will be sent.
    pub(super) fn is_upload_done(&self) -> bool {
        self.upstream_request.body.is_done()
    }

    /// Bytes of the response still to come, if known.
    pub(super) fn left(&self) -> Option<u64> {
        self.pooled.as_connection().and_then(Connection::remaining)
    }

    /// The whole response was given to hyper.
    pub(super) fn finish(&mut self) {
        self.pooled.finish(self.upstream_request.body.is_done(), self.worker.clock.now());
        self.upstream_request.body.release(&self.worker.connections.buffers);
        self.record.set_request_bytes(self.upstream_request.body.bytes());
        self.record.complete();
    }

    /// Sends more of the request's body. Ready when no more of it will be sent.
    pub(super) fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.worker.clock.tick();
        let Some(connection) = self.pooled.connection() else { return Poll::Ready(()) };
        let polled = self.upstream_request.body.poll(cx, &mut self.source, &mut connection.stream, now);
        self.record.set_request_bytes(self.upstream_request.body.bytes());
        match ready!(polled) {
            Ok(()) => {}
            Err(WriteError::Client(error)) => {
                self.record.set_fault(self.source.fault());
                self.failed = Some(error);
                if let Some(reader) = self.reader.take() {
                    reader.wake();
                }
            }
            // The endpoint has answered and accepts no more of the request.
            Err(WriteError::Endpoint(_)) => {
                self.upstream_request.body.stop();
                connection.disable_reuse();
            }
        }
        Poll::Ready(())
    }

    /// Reads more of the response.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Piece>>, Error>> {
        let now = self.worker.clock.tick();
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        if !self.is_upload_done() {
            self.reader = Some(cx.waker().clone());
        }
        let Some(connection) = self.pooled.connection() else { return Poll::Ready(Ok(None)) };
        loop {
            match connection.next_event()? {
                BodyEvent::Data(count) => {
                    let data = connection.data().get(..count).unwrap_or_default();
                    let piece = Piece::counted(data, self.record.activity());
                    connection.consume(count, now);
                    // The client may not read the piece for long.
                    connection.release_memory(&self.worker.connections.buffers);
                    self.record.add_response_bytes(count as u64);
                    return Poll::Ready(Ok(Some(Frame::data(piece))));
                }
                BodyEvent::End => return Poll::Ready(Ok(trailers(connection.body()).map(Frame::trailers))),
                BodyEvent::More => ready!(connection.poll_read_more(cx, &self.worker.connections.buffers, now))?,
            }
        }
    }
}

/// Returns the trailers of a body that may be forwarded.
fn trailers(body: &Reader) -> Option<HeaderMap> {
    if body.trailers().is_empty() {
        return None;
    }
    let map = head::trailers(body.trailers(), |fields| {
        let parts = |field: &Field<'_>| {
            let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(field.value).ok()?))
        };
        fields.iter().filter(|field| is_trailer(field.name)).filter_map(parts).collect()
    });
    map.ok()
}
