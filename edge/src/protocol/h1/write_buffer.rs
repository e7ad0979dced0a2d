//! Bytes to be written to a stream. Heads, framing and small data are combined into one write; large data is written
//! from where it is.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::AsyncWrite;

use super::chunked;
use crate::protocol::h1::coalesce;

/// Data up to this length is appended to the bytes that wait: one write for a head and a small body, one for many small
/// chunks. In bytes.
const SMALL: usize = 4 * 1024;
/// Data is not appended to more waiting bytes than this.
const FULL: usize = 16 * 1024;

/// Bytes on their way to a stream.
#[derive(Debug, Default)]
pub struct WriteBuffer {
    bytes: Vec<u8>,
    /// How many of them are written.
    written: usize,
    /// Some of the current message is written.
    begun: bool,
    /// See [`keep`](Self::keep).
    kept: bool,
    /// The bytes written since the last [`take_written`](Self::take_written).
    unreported: usize,
}

impl WriteBuffer {
    /// Creates an empty buffer that uses the memory of `bytes`.
    #[must_use]
    pub fn reuse(mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        Self { bytes, ..Self::default() }
    }

    /// Returns its memory for another use.
    #[must_use]
    pub fn into_memory(self) -> Vec<u8> {
        self.bytes
    }

    /// Returns the bytes that are not written yet.
    #[must_use]
    pub fn into_rest(mut self) -> Vec<u8> {
        self.bytes.split_off(self.written)
    }

    /// The bytes, for appending a head.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// All bytes in the buffer, written or not.
    #[must_use]
    pub fn all(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether everything is written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    /// Whether some of the message is written.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Returns the number of bytes written since the last call.
    pub fn take_written(&mut self) -> usize {
        std::mem::take(&mut self.unreported)
    }

    /// Keeps what is written from now on, so that the message can be written again from the start. All its data is then
    /// copied, so its source must limit it.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// Whether what was written is kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.kept
    }

    /// Ends [`keep`](Self::keep), and frees most of the memory if everything is written.
    pub fn stop_keeping(&mut self) {
        if std::mem::take(&mut self.kept) && self.is_empty() {
            self.discard_written();
            self.bytes.shrink_to(SMALL);
        }
    }

    /// Writes the bytes again from the start. Only before anything is written, for a message without a body, or while
    /// what was written is [kept](Self::keep).
    pub fn rewind(&mut self) {
        self.written = 0;
        self.begun = false;
    }

    /// Writes all waiting bytes.
    ///
    /// # Errors
    /// The stream's.
    pub fn poll_flush<S: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, to: &mut S) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let outcome = Pin::new(&mut *to).poll_write(cx, &self.bytes[self.written..]);
            let count = ready!(outcome)?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.wrote(count);
            self.written += count;
        }
        // TLS may hold back records for which the socket had no room.
        Pin::new(to).poll_flush(cx)
    }

    /// Accepts data of a body, as a chunk if `chunked`, and returns how many bytes of it. Discards the bytes already
    /// written unless they are [kept](Self::keep).
    ///
    /// # Errors
    /// The stream's.
    pub fn poll_data<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut S,
        data: &[u8],
        chunked: bool,
    ) -> Poll<io::Result<usize>> {
        self.discard_written();
        let waiting = self.bytes.len() - self.written;
        let size = chunked::size_line(data.len());
        let (before, after): (&[u8], &[u8]) = if chunked { (size.as_bytes(), b"\r\n") } else { (b"", b"") };
        if self.kept || (data.len() <= SMALL && waiting < FULL) {
            for part in [before, data, after] {
                self.bytes.extend_from_slice(part);
            }
            return Poll::Ready(Ok(data.len()));
        }
        let slices = [&self.bytes[self.written..], before, data, after].map(IoSlice::new);
        let count = ready!(coalesce::poll_write(to, cx, &slices))?;
        self.wrote(count);
        self.written += count.min(waiting);
        let Some(mut ahead) = count.checked_sub(waiting).filter(|ahead| *ahead > 0) else {
            return Poll::Ready(Ok(0));
        };
        self.discard_written();
        if !chunked {
            return Poll::Ready(Ok(ahead));
        }
        // A chunk that has begun must be completed: the part that the stream did not accept waits here.
        for part in [before, data, after] {
            self.bytes.extend_from_slice(part.get(ahead..).unwrap_or_default());
            ahead = ahead.saturating_sub(part.len());
        }
        Poll::Ready(Ok(data.len()))
    }

    /// Ends a chunked body. `trailers` are whole lines.
    pub fn end_chunks(&mut self, trailers: &[u8]) {
        for part in [b"0\r\n", trailers, b"\r\n"] {
            self.bytes.extend_from_slice(part);
        }
    }

    fn wrote(&mut self, count: usize) {
        self.begun |= count > 0;
        self.unreported += count;
    }

    /// Discards the written bytes, so that the memory does not grow with a long body.
    fn discard_written(&mut self) {
        if self.kept {
            return;
        }
        if self.is_empty() {
            self.bytes.clear();
            self.written = 0;
        } else if self.written >= FULL {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    /// Returns what arrives when pieces are written to a stream that accepts `room` bytes at a time.
    async fn arrived(pieces: &[Vec<u8>], chunked: bool, room: usize) -> Vec<u8> {
        let (mut near, mut far) = duplex(room);
        let reader = tokio::spawn(async move {
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            all
        });
        let mut buffer = WriteBuffer::default();
        buffer.bytes_mut().extend_from_slice(b"head ");
        let mut written = 0;
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            let mut left = &piece[..];
            while !left.is_empty() {
                let taken = poll_fn(|cx| buffer.poll_data(cx, &mut near, left, chunked)).await.unwrap();
                left = &left[taken..];
                written += buffer.take_written();
            }
        }
        if chunked {
            buffer.end_chunks(b"x: 1\r\n");
        }
        poll_fn(|cx| buffer.poll_flush(cx, &mut near)).await.unwrap();
        written += buffer.take_written();
        drop(near);
        let all = reader.await.unwrap();
        assert_eq!(all.len(), written);
        all
    }

    proptest! {
        #[test]
        fn all_data_arrives_in_order(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9000), 0..6),
            room in 1_usize..20_000,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let plain = runtime.block_on(arrived(&pieces, false, room));
            prop_assert_eq!(&plain[..5], b"head ");
            prop_assert_eq!(&plain[5..], pieces.concat());
            let chunks = runtime.block_on(arrived(&pieces, true, room));
            let mut decoder = chunked::Decoder::default();
            let (mut at, mut data) = (5, Vec::new());
            loop {
                let (framing, event) = decoder.next(&chunks[at..]).unwrap();
                at += framing;
                match event {
                    chunked::BodyEvent::Data(count) => {
                        data.extend_from_slice(&chunks[at..at + count]);
                        decoder.consume(count);
                        at += count;
                    }
                    chunked::BodyEvent::More => prop_assert!(false, "chunks do not end"),
                    chunked::BodyEvent::End => break,
                }
            }
            prop_assert_eq!(data, pieces.concat());
            prop_assert_eq!((at, decoder.trailers()), (chunks.len(), &b"x: 1\r\n\r\n"[..]));
        }
    }

    #[tokio::test]
    async fn a_message_that_is_kept_can_be_written_again_although_a_part_was_written() {
        let mut buffer = WriteBuffer::default();
        buffer.keep();
        buffer.bytes_mut().extend_from_slice(b"head ");
        let mut lost = duplex(10_000);
        poll_fn(|cx| buffer.poll_data(cx, &mut lost.0, b"first", true)).await.unwrap();
        poll_fn(|cx| buffer.poll_flush(cx, &mut lost.0)).await.unwrap();
        let large = vec![b'x'; SMALL + 1];
        assert_eq!(poll_fn(|cx| buffer.poll_data(cx, &mut lost.0, &large, true)).await.unwrap(), large.len());
        buffer.rewind();
        let (mut near, mut far) = duplex(10_000);
        buffer.end_chunks(b"");
        poll_fn(|cx| buffer.poll_flush(cx, &mut near)).await.unwrap();
        drop(near);
        let mut received = String::new();
        far.read_to_string(&mut received).await.unwrap();
        assert!(received.starts_with("head 5\r\nfirst\r\n1001\r\nxxx"), "{received}");
        assert!(received.ends_with("xxx\r\n0\r\n\r\n"), "{received}");
        buffer.stop_keeping();
        assert!(!buffer.is_kept() && buffer.into_memory().capacity() <= SMALL);
    }

    #[tokio::test]
    async fn a_head_and_a_small_body_are_one_write() {
        let (mut near, mut far) = duplex(10_000);
        let mut buffer = WriteBuffer::default();
        buffer.bytes_mut().extend_from_slice(b"head ");
        assert_eq!(poll_fn(|cx| buffer.poll_data(cx, &mut near, b"body", false)).await.unwrap(), 4);
        assert!(!buffer.has_begun(), "it waits for more data");
        poll_fn(|cx| buffer.poll_flush(cx, &mut near)).await.unwrap();
        let mut received = [0; 100];
        let count = far.read(&mut received).await.unwrap();
        assert_eq!(&received[..count], b"head body");
    }
}
