//! A request on its way to an endpoint: the head, then the body as the client sends it.

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

use crate::{
    error::{Error, Kind, Retry},
    io::{
        buffer::BufferPool,
        splice::{Pipe, WORTH_IT},
    },
    protocol::h1::{framing::Framing, write_buffer::WriteBuffer},
};

/// Where a request body comes from.
pub trait BodySource {
    /// A piece of it, never an empty one; `None` at its end.
    ///
    /// # Errors
    /// The client's doing: it is gone, or what it sends is no body.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<&[u8]>, Error>>;

    /// So much of the last piece was used.
    fn taken(&mut self, count: usize);

    /// The client's socket, if the body and nothing else is read from it next. Only for bodies of a known
    /// length.
    fn socket(&mut self) -> Option<&TcpStream>;

    /// So many bytes of the body were taken from the socket.
    fn passed(&mut self, count: usize);

    /// Behind the end: whole lines of trailers that may be passed on.
    fn trailers(&mut self) -> Vec<u8>;

    /// Ready once the client has gone. Asked while nothing more of it is awaited.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// A request on its way.
#[derive(Debug)]
pub struct BodyWriter {
    outbox: WriteBuffer,
    body: Body,
    /// All of it is written, or no more of it will be.
    done: bool,
    /// Bytes of the body so far.
    bytes: u64,
    /// When the last of them was taken.
    last: Instant,
}

#[derive(Debug)]
enum Body {
    None,
    Some(Box<Flow>),
}

/// A body under way.
#[derive(Debug)]
struct Flow {
    chunked: bool,
    /// Bytes that may still come, and whether so many have to.
    left: u64,
    exact: bool,
    /// The last of it was taken.
    ended: bool,
    /// It may go through a pipe.
    may_pipe: bool,
    /// What the rest goes through, once it is known to be long.
    pipe: Option<Pipe>,
    /// Longest pause of the client.
    idle: Duration,
    /// Runs while the edge waits for the client.
    pause: Option<Pin<Box<Sleep>>>,
}

/// Why an upload came to an end before its time.
#[derive(Debug)]
pub enum Stopped {
    /// The client's doing.
    Client(Error),
    /// The endpoint takes no more.
    Endpoint(io::Error),
}

impl BodyWriter {
    /// A request with this head. `max` is the largest body in bytes, `idle` the client's longest pause.
    #[must_use]
    pub fn new(head: Vec<u8>, framing: Framing, max: Option<u64>, idle: Duration, now: Instant) -> Self {
        let flow = |left: u64, exact: bool| {
            let chunked = !exact;
            Body::Some(Box::new(Flow {
                chunked,
                left,
                exact,
                ended: false,
                may_pipe: exact,
                pipe: None,
                idle,
                pause: None,
            }))
        };
        let body = match framing {
            Framing::None => Body::None,
            Framing::Length(length) => flow(length, true),
            Framing::Chunked | Framing::Close => flow(max.unwrap_or(u64::MAX), false),
        };
        let mut outbox = WriteBuffer::default();
        *outbox.bytes_mut() = head;
        Self { outbox, body, done: false, bytes: 0, last: now }
    }

    /// Whether the endpoint may have seen something of it.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.outbox.has_begun()
    }

    /// Whether all of it is written.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Whether it has a body.
    #[must_use]
    pub fn has_body(&self) -> bool {
        matches!(self.body, Body::Some(_))
    }

    /// Bytes of the body that were taken from the client.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// To be sent from the start: one that has not begun, or has no body.
    pub fn rewind(&mut self) {
        self.outbox.rewind();
        self.done = false;
    }

    /// No more of it is to be sent.
    pub fn abandon(&mut self) {
        self.done = true;
    }

    /// Since when the endpoint could have answered, as things stand: the last byte it could have taken.
    /// While the client is awaited, whose pauses are bounded apart, that is now.
    #[must_use]
    pub fn endpoints_turn_since(&self, began: Instant, now: Instant) -> Instant {
        match &self.body {
            Body::None => began,
            Body::Some(flow) if flow.pause.is_some() => now,
            Body::Some(_) => began.max(self.last),
        }
    }

    /// Gives its memory back.
    pub fn give_back(&mut self, buffers: &BufferPool) {
        if let Body::Some(flow) = &mut self.body
            && let Some(pipe) = flow.pipe.take()
        {
            buffers.give_pipe(pipe);
        }
        buffers.give_head(std::mem::take(&mut self.outbox).into_memory());
    }

    /// Moves it on. Ready when all of it is written.
    ///
    /// # Errors
    /// Why it stopped; it is not to be polled again then.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut impl BodySource,
        to: &mut TcpStream,
        now: Instant,
    ) -> Poll<Result<(), Stopped>> {
        if self.done {
            return Poll::Ready(Ok(()));
        }
        if let Body::Some(flow) = &mut self.body
            && !flow.ended
        {
            ready!(flow.poll(cx, source, &mut self.outbox, to, &mut self.bytes, &mut self.last, now))?;
        }
        ready!(self.outbox.poll_flush(cx, to)).map_err(Stopped::Endpoint)?;
        self.done = true;
        Poll::Ready(Ok(()))
    }
}

impl Flow {
    /// Takes in the body. Ready when all of it was taken; some may still have to be written.
    #[expect(clippy::too_many_arguments, reason = "parts of one upload, borrowed apart")]
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut impl BodySource,
        outbox: &mut WriteBuffer,
        to: &mut TcpStream,
        bytes: &mut u64,
        last: &mut Instant,
        now: Instant,
    ) -> Poll<Result<(), Stopped>> {
        loop {
            if self.pipe.is_some() {
                return self.splice(cx, source, to, bytes, last, now);
            }
            // The client first: of a body that is none from its first byte on, the endpoint sees nothing.
            let Poll::Ready(piece) = source.poll_piece(cx) else {
                if outbox.poll_flush(cx, to).map_err(Stopped::Endpoint)?.is_pending() {
                    self.pause = None;
                    return Poll::Pending;
                }
                if self.may_pipe && self.left >= WORTH_IT && source.socket().is_some() {
                    self.pipe = Pipe::new().ok();
                    self.may_pipe = self.pipe.is_some();
                    if self.may_pipe {
                        continue;
                    }
                }
                return self.poll_pause(cx, now);
            };
            self.pause = None;
            let Some(piece) = piece.map_err(Stopped::Client)? else {
                self.ended = true;
                if self.exact && self.left > 0 {
                    return Poll::Ready(Err(Stopped::Client(Error::new(Kind::ClientGone, Retry::Never))));
                }
                if self.chunked {
                    outbox.end_chunks(&source.trailers());
                }
                return Poll::Ready(Ok(()));
            };
            if piece.len() as u64 > self.left {
                let kind = if self.exact { Kind::BadRequest } else { Kind::BodyTooLarge };
                return Poll::Ready(Err(Stopped::Client(Error::new(kind, Retry::Never))));
            }
            let taken = ready!(outbox.poll_piece(cx, to, piece, self.chunked)).map_err(Stopped::Endpoint)?;
            source.taken(taken);
            self.left -= (taken as u64).min(self.left);
            *bytes += taken as u64;
            *last = now;
        }
    }

    /// The client is awaited, but not for ever.
    fn poll_pause(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Result<(), Stopped>> {
        let idle = self.idle;
        let pause = self.pause.get_or_insert_with(|| Box::pin(sleep_until(now + idle)));
        ready!(pause.as_mut().poll(cx));
        Poll::Ready(Err(Stopped::Client(Error::new(Kind::BodyTimeout, Retry::Never))))
    }

    /// Passes the rest on by the pipe. Ready at its end.
    fn splice(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut impl BodySource,
        to: &TcpStream,
        bytes: &mut u64,
        last: &mut Instant,
        now: Instant,
    ) -> Poll<Result<(), Stopped>> {
        let gone = || Stopped::Client(Error::new(Kind::ClientGone, Retry::Never));
        let Some(pipe) = &mut self.pipe else { return Poll::Ready(Ok(())) };
        loop {
            while !pipe.is_empty() {
                ready!(pipe.poll_out(cx, to)).map_err(Stopped::Endpoint)?;
                *last = now;
            }
            if self.left == 0 {
                self.ended = true;
                return Poll::Ready(Ok(()));
            }
            let Some(socket) = source.socket() else { return Poll::Ready(Err(gone())) };
            match pipe.poll_in(cx, socket, self.left) {
                Poll::Ready(Ok(count @ 1..)) => {
                    self.pause = None;
                    source.passed(count);
                    self.left = self.left.saturating_sub(count as u64);
                    *bytes += count as u64;
                    *last = now;
                }
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(gone())),
                Poll::Pending => return self.poll_pause(cx, now),
            }
        }
    }
}
