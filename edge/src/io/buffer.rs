//! Read buffers, and the pool of memory that a worker's connections share.
//!
//! A waiting connection holds no memory, or only what it has received. A buffer takes a block from the worker's pool
//! when bytes come, exchanges it for a small one when they stop halfway, and returns it when all of them are consumed.
//! Ten thousand idle connections cost nothing here, two thousand unfinished heads cost what was sent of them, and the
//! busy ones share a few blocks that stay in the processor's cache.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};

pub use crate::io::memory::BLOCK_SIZE;
use crate::io::{
    memory::{Level, Memory},
    splice::Pipe,
};

/// The most unused blocks that a worker keeps.
const KEPT_BLOCKS: usize = 64;
/// The most unused pipes that a worker keeps; each holds two file descriptors.
const KEPT_PIPES: usize = 16;
/// The most unused vectors for heads that a worker keeps.
const KEPT_HEADS: usize = 256;
/// The largest vector for heads that a worker keeps, in bytes.
const MAX_KEPT_HEAD: usize = 16 * 1024;
/// The size of the smallest block, in bytes.
const MIN_BLOCK: usize = 1024;
/// A waiting buffer is exchanged for a smaller one if its data would fit this many times.
const MUCH_TOO_LARGE: usize = 4;

/// The unused memory and pipes of one worker.
#[derive(Debug)]
pub struct BufferPool {
    memory: Rc<Memory>,
    blocks: RefCell<Vec<Block>>,
    heads: RefCell<Vec<Vec<u8>>>,
    pipes: RefCell<Vec<Pipe>>,
    /// The fewest unused blocks and vectors since the last [`trim`](Self::trim): so many were not needed.
    spare: Cell<(usize, usize)>,
}

impl BufferPool {
    /// Creates an empty pool, whose memory is counted in `memory`.
    #[must_use]
    pub fn new(memory: Rc<Memory>) -> Self {
        let (blocks, heads, pipes) = (RefCell::default(), RefCell::default(), RefCell::default());
        Self { memory, blocks, heads, pipes, spare: Cell::default() }
    }

    /// The account that its memory is counted in.
    #[must_use]
    pub fn memory(&self) -> &Rc<Memory> {
        &self.memory
    }

    /// Takes an empty vector to write a head into.
    #[must_use]
    pub fn take_head(&self) -> Vec<u8> {
        let head = self.heads.borrow_mut().pop();
        self.note_spare();
        head.unwrap_or_else(|| Vec::with_capacity(1024))
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

    /// Frees the memory that was not needed since the last call. Called about once a second, so that the memory of a
    /// rush does not stay.
    pub fn trim(&self) {
        let (blocks, heads) = self.spare.get();
        let mut all = self.blocks.borrow_mut();
        let kept = all.len().saturating_sub(blocks);
        all.truncate(kept);
        let mut vectors = self.heads.borrow_mut();
        let kept_heads = vectors.len().saturating_sub(heads);
        vectors.truncate(kept_heads);
        self.spare.set((kept, kept_heads));
    }

    /// Takes a block of `size` bytes.
    fn take_block(&self, size: usize) -> Block {
        if size == BLOCK_SIZE {
            let block = self.blocks.borrow_mut().pop();
            self.note_spare();
            if let Some(block) = block {
                return block;
            }
        }
        Block::new(size, &self.memory)
    }

    fn return_block(&self, block: Block) {
        let mut blocks = self.blocks.borrow_mut();
        if blocks.len() < KEPT_BLOCKS && block.bytes.len() == BLOCK_SIZE && self.memory.level() == Level::Plenty {
            blocks.push(block);
        }
    }

    fn note_spare(&self) {
        let (blocks, heads) = self.spare.get();
        self.spare.set((blocks.min(self.blocks.borrow().len()), heads.min(self.heads.borrow().len())));
    }
}

impl Default for BufferPool {
    fn default() -> Self {
        Self::new(Memory::unlimited())
    }
}

/// A piece of memory that is counted as long as it exists.
#[derive(Debug)]
struct Block {
    /// Always initialised, and never empty.
    bytes: Vec<u8>,
    memory: Rc<Memory>,
}

impl Block {
    fn new(size: usize, memory: &Rc<Memory>) -> Self {
        memory.hold(size);
        Self { bytes: vec![0; size], memory: Rc::clone(memory) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.memory.release(self.bytes.len());
    }
}

/// Bytes that were read and not consumed yet.
#[derive(Debug, Default)]
pub struct Buffer {
    /// `None` while it contains no bytes and none are expected.
    block: Option<Block>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// A buffer that contains `bytes`.
    #[cfg(test)]
    pub(crate) fn with(bytes: &[u8]) -> Self {
        let mut block = Block::new(bytes.len().max(1), &Memory::unlimited());
        block.bytes[..bytes.len()].copy_from_slice(bytes);
        Self { block: Some(block), start: 0, end: bytes.len() }
    }

    /// The bytes.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.block.as_ref().and_then(|block| block.bytes.get(self.start..self.end)).unwrap_or_default()
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

    /// Takes the bytes out, and returns its memory to the pool.
    pub fn take(&mut self, buffers: &BufferPool) -> Bytes {
        let bytes = Bytes::copy_from_slice(self.data());
        self.consume(usize::MAX);
        self.release(buffers);
        bytes
    }

    /// Returns its memory to the pool if it is empty.
    pub fn release(&mut self, buffers: &BufferPool) {
        if self.is_empty()
            && let Some(block) = self.block.take()
        {
            buffers.return_block(block);
        }
    }

    /// Reads once from the stream, until the buffer contains `max` bytes at most. Returns the number of bytes read; 0
    /// is the end of the stream.
    ///
    /// # Errors
    /// Those of the stream; `OutOfMemory` if the buffer already contains `max` bytes, and `QuotaExceeded` if it would
    /// have to grow while the memory of the process is exhausted.
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
        if !self.make_room(buffers) {
            return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
        }
        let Some(block) = &mut self.block else { return Poll::Ready(Err(io::ErrorKind::OutOfMemory.into())) };
        let end = block.bytes.len().min(self.end.saturating_add(room));
        let mut read = ReadBuf::new(block.bytes.get_mut(self.end..end).unwrap_or_default());
        let outcome = Pin::new(from).poll_read(cx, &mut read).map_ok(|()| read.filled().len());
        match &outcome {
            Poll::Ready(Ok(count)) => self.end += count,
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.shrink(buffers),
        }
        outcome
    }

    /// Makes sure that there is room behind the data. Returns whether there is.
    fn make_room(&mut self, buffers: &BufferPool) -> bool {
        let size = buffers.memory.block_size();
        let data = self.end - self.start;
        match &mut self.block {
            None => self.block = Some(buffers.take_block(size)),
            // A small block was for a few bytes, which are consumed.
            Some(block) if data == 0 && block.bytes.len() < size => {
                self.release(buffers);
                self.block = Some(buffers.take_block(size));
            }
            Some(block) if self.end < block.bytes.len() => {}
            Some(block) if self.start > 0 => {
                block.bytes.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, data);
            }
            Some(_) if buffers.memory.level() == Level::Exhausted => return false,
            Some(block) => {
                let larger = size.max(block.bytes.len().saturating_mul(2));
                self.exchange(larger, buffers);
            }
        }
        true
    }

    /// Returns the memory that the data does not need, while nothing more comes.
    fn shrink(&mut self, buffers: &BufferPool) {
        if self.is_empty() {
            return self.release(buffers);
        }
        let fitting = (self.end - self.start).next_multiple_of(MIN_BLOCK);
        if self.block.as_ref().is_some_and(|block| fitting.saturating_mul(MUCH_TOO_LARGE) <= block.bytes.len()) {
            self.exchange(fitting, buffers);
        }
    }

    /// Moves the data to a block of `size` bytes, which must be enough.
    fn exchange(&mut self, size: usize, buffers: &BufferPool) {
        let mut block = buffers.take_block(size);
        let data = self.data();
        if let Some(room) = block.bytes.get_mut(..data.len()) {
            room.copy_from_slice(data);
            (self.start, self.end) = (0, data.len());
            if let Some(old) = self.block.replace(block) {
                buffers.return_block(old);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, sync::Arc};

    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::io::memory::Budget;

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
        assert!(buffer.is_empty() && buffer.block.is_none());
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
        assert!(buffer.block.is_none());
        assert_eq!(buffers.blocks.borrow().len(), 1);
    }

    /// A pool with a budget of 100 MiB, of which `used` are used.
    fn pool(used: usize) -> BufferPool {
        let buffers = BufferPool::new(Memory::new(Arc::new(Budget::new(Some(100 << 20), 1))));
        buffers.memory.hold(used << 20);
        buffers
    }

    /// Reads what has arrived; the stream stays open.
    async fn read_all(buffer: &mut Buffer, far: &mut DuplexStream, buffers: &BufferPool) -> io::Result<()> {
        poll_fn(|cx| {
            loop {
                match buffer.poll_fill(cx, far, buffers, 1 << 20) {
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Ready(Ok(())),
                }
            }
        })
        .await
    }

    fn size(buffer: &Buffer) -> usize {
        buffer.block.as_ref().map_or(0, |block| block.bytes.len())
    }

    #[tokio::test]
    async fn bytes_that_stop_halfway_hold_little_more_than_themselves() {
        let (mut near, mut far) = duplex(1 << 20);
        let (buffers, mut buffer) = (pool(0), Buffer::default());
        let mut sent = Vec::new();
        for (length, expected) in
            [(100, 1024), (900, 1024), (500, 2048), (20_000, BLOCK_SIZE), (100_000, 2 * BLOCK_SIZE)]
        {
            let piece = vec![u8::try_from(sent.len() % 251).unwrap(); length];
            near.write_all(&piece).await.unwrap();
            sent.extend_from_slice(&piece);
            read_all(&mut buffer, &mut far, &buffers).await.unwrap();
            assert!(buffer.data() == sent, "the bytes were changed");
            assert_eq!(size(&buffer), expected, "for {} bytes", sent.len());
        }
        // Full reads again, once the bytes are consumed.
        buffer.consume(usize::MAX);
        near.write_all(&[b'x'; BLOCK_SIZE]).await.unwrap();
        assert_eq!(poll_fn(|cx| buffer.poll_fill(cx, &mut far, &buffers, 1 << 20)).await.unwrap(), BLOCK_SIZE);
    }

    #[tokio::test]
    async fn all_memory_is_counted_and_given_back() {
        let (mut near, mut far) = duplex(1 << 20);
        let (buffers, mut buffer) = (pool(0), Buffer::default());
        near.write_all(&[b'x'; 200_000]).await.unwrap();
        read_all(&mut buffer, &mut far, &buffers).await.unwrap();
        let budget = |buffers: &BufferPool| usize::try_from(buffers.memory.budget().used()).unwrap();
        assert!(budget(&buffers) >= size(&buffer) && size(&buffer) >= 200_000);
        // Dropped as when a connection ends.
        drop(buffer);
        let memory = Rc::clone(&buffers.memory);
        drop(buffers);
        assert_eq!(Rc::strong_count(&memory), 1, "a block is still counted");
    }

    #[tokio::test]
    async fn reads_become_small_and_growth_ends_when_memory_runs_out() {
        for (used, expected) in [(60, 16 * 1024), (80, 4 * 1024), (100, 4 * 1024)] {
            let (mut near, mut far) = duplex(1 << 20);
            let (buffers, mut buffer) = (pool(used), Buffer::default());
            near.write_all(&[b'x'; 200_000]).await.unwrap();
            let count = poll_fn(|cx| buffer.poll_fill(cx, &mut far, &buffers, 1 << 20)).await.unwrap();
            assert_eq!(count, expected, "{used} %");
            let rest = read_all(&mut buffer, &mut far, &buffers).await;
            assert_eq!(rest.err().map(|error| error.kind()), (used == 100).then_some(io::ErrorKind::QuotaExceeded));
        }
    }

    #[test]
    fn memory_that_was_not_needed_since_the_last_trim_is_freed() {
        let buffers = pool(0);
        let blocks: Vec<_> = (0..10).map(|_| buffers.take_block(BLOCK_SIZE)).collect();
        let heads: Vec<_> = (0..10).map(|_| buffers.take_head()).collect();
        blocks.into_iter().for_each(|block| buffers.return_block(block));
        heads.into_iter().for_each(|head| buffers.return_head(head));
        let kept = || (buffers.blocks.borrow().len(), buffers.heads.borrow().len());
        // All were needed.
        buffers.trim();
        assert_eq!(kept(), (10, 10));
        // Three at a time.
        for _ in 0..5 {
            let blocks: Vec<_> = (0..3).map(|_| buffers.take_block(BLOCK_SIZE)).collect();
            blocks.into_iter().for_each(|block| buffers.return_block(block));
        }
        buffers.trim();
        assert_eq!(kept(), (3, 0));
        buffers.trim();
        assert_eq!(kept(), (0, 0));
    }

    #[test]
    fn bytes_that_are_taken_leave_no_memory_behind() {
        let buffers = pool(0);
        let mut buffer = Buffer::with(b"some bytes");
        buffer.consume(5);
        assert_eq!(buffer.take(&buffers), b"bytes"[..]);
        assert!(buffer.is_empty() && buffer.block.is_none());
        assert_eq!(buffer.take(&buffers), b""[..]);
    }

    #[test]
    fn no_unused_memory_is_kept_when_memory_is_scarce() {
        let buffers = pool(60);
        buffers.return_block(buffers.take_block(BLOCK_SIZE));
        assert!(buffers.blocks.borrow().is_empty());
    }
}
