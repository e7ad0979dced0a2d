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
    for (length, expected) in [(100, 1024), (900, 1024), (500, 2048), (20_000, BLOCK_SIZE), (100_000, 2 * BLOCK_SIZE)] {
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
