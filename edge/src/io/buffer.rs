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
mod tests;
