//! Writes a request to an endpoint: the head, then the body as the client sends it.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

use super::{body_source::BodySource, replay::Replay};
use crate::{
    error::{Error, Kind, Retry},
    io::{
        buffer::BufferPool,
        patience::Patience,
        splice::{MIN_SPLICE, Pipe},
    },
    protocol::h1::{framing::Framing, write_buffer::WriteBuffer},
};

/// Writes one request.
#[derive(Debug)]
pub struct BodyWriter {
    buffer: WriteBuffer,
    body: Option<Box<Body>>,
    /// The request is written, or the rest of it is not needed.
    done: bool,
}

/// Why a request could not be written to its end.
#[derive(Debug)]
pub enum WriteError {
    /// The client caused it.
    Client(Error),
    /// The endpoint accepts no more.
    Endpoint(io::Error),
}

impl BodyWriter {
    /// Prepares a request with this head. `max` is the largest body in bytes, `patience` limits the client's pauses.
    #[must_use]
    pub fn new(head: Vec<u8>, framing: Framing, max: Option<u64>, patience: Patience, now: Instant) -> Self {
        let body = match framing {
            Framing::None => None,
            Framing::Length(length) => Some(Body::new(Limit::Exactly, length, patience, now)),
            Framing::Chunked | Framing::Close => Some(Body::new(Limit::AtMost, max.unwrap_or(u64::MAX), patience, now)),
        };
        let mut buffer = WriteBuffer::default();
        *buffer.bytes_mut() = head;
        Self { buffer, body: body.map(Box::new), done: false }
    }

    /// Keeps its body, so that it can be sent again after it has begun.
    pub fn keep(&mut self, replay: Replay) {
        if let Some(body) = &mut self.body {
            body.replay = Some(replay);
            self.buffer.keep();
        }
    }

    /// Keeps no more of its body, because it will not be sent again.
    pub fn stop_keeping(&mut self) {
        if let Some(body) = &mut self.body
            && body.replay.take().is_some()
        {
            self.buffer.stop_keeping();
        }
    }

    /// Whether it can be sent again from the start, also after it has begun.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.body.is_none() || self.buffer.is_kept()
    }

    /// Copies it into `memory`, to be sent from its start. Only for a request without a body.
    #[must_use]
    pub fn copy(&self, mut memory: Vec<u8>) -> Self {
        memory.extend_from_slice(self.buffer.all());
        let mut buffer = WriteBuffer::default();
        *buffer.bytes_mut() = memory;
        Self { buffer, body: None, done: false }
    }

    /// The number of bytes in its buffer.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.all().len()
    }

    /// Whether it will be [whole](Self::is_whole) for certain, unless memory becomes scarce: it has no body, or one whose
    /// length is known.
    #[must_use]
    pub fn stays_whole(&self) -> bool {
        self.body.as_ref().is_none_or(|body| body.replay.is_some() && body.limit == Limit::Exactly)
    }

    /// Whether the endpoint may have received some of it.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.buffer.has_begun()
    }

    /// Whether no more of it will be written.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Whether it has a body.
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.body.is_some()
    }

    /// The number of body bytes taken from the client.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.body.as_ref().map_or(0, |body| body.bytes)
    }

    /// Starts again, for a request that has not begun or is [whole](Self::is_whole).
    pub fn rewind(&mut self) {
        self.buffer.rewind();
        self.done = false;
    }

    /// Writes no more of it.
    pub fn stop(&mut self) {
        self.done = true;
    }

    /// Returns since when only the endpoint has been awaited: since the last byte that it could have taken. While the
    /// client is awaited, whose pauses have a timeout of their own, that is `now`.
    #[must_use]
    pub fn awaits_endpoint_since(&self, began: Instant, now: Instant) -> Instant {
        match &self.body {
            None => began,
            Some(body) if body.pause.is_some() => now,
            Some(body) => began.max(body.last_progress),
        }
    }

    /// Returns its memory.
    pub fn release(&mut self, buffers: &BufferPool) {
        if let Some(pipe) = self.body.as_mut().and_then(|body| body.pipe.take()) {
            buffers.return_pipe(pipe);
        }
        buffers.return_head(std::mem::take(&mut self.buffer).into_memory());
    }

    /// Writes more of the request. Ready when all of it is written.
    ///
    /// # Errors
    /// Why it stopped; it must not be polled again.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut impl BodySource,
        endpoint: &mut TcpStream,
        now: Instant,
    ) -> Poll<Result<(), WriteError>> {
        if self.done {
            return Poll::Ready(Ok(()));
        }
        if let Some(body) = &mut self.body
            && !body.ended
        {
            ready!(body.poll(cx, &mut Transfer { source, buffer: &mut self.buffer, endpoint, now }))?;
        }
        ready!(self.buffer.poll_flush(cx, endpoint)).map_err(WriteError::Endpoint)?;
        self.done = true;
        Poll::Ready(Ok(()))
    }
}

/// What one poll moves a body between.
struct Transfer<'a, S> {
    source: &'a mut S,
    buffer: &'a mut WriteBuffer,
    endpoint: &'a mut TcpStream,
    now: Instant,
}

/// What a number of remaining bytes means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    /// The body has a declared length.
    Exactly,
    /// The body is chunked and may be this long.
    AtMost,
}

/// A body in transfer.
#[derive(Debug)]
struct Body {
    limit: Limit,
    /// The bytes that must, or may, still come.
    remaining: u64,
    /// The last byte was taken from the client.
    ended: bool,
    /// The rest may go through a pipe.
    may_splice: bool,
    /// Counts what is kept of it; `None` if nothing is.
    replay: Option<Replay>,
    /// The pipe for the rest, once it is known to be long.
    pipe: Option<Pipe>,
    /// Limits the pauses of the client.
    patience: Patience,
    /// How long the client was awaited earlier, as far as its bytes do not pay for it.
    waited: Duration,
    /// Runs while the client is awaited, and since when.
    pause: Option<(Instant, Pin<Box<Sleep>>)>,
    /// The bytes taken from the client.
    bytes: u64,
    /// When the last of them was taken or passed on.
    last_progress: Instant,
}

impl Body {
    fn new(limit: Limit, remaining: u64, patience: Patience, now: Instant) -> Self {
        Self {
            limit,
            remaining,
            ended: false,
            may_splice: limit == Limit::Exactly,
            replay: None,
            pipe: None,
            patience,
            waited: Duration::ZERO,
            pause: None,
            bytes: 0,
            last_progress: now,
        }
    }

    /// Takes the body from the client. Ready when all of it was taken; the buffer may still hold some of it.
    fn poll<S: BodySource>(
        &mut self,
        cx: &mut Context<'_>,
        transfer: &mut Transfer<'_, S>,
    ) -> Poll<Result<(), WriteError>> {
        loop {
            if self.pipe.is_some() {
                return self.poll_splice(cx, transfer);
            }
            let Transfer { source, buffer, endpoint, now } = transfer;
            // The client comes first, so that the endpoint receives nothing of a body that is malformed from its first
            // byte on.
            let Poll::Ready(data) = source.poll_data(cx) else {
                if buffer.poll_flush(cx, *endpoint).map_err(WriteError::Endpoint)?.is_pending() {
                    self.end_pause(*now);
                    return Poll::Pending;
                }
                if self.may_splice && self.replay.is_none() && self.remaining >= MIN_SPLICE && source.socket().is_some()
                {
                    self.pipe = Pipe::new().ok();
                    self.may_splice = self.pipe.is_some();
                    if self.may_splice {
                        continue;
                    }
                }
                return self.poll_pause(cx, *now);
            };
            self.end_pause(*now);
            let Some(data) = data.map_err(WriteError::Client)? else {
                self.ended = true;
                if self.limit == Limit::Exactly && self.remaining > 0 {
                    return Poll::Ready(Err(client_error(Kind::ClientGone)));
                }
                if self.limit == Limit::AtMost {
                    buffer.end_chunks(&source.trailers());
                }
                return Poll::Ready(Ok(()));
            };
            if data.len() as u64 > self.remaining {
                let kind = if self.limit == Limit::Exactly { Kind::BadRequest } else { Kind::BodyTooLarge };
                return Poll::Ready(Err(client_error(kind)));
            }
            if let Some(replay) = &mut self.replay
                && !replay.admit(self.bytes.saturating_add(data.len() as u64))
            {
                self.replay = None;
                buffer.stop_keeping();
            }
            let chunked = self.limit == Limit::AtMost;
            let count = ready!(buffer.poll_data(cx, *endpoint, data, chunked)).map_err(WriteError::Endpoint)?;
            source.consume(count);
            self.took(count, *now);
        }
    }

    /// Passes the rest through the pipe. Ready at its end.
    fn poll_splice<S: BodySource>(
        &mut self,
        cx: &mut Context<'_>,
        transfer: &mut Transfer<'_, S>,
    ) -> Poll<Result<(), WriteError>> {
        let Transfer { source, endpoint, now, .. } = transfer;
        loop {
            let Some(pipe) = &mut self.pipe else { return Poll::Ready(Ok(())) };
            while !pipe.is_empty() {
                ready!(pipe.poll_out(cx, endpoint)).map_err(WriteError::Endpoint)?;
                self.last_progress = *now;
            }
            if self.remaining == 0 {
                self.ended = true;
                return Poll::Ready(Ok(()));
            }
            let Some(socket) = source.socket() else { return Poll::Ready(Err(client_error(Kind::ClientGone))) };
            match pipe.poll_in(cx, socket, self.remaining) {
                Poll::Ready(Ok(count @ 1..)) => {
                    self.end_pause(*now);
                    source.spliced(count);
                    self.took(count, *now);
                }
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(client_error(Kind::ClientGone))),
                Poll::Pending => return self.poll_pause(cx, *now),
            }
        }
    }

    fn took(&mut self, count: usize, now: Instant) {
        self.remaining = self.remaining.saturating_sub(count as u64);
        self.bytes += count as u64;
        self.waited = self.patience.pay(self.waited, count);
        self.last_progress = now;
    }

    fn end_pause(&mut self, now: Instant) {
        if let Some((began, _)) = self.pause.take() {
            self.waited += now.saturating_duration_since(began);
        }
    }

    /// Waits for the client, as long as there is patience.
    fn poll_pause(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Result<(), WriteError>> {
        let left = self.patience.left(self.waited);
        let (_began, pause) = self.pause.get_or_insert_with(|| (now, Box::pin(sleep_until(now + left))));
        ready!(pause.as_mut().poll(cx));
        Poll::Ready(Err(client_error(Kind::BodyTimeout)))
    }
}

fn client_error(kind: Kind) -> WriteError {
    WriteError::Client(Error::new(kind, Retry::Never))
}
