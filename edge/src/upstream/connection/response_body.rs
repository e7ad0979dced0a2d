//! Reads the body of a response.

use std::{
    io,
    task::{Context, Poll, ready},
};

use tokio::time::Instant;

use super::state::Connection;
use crate::{
    error::{Error, Kind, Retry},
    io::{
        buffer::{BLOCK_SIZE, BufferPool},
        splice::Pipe,
    },
    protocol::h1::{body::Reader, chunked::BodyEvent},
};

impl Connection {
    /// Returns the next event of the response body, whose data is then in [`data`](Self::data). Reads nothing from the
    /// stream.
    ///
    /// # Errors
    /// [`Kind::UpstreamClosed`] when the chunked coding is malformed.
    pub fn next_event(&mut self) -> Result<BodyEvent, Error> {
        let broken = |_| Error::because(Kind::UpstreamClosed, Retry::Never, "malformed chunked coding");
        self.body.next(&mut self.incoming).map_err(broken)
    }

    /// The bytes that were read and not consumed yet.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.incoming.data()
    }

    /// Consumes `count` bytes of the body.
    pub fn consume(&mut self, count: usize, now: Instant) {
        self.body.consume(&mut self.incoming, count);
        self.note_progress(now);
    }

    /// The position in the response body.
    pub fn body(&mut self) -> &mut Reader {
        &mut self.body
    }

    /// The bytes of the response body still to come, if known.
    #[must_use]
    pub fn remaining(&self) -> Option<u64> {
        self.body.remaining()
    }

    /// Reads more of the body.
    ///
    /// # Errors
    /// [`Kind::UpstreamClosed`] when the stream ends too early, [`Kind::ResponseTimeout`] when the endpoint pauses for
    /// too long.
    pub fn poll_read_more(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &BufferPool,
        now: Instant,
    ) -> Poll<Result<(), Error>> {
        match self.incoming.poll_fill(cx, &mut self.stream, buffers, BLOCK_SIZE) {
            Poll::Ready(Ok(0)) if self.body.end_of_stream() => Poll::Ready(Ok(())),
            polled => self.poll_outcome(cx, polled, now).map_ok(|_count| ()),
        }
    }

    /// Moves more of the body into an empty pipe.
    ///
    /// # Errors
    /// As [`poll_read_more`](Self::poll_read_more).
    pub fn poll_splice(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe, now: Instant) -> Poll<Result<(), Error>> {
        let polled = pipe.poll_in(cx, &self.stream, self.body.remaining().unwrap_or_default());
        let count = ready!(self.poll_outcome(cx, polled, now))?;
        self.body.skip(count as u64);
        Poll::Ready(Ok(()))
    }

    /// Maps the outcome of a read to progress, an error or the timeout. A read of 0 bytes is a premature end.
    fn poll_outcome(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<usize>>,
        now: Instant,
    ) -> Poll<Result<usize, Error>> {
        let Poll::Ready(outcome) = polled else {
            ready!(self.deadline.poll(cx));
            return Poll::Ready(Err(Error::new(Kind::ResponseTimeout, Retry::Never)));
        };
        match outcome {
            Ok(0) => Poll::Ready(Err(Error::new(Kind::UpstreamClosed, Retry::Never))),
            Ok(count) => {
                self.note_progress(now);
                Poll::Ready(Ok(count))
            }
            Err(error) => Poll::Ready(Err(Error::because(Kind::UpstreamClosed, Retry::Never, error))),
        }
    }
}
