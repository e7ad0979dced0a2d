//! The body of a request, read from the client's connection.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::net::TcpStream;

use super::trailers;
use crate::{
    error::{Error, Kind, Retry},
    io::{
        buffer::{BLOCK_SIZE, Buffer},
        splice::Transport,
    },
    protocol::h1::{body::Reader, chunked::BodyEvent, framing::Framing},
    upstream::connection::body_source::BodySource,
    worker::{Worker, client_activity::ClientActivity},
};

/// The interim response that a client may wait for before it sends its body (RFC 9110 section 10.1.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// How much of later requests is read while one is under way. Bytes.
const PIPELINE: usize = 16 * 1024;

/// The state of a request body.
pub(super) struct RequestBody {
    pub(super) reader: Reader,
    /// The part of [`CONTINUE`] that must be sent before the edge waits for the body.
    pub(super) pending_continue: &'static [u8],
    /// The client has sent all that it will, but may still read the response (RFC 9112 section 9.6).
    half_closed: bool,
}

impl RequestBody {
    /// The body of a request whose head was just read.
    pub(super) fn new(framing: Framing, expects_continue: bool) -> Self {
        Self {
            reader: Reader::new(framing),
            pending_continue: if expects_continue { CONTINUE } else { b"" },
            half_closed: false,
        }
    }
}

/// A request body together with the connection that it is read from.
pub(super) struct ClientBody<'c, S> {
    pub(super) worker: &'c Worker,
    pub(super) activity: &'c ClientActivity,
    pub(super) stream: &'c mut S,
    pub(super) incoming: &'c mut Buffer,
    pub(super) body: &'c mut RequestBody,
}

impl<S: Transport> BodySource for ClientBody<'_, S> {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<&[u8]>, Error>> {
        let gone = || Error::new(Kind::ClientGone, Retry::Never);
        loop {
            match self.body.reader.next(self.incoming) {
                Ok(BodyEvent::Data(count)) => {
                    self.body.pending_continue = b"";
                    return Poll::Ready(Ok(self.incoming.data().get(..count)));
                }
                Ok(BodyEvent::End) => return Poll::Ready(Ok(None)),
                Ok(BodyEvent::More) => {}
                Err(_) => return Poll::Ready(Err(Error::new(Kind::BadRequest, Retry::Never))),
            }
            if !self.body.pending_continue.is_empty() {
                let written = ready!(Pin::new(&mut *self.stream).poll_write(cx, self.body.pending_continue));
                let count = written.map_err(|_| gone())?;
                self.activity.wrote(count);
                // A partial line would corrupt the response, and a client without room for 25 bytes reads nothing.
                if count < self.body.pending_continue.len() {
                    return Poll::Ready(Err(gone()));
                }
                self.body.pending_continue = b"";
            }
            match ready!(self.incoming.poll_fill(cx, self.stream, &self.worker.connections.buffers, BLOCK_SIZE)) {
                Ok(count @ 1..) => self.activity.read(count),
                Ok(0) | Err(_) => return Poll::Ready(Err(gone())),
            }
        }
    }

    fn consume(&mut self, count: usize) {
        self.body.reader.consume(self.incoming, count);
    }

    fn socket(&mut self) -> Option<&TcpStream> {
        if self.incoming.is_empty() && self.body.pending_continue.is_empty() { self.stream.socket() } else { None }
    }

    fn spliced(&mut self, count: usize) {
        self.body.reader.skip(count as u64);
        self.activity.read(count);
    }

    fn trailers(&mut self) -> Vec<u8> {
        trailers::lines(&self.body.reader)
    }

    fn poll_disconnected(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.body.half_closed && self.incoming.data().len() < PIPELINE {
            match ready!(self.incoming.poll_fill(cx, self.stream, &self.worker.connections.buffers, PIPELINE)) {
                Ok(count @ 1..) => self.activity.read(count),
                Ok(0) => self.body.half_closed = true,
                Err(_) => return Poll::Ready(()),
            }
        }
        if self.body.half_closed && self.stream.is_reset() { Poll::Ready(()) } else { Poll::Pending }
    }
}
