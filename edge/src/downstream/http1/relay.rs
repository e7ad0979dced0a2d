//! Passes the body of a response to the client, and the rest of the request's body to the endpoint at the same time.

use std::task::{Context, Poll, ready};

use tokio::{net::TcpStream, time::Instant};

use super::{request_body::ClientBody, response_head::ResponseHead, trailers};
use crate::{
    error::{Error, Kind},
    io::{
        buffer::BufferPool,
        splice::{MIN_SPLICE, Pipe, Transport},
    },
    protocol::h1::{body::Reader, chunked::BodyEvent, write_buffer::WriteBuffer},
    proxy::request_record::RequestRecord,
    upstream::connection::{
        Connection,
        body_source::BodySource,
        body_writer::{BodyWriter, WriteError},
        pool::PooledConnection,
    },
    worker::client_activity::ClientActivity,
};

/// A response on its way to the client.
pub(super) struct Relay<'r, S, E> {
    /// The client's connection, and the body of its request.
    pub(super) client: ClientBody<'r, S>,
    /// Bytes for the client.
    pub(super) out: &'r mut WriteBuffer,
    pub(super) record: &'r mut RequestRecord,
    pub(super) head: &'r mut ResponseHead,
    /// The endpoint's side.
    pub(super) exchange: E,
    /// The rest of a long body goes through it.
    pub(super) pipe: Option<Pipe>,
}

/// The endpoint's side of a relay.
pub(super) trait Exchange {
    /// Where the response comes from.
    type Response: ResponseSource;

    /// Sends more of the request's body. Ready when all of it is sent.
    fn poll_request(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut impl BodySource,
        now: Instant,
    ) -> Poll<Result<(), Kind>>;

    /// Bytes of the request's body that were read from the client.
    fn request_bytes(&self) -> u64;

    /// The response, until [`finish`](Self::finish).
    fn response(&mut self) -> Option<&mut Self::Response>;

    /// The response is complete: its connection may serve the next request.
    fn finish(&mut self, now: Instant);
}

/// A response that is read piece by piece; see [`Connection`].
pub(super) trait ResponseSource {
    /// What comes next of the body.
    fn next_event(&mut self) -> Result<BodyEvent, Error>;
    /// Bytes that were read and not used.
    fn data(&self) -> &[u8];
    /// `count` bytes of the body were used.
    fn consume(&mut self, count: usize, now: Instant);
    /// Reads more of the body.
    fn poll_read_more(&mut self, cx: &mut Context<'_>, buffers: &BufferPool, now: Instant) -> Poll<Result<(), Error>>;
    /// Reads more of the body into an empty pipe.
    fn poll_splice(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe, now: Instant) -> Poll<Result<(), Error>>;
    /// Bytes of the body moved.
    fn note_progress(&mut self, now: Instant);
    /// The client may be gone without a sign of it: from now on the body may not pause for longer than one of a declared
    /// length.
    fn limit_pause(&mut self, now: Instant);
    /// Bytes of the body still to come, if known.
    fn remaining(&self) -> Option<u64>;
    /// The body.
    fn body(&mut self) -> &mut Reader;
}

impl<S: Transport, E: Exchange> Relay<'_, S, E> {
    /// Moves both bodies as far as possible. Ready when the client has the whole response.
    ///
    /// # Errors
    /// Why the response was cut off.
    pub(super) fn step(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Kind>> {
        let now = self.client.worker.clock.now();
        if self.exchange.response().is_some() {
            if self.exchange.poll_request(cx, &mut self.client, now)?.is_ready()
                && self.client.poll_disconnected(cx).is_ready()
            {
                return Poll::Ready(Err(Kind::ClientGone));
            }
            if self.client.body.half_closed
                && let Some(response) = self.exchange.response()
            {
                response.limit_pause(now);
            }
            self.record.set_request_bytes(self.exchange.request_bytes());
        }
        ready!(self.step_response(cx, now))?;
        self.poll_flush(cx)
    }

    /// Passes the response on. Ready when all of it is read from the endpoint.
    fn step_response(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Result<(), Kind>> {
        let buffers = &self.client.worker.connections.buffers;
        while let Some(response) = self.exchange.response() {
            if let (Some(pipe), Some(socket)) = (&mut self.pipe, self.client.stream.socket()) {
                ready!(splice(cx, response, pipe, socket, self.client.activity, self.record, now))?;
            }
            match response.next_event().map_err(|error| error.kind)? {
                BodyEvent::Data(count) => {
                    let piece = response.data().get(..count).unwrap_or_default();
                    let taken = self.out.poll_data(cx, self.client.stream, piece, self.head.chunked);
                    report(self.client.activity, self.out, taken.is_pending());
                    let taken = ready!(taken).map_err(|_| Kind::ClientGone)?;
                    response.consume(taken, now);
                    self.record.add_response_bytes(taken as u64);
                }
                BodyEvent::End => {
                    if self.head.chunked {
                        self.out.end_chunks(&trailers::lines(response.body()));
                    }
                    // Before the client has the last byte: its next request may need the connection.
                    self.exchange.finish(now);
                }
                BodyEvent::More
                    if self.head.may_pipe && self.pipe.is_none() && is_long(response, self.client.stream) =>
                {
                    // Bytes that were already read must precede those from the pipe.
                    ready!(self.poll_flush(cx))?;
                    self.pipe = buffers.take_pipe();
                    self.head.may_pipe = self.pipe.is_some();
                }
                BodyEvent::More => match response.poll_read_more(cx, buffers, now) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => {
                        // The client gets what arrived before the error, as far as its stream accepts it.
                        let _flushed = self.out.poll_flush(cx, self.client.stream);
                        report(self.client.activity, self.out, false);
                        return Poll::Ready(Err(error.kind));
                    }
                    Poll::Pending => {
                        if let Poll::Ready(Err(kind)) = self.poll_flush(cx) {
                            return Poll::Ready(Err(kind));
                        }
                        return Poll::Pending;
                    }
                },
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Kind>> {
        let flushed = self.out.poll_flush(cx, self.client.stream);
        report(self.client.activity, self.out, flushed.is_pending());
        flushed.map_err(|_| Kind::ClientGone)
    }
}

/// Reports the bytes that were written to the client, and whether it accepts no more.
pub(super) fn report(activity: &ClientActivity, out: &mut WriteBuffer, blocked: bool) {
    let moved = out.take_written();
    if moved > 0 {
        activity.wrote(moved);
    }
    if blocked {
        activity.blocked();
    } else {
        activity.unblocked();
    }
}

/// Whether the rest of a response is long enough to go through a pipe.
fn is_long<S: Transport>(response: &impl ResponseSource, stream: &S) -> bool {
    response.remaining().is_some_and(|left| left >= MIN_SPLICE) && stream.socket().is_some()
}

/// Passes the rest of a response through a pipe. Ready at its end.
fn splice(
    cx: &mut Context<'_>,
    response: &mut impl ResponseSource,
    pipe: &mut Pipe,
    socket: &TcpStream,
    activity: &ClientActivity,
    record: &mut RequestRecord,
    now: Instant,
) -> Poll<Result<(), Kind>> {
    loop {
        while !pipe.is_empty() {
            let moved = pipe.poll_out(cx, socket);
            if moved.is_pending() {
                activity.blocked();
            }
            let count = ready!(moved).map_err(|_| Kind::ClientGone)?;
            activity.wrote(count);
            record.add_response_bytes(count as u64);
            response.note_progress(now);
        }
        if response.remaining() == Some(0) {
            return Poll::Ready(Ok(()));
        }
        ready!(response.poll_splice(cx, pipe, now)).map_err(|error| error.kind)?;
    }
}

/// The exchange of a request with the endpoint that answered it.
pub(super) struct EndpointExchange<'r> {
    /// The request's bytes.
    pub(super) request: &'r mut BodyWriter,
    /// The connection that the response arrives on.
    pub(super) pooled: PooledConnection,
}

impl Exchange for EndpointExchange<'_> {
    type Response = Connection;

    fn poll_request(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut impl BodySource,
        now: Instant,
    ) -> Poll<Result<(), Kind>> {
        let Some(connection) = self.pooled.connection() else { return Poll::Ready(Ok(())) };
        match self.request.poll(cx, source, &mut connection.stream, now) {
            Poll::Ready(Err(WriteError::Client(error))) => Poll::Ready(Err(error.kind)),
            // The endpoint has answered and accepts no more of the request.
            Poll::Ready(Err(WriteError::Endpoint(_))) => {
                self.request.stop();
                connection.disable_reuse();
                Poll::Pending
            }
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    }

    fn request_bytes(&self) -> u64 {
        self.request.bytes()
    }

    fn response(&mut self) -> Option<&mut Connection> {
        self.pooled.connection()
    }

    fn finish(&mut self, now: Instant) {
        self.pooled.finish(self.request.is_done(), now);
    }
}

impl ResponseSource for Connection {
    fn next_event(&mut self) -> Result<BodyEvent, Error> {
        self.next_event()
    }

    fn data(&self) -> &[u8] {
        self.data()
    }

    fn consume(&mut self, count: usize, now: Instant) {
        self.consume(count, now);
    }

    fn poll_read_more(&mut self, cx: &mut Context<'_>, buffers: &BufferPool, now: Instant) -> Poll<Result<(), Error>> {
        self.poll_read_more(cx, buffers, now)
    }

    fn poll_splice(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe, now: Instant) -> Poll<Result<(), Error>> {
        self.poll_splice(cx, pipe, now)
    }

    fn note_progress(&mut self, now: Instant) {
        self.note_progress(now);
    }

    fn limit_pause(&mut self, now: Instant) {
        self.limit_pause(now);
    }

    fn remaining(&self) -> Option<u64> {
        self.remaining()
    }

    fn body(&mut self) -> &mut Reader {
        self.body()
    }
}

#[cfg(test)]
mod tests;
