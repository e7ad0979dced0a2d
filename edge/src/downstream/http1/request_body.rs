//! The body of a request, read from the client's connection.

use std::{
    io,
    task::{Context, Poll, ready},
};

use tokio::net::TcpStream;

use super::{interim::Interim, trailers};
use crate::{
    error::{Error, Kind, Retry},
    io::{
        buffer::{BLOCK_SIZE, Buffer},
        splice::Transport,
    },
    protocol::h1::{body::Reader, chunked::BodyEvent, framing::Framing, head},
    upstream::connection::body_source::BodySource,
    worker::{Worker, client_activity::ClientActivity},
};

/// How many bytes of later requests are read while one is in progress.
const PIPELINE: usize = 16 * 1024;

/// The state of a request body.
pub(super) struct RequestBody {
    pub(super) reader: Reader,
    /// The interim responses. The client may wait for `100 Continue` before it sends the body (RFC 9110 section
    /// 10.1.1).
    pub(super) interim: Interim,
    /// The client has sent all that it will, but may still read the response (RFC 9112 section 9.6).
    pub(super) half_closed: bool,
}

impl RequestBody {
    /// The body of a request whose head was just read.
    pub(super) fn new(framing: Framing, interim: Interim) -> Self {
        Self { reader: Reader::new(framing), interim, half_closed: false }
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
                    self.body.interim.body_began();
                    return Poll::Ready(Ok(self.incoming.data().get(..count)));
                }
                Ok(BodyEvent::End) => return Poll::Ready(Ok(None)),
                Ok(BodyEvent::More) => {}
                Err(_) => return Poll::Ready(Err(Error::new(Kind::BadRequest, Retry::Never))),
            }
            self.body.interim.invite_body();
            if let Poll::Ready(Err(_)) = self.poll_interim(cx) {
                return Poll::Ready(Err(gone()));
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
        if self.incoming.is_empty() && !self.body.interim.awaits_continue() { self.stream.socket() } else { None }
    }

    fn spliced(&mut self, count: usize) {
        self.body.reader.skip(count as u64);
        self.activity.read(count);
    }

    fn trailers(&mut self) -> Vec<u8> {
        trailers::lines(&self.body.reader)
    }

    fn interim(&mut self, head: &head::Response<'_>) {
        self.body.interim.pass_on(head);
    }

    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.body.interim.poll_flush(cx, self.stream, self.activity)
    }

    fn poll_disconnected(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.body.half_closed && self.incoming.data().len() < PIPELINE {
            match ready!(self.incoming.poll_fill(cx, self.stream, &self.worker.connections.buffers, PIPELINE)) {
                Ok(count @ 1..) => self.activity.read(count),
                Ok(0) => {
                    self.body.half_closed = true;
                    self.incoming.release(&self.worker.connections.buffers);
                }
                Err(_) => return Poll::Ready(()),
            }
        }
        if self.body.half_closed && self.stream.is_reset() { Poll::Ready(()) } else { Poll::Pending }
    }
}
