//! What was read from a stream and not used yet.
//!
//! A connection that waits holds no memory for it: the place is lent by the worker when bytes come and
//! given back when all of them are used, so ten thousand idle connections cost nothing here and the busy
//! ones share a few places that stay in the processor's cache.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, ReadBuf};

use crate::io::splice::Pipe;

/// Bytes of one place; a head may make it larger for a while.
pub const SIZE: usize = 64 * 1024;
/// Places that a worker keeps while they are not lent.
const KEPT: usize = 64;
/// Pipes that a worker keeps; each holds two file descriptors.
const KEPT_PIPES: usize = 16;
/// Memory for heads to be written that a worker keeps, and how large each of them may be. Bytes.
const KEPT_HEADS: (usize, usize) = (256, 16 * 1024);

/// Memory that a worker lends to its connections.
#[derive(Debug, Default)]
pub struct BufferPool {
    places: RefCell<Vec<Vec<u8>>>,
    heads: RefCell<Vec<Vec<u8>>>,
    pipes: RefCell<Vec<Pipe>>,
}

impl BufferPool {
    /// Memory to write a head into; empty.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        self.heads.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(1024))
    }

    /// Takes memory of [`head`](Self::head) back.
    pub fn give_head(&self, mut head: Vec<u8>) {
        let (most, largest) = KEPT_HEADS;
        let mut heads = self.heads.borrow_mut();
        if heads.len() < most && (1..=largest).contains(&head.capacity()) {
            head.clear();
            heads.push(head);
        }
    }

    /// A pipe for a long body, if there is one to be had.
    #[must_use]
    pub fn pipe(&self) -> Option<Pipe> {
        self.pipes.borrow_mut().pop().or_else(|| Pipe::new().ok())
    }

    /// Takes a pipe back; one that was left with bytes in it is of no use to others.
    pub fn give_pipe(&self, pipe: Pipe) {
        let mut pipes = self.pipes.borrow_mut();
        if pipes.len() < KEPT_PIPES && pipe.is_empty() {
            pipes.push(pipe);
        }
    }

    fn place(&self) -> Vec<u8> {
        self.places.borrow_mut().pop().unwrap_or_else(|| vec![0; SIZE])
    }

    fn give_place(&self, place: Vec<u8>) {
        let mut places = self.places.borrow_mut();
        if places.len() < KEPT && place.len() == SIZE {
            places.push(place);
        }
    }
}

/// Bytes that came and were not used yet.
#[derive(Debug, Default)]
pub struct Buffer {
    /// Empty or [`SIZE`] long, or longer for a long head. All of it is initialised.
    place: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// With these bytes in it already.
    #[cfg(test)]
    pub(crate) fn with(bytes: &[u8]) -> Self {
        Self { place: bytes.to_vec(), start: 0, end: bytes.len() }
    }

    /// What is there.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.place[self.start..self.end]
    }

    /// Whether nothing is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// So many bytes are used.
    pub fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start.saturating_add(count));
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Gives its place back if nothing is in it.
    pub fn rest(&mut self, buffers: &BufferPool) {
        if self.is_empty() && !self.place.is_empty() {
            buffers.give_place(std::mem::take(&mut self.place));
        }
    }

    /// Reads what the stream has, so that at most `max` bytes are there; 0 is the end of the stream. To
    /// be called with less than `max` there.
    ///
    /// # Errors
    /// The stream's; `OutOfMemory` with `max` bytes there.
    pub fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut S,
        buffers: &BufferPool,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        let room = max.saturating_sub(self.end - self.start);
        if room == 0 {
            return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into()));
        }
        if self.place.is_empty() {
            self.place = buffers.place();
        }
        if self.end == self.place.len() {
            self.make_room();
        }
        let end = self.place.len().min(self.end + room);
        let mut read = ReadBuf::new(&mut self.place[self.end..end]);
        let outcome = Pin::new(from).poll_read(cx, &mut read).map_ok(|()| read.filled().len());
        match &outcome {
            Poll::Ready(Ok(count)) => self.end += count,
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.rest(buffers),
        }
        outcome
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.place.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        } else {
            self.place.resize((self.place.len() * 2).max(SIZE), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn bytes_come_out_as_they_went_in_and_the_place_is_given_back() {
        let (mut near, mut far) = duplex(1 << 20);
        let buffers = BufferPool::default();
        let mut buffer = Buffer::with(b"first ");
        near.write_all(&[b'x'; 100_000]).await.unwrap();
        drop(near);
        let mut seen = Vec::new();
        while poll_fn(|cx| buffer.poll_fill(cx, &mut far, &buffers, 150_000)).await.unwrap() > 0 {
            let used = buffer.data().len() / 2;
            seen.extend_from_slice(&buffer.data()[..used]);
            buffer.consume(used);
        }
        seen.extend_from_slice(buffer.data());
        assert_eq!(seen.len(), 100_006);
        assert!(seen.starts_with(b"first x"));
        buffer.consume(usize::MAX);
        buffer.rest(&buffers);
        assert!(buffer.is_empty() && buffer.place.is_empty());
    }

    #[tokio::test]
    async fn no_more_is_read_than_allowed() {
        let (mut near, mut far) = duplex(1 << 20);
        let buffers = BufferPool::default();
        let mut buffer = Buffer::default();
        near.write_all(&[b'x'; 200_000]).await.unwrap();
        while buffer.data().len() < 150_000 {
            poll_fn(|cx| buffer.poll_fill(cx, &mut far, &buffers, 150_000)).await.unwrap();
        }
        assert_eq!(buffer.data().len(), 150_000);
        poll_fn(|cx| buffer.poll_fill(cx, &mut far, &buffers, 150_000)).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_connection_that_waits_holds_no_place() {
        let (_near, mut far) = duplex(1000);
        let (buffers, mut buffer) = (BufferPool::default(), Buffer::default());
        poll_fn(|cx| Poll::Ready(buffer.poll_fill(cx, &mut far, &buffers, SIZE).is_pending())).await;
        assert!(buffer.place.is_empty());
        assert_eq!(buffers.places.borrow().len(), 1);
    }
}
