//! Read buffers, and the pool of memory that a worker's connections share.
//!
//! A waiting connection holds no memory. A buffer takes it from the worker's pool when bytes come and returns it when
//! all of them are consumed. Ten thousand idle connections cost nothing here, and the busy ones share a few blocks that
//! stay in the processor's cache.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, ReadBuf};

use crate::io::splice::Pipe;

/// The size of one block of memory, in bytes; a long head enlarges it temporarily.
pub const BLOCK_SIZE: usize = 64 * 1024;
/// The most unused blocks that a worker keeps.
const KEPT_BLOCKS: usize = 64;
/// The most unused pipes that a worker keeps; each holds two file descriptors.
const KEPT_PIPES: usize = 16;
/// The most unused vectors for heads that a worker keeps.
const KEPT_HEADS: usize = 256;
/// The largest vector for heads that a worker keeps, in bytes.
const MAX_KEPT_HEAD: usize = 16 * 1024;

/// The unused memory and pipes of one worker.
#[derive(Debug, Default)]
pub struct BufferPool {
    blocks: RefCell<Vec<Vec<u8>>>,
    heads: RefCell<Vec<Vec<u8>>>,
    pipes: RefCell<Vec<Pipe>>,
}

impl BufferPool {
    /// Takes an empty vector to write a head into.
    #[must_use]
    pub fn take_head(&self) -> Vec<u8> {
        self.heads.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(1024))
    }

    /// Returns a vector of [`take_head`](Self::take_head).
    pub fn return_head(&self, mut head: Vec<u8>) {
        let mut heads = self.heads.borrow_mut();
        if heads.len() < KEPT_HEADS && (1..=MAX_KEPT_HEAD).contains(&head.capacity()) {
            head.clear();
            heads.push(head);
        }
    }

    /// Takes a pipe for a long body, if one is available.
    #[must_use]
    pub fn take_pipe(&self) -> Option<Pipe> {
        self.pipes.borrow_mut().pop().or_else(|| Pipe::new().ok())
    }

    /// Returns a pipe. One that still contains bytes is closed.
    pub fn return_pipe(&self, pipe: Pipe) {
        let mut pipes = self.pipes.borrow_mut();
        if pipes.len() < KEPT_PIPES && pipe.is_empty() {
            pipes.push(pipe);
        }
    }

    fn take_block(&self) -> Vec<u8> {
        self.blocks.borrow_mut().pop().unwrap_or_else(|| vec![0; BLOCK_SIZE])
    }

    fn return_block(&self, block: Vec<u8>) {
        let mut blocks = self.blocks.borrow_mut();
        if blocks.len() < KEPT_BLOCKS && block.len() == BLOCK_SIZE {
            blocks.push(block);
        }
    }
}

/// Bytes that were read and not consumed yet.
#[derive(Debug, Default)]
pub struct Buffer {
    /// Empty, [`BLOCK_SIZE`] long, or longer for a long head. Always initialised.
    block: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// A buffer that contains `bytes`.
    #[cfg(test)]
    pub(crate) fn with(bytes: &[u8]) -> Self {
        Self { block: bytes.to_vec(), start: 0, end: bytes.len() }
    }

    /// The bytes.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.block[self.start..self.end]
    }

    /// Whether it contains no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Consumes `count` bytes, or all if there are fewer.
    pub fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start.saturating_add(count));
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Returns its memory to the pool if it is empty.
    pub fn release(&mut self, buffers: &BufferPool) {
        if self.is_empty() && !self.block.is_empty() {
            buffers.return_block(std::mem::take(&mut self.block));
        }
    }

    /// Reads once from the stream, until the buffer contains `max` bytes at most. Returns the number of bytes read; 0
    /// is the end of the stream.
    ///
    /// # Errors
    /// Those of the stream; `OutOfMemory` if the buffer already contains `max` bytes.
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
        if self.block.is_empty() {
            self.block = buffers.take_block();
        }
        if self.end == self.block.len() {
            self.make_room();
        }
        let end = self.block.len().min(self.end + room);
        let mut read = ReadBuf::new(&mut self.block[self.end..end]);
        let outcome = Pin::new(from).poll_read(cx, &mut read).map_ok(|()| read.filled().len());
        match &outcome {
            Poll::Ready(Ok(count)) => self.end += count,
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.release(buffers),
        }
        outcome
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.block.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        } else {
            self.block.resize((self.block.len() * 2).max(BLOCK_SIZE), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn bytes_come_out_as_they_went_in_and_the_memory_is_returned() {
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
        buffer.release(&buffers);
        assert!(buffer.is_empty() && buffer.block.is_empty());
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
    async fn a_connection_that_waits_holds_no_memory() {
        let (_near, mut far) = duplex(1000);
        let (buffers, mut buffer) = (BufferPool::default(), Buffer::default());
        poll_fn(|cx| Poll::Ready(buffer.poll_fill(cx, &mut far, &buffers, BLOCK_SIZE).is_pending())).await;
        assert!(buffer.block.is_empty());
        assert_eq!(buffers.blocks.borrow().len(), 1);
    }
}
