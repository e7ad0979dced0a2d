//! What is to be written to a stream: heads, framing and small pieces gathered into one write, large
//! pieces from where they are.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::AsyncWrite;

use super::chunked;
use crate::protocol::h1::coalesce;

/// Pieces up to this length are copied behind what waits already: one write for a head and a small body,
/// one for many small chunks. Bytes.
const SMALL: usize = 4 * 1024;
/// With so much gathered it is time to write. Bytes.
const FULL: usize = 16 * 1024;

/// Bytes on their way to a stream.
#[derive(Debug, Default)]
pub struct WriteBuffer {
    bytes: Vec<u8>,
    /// So many of them are written.
    written: usize,
    /// Something of the present message is written.
    begun: bool,
    /// Bytes that went out since somebody asked.
    moved: usize,
}

impl WriteBuffer {
    /// An empty one in the memory of an old one.
    #[must_use]
    pub fn reuse(mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        Self { bytes, ..Self::default() }
    }

    /// Its memory, to be used again.
    #[must_use]
    pub fn into_memory(self) -> Vec<u8> {
        self.bytes
    }

    /// Where heads are appended.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Whether all is written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.written == self.bytes.len()
    }

    /// Whether something of the message is written.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Bytes that went out since this was last asked.
    pub fn take_moved(&mut self) -> usize {
        std::mem::take(&mut self.moved)
    }

    /// All that is here is to be written again. Only before anything is written, or for a message
    /// without a body.
    pub fn rewind(&mut self) {
        self.written = 0;
        self.begun = false;
    }

    /// Writes all that waits.
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
        // TLS may hold records back that the socket had no room for.
        Pin::new(to).poll_flush(cx)
    }

    /// Takes a piece of a body, as a chunk if so asked, and returns how much of it. What was written
    /// before is forgotten: [`rewind`](Self::rewind) is for messages without a body.
    ///
    /// # Errors
    /// The stream's.
    pub fn poll_piece<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut S,
        piece: &[u8],
        chunked: bool,
    ) -> Poll<io::Result<usize>> {
        self.forget();
        let waiting = self.bytes.len() - self.written;
        let size = chunked::size_line(piece.len());
        let (before, behind): (&[u8], &[u8]) = if chunked { (size.as_bytes(), b"\r\n") } else { (b"", b"") };
        if piece.len() <= SMALL && waiting < FULL {
            for part in [before, piece, behind] {
                self.bytes.extend_from_slice(part);
            }
            return Poll::Ready(Ok(piece.len()));
        }
        let slices = [&self.bytes[self.written..], before, piece, behind].map(IoSlice::new);
        let count = ready!(coalesce::poll_write(to, cx, &slices))?;
        self.wrote(count);
        self.written += count.min(waiting);
        let Some(mut ahead) = count.checked_sub(waiting).filter(|ahead| *ahead > 0) else {
            return Poll::Ready(Ok(0));
        };
        self.forget();
        if !chunked {
            return Poll::Ready(Ok(ahead));
        }
        // A chunk that has begun has to end: what the stream did not take of it waits here.
        for part in [before, piece, behind] {
            self.bytes.extend_from_slice(part.get(ahead..).unwrap_or_default());
            ahead = ahead.saturating_sub(part.len());
        }
        Poll::Ready(Ok(piece.len()))
    }

    /// Ends a chunked body; `trailers` are whole lines.
    pub fn end_chunks(&mut self, trailers: &[u8]) {
        for part in [b"0\r\n", trailers, b"\r\n"] {
            self.bytes.extend_from_slice(part);
        }
    }

    fn wrote(&mut self, count: usize) {
        self.begun |= count > 0;
        self.moved += count;
    }

    /// Lets go of what is written, so that the memory does not grow with a long body.
    fn forget(&mut self) {
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

    /// What arrives when pieces are written to a stream that takes `room` bytes at a time.
    async fn arrived(pieces: &[Vec<u8>], chunked: bool, room: usize) -> Vec<u8> {
        let (mut near, mut far) = duplex(room);
        let reader = tokio::spawn(async move {
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            all
        });
        let mut outbox = WriteBuffer::default();
        outbox.bytes_mut().extend_from_slice(b"head ");
        let mut moved = 0;
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            let mut left = &piece[..];
            while !left.is_empty() {
                let taken = poll_fn(|cx| outbox.poll_piece(cx, &mut near, left, chunked)).await.unwrap();
                left = &left[taken..];
                moved += outbox.take_moved();
            }
        }
        if chunked {
            outbox.end_chunks(b"x: 1\r\n");
        }
        poll_fn(|cx| outbox.poll_flush(cx, &mut near)).await.unwrap();
        moved += outbox.take_moved();
        drop(near);
        let all = reader.await.unwrap();
        assert_eq!(all.len(), moved);
        all
    }

    proptest! {
        #[test]
        fn all_pieces_arrive_in_order(
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
                let (framing, piece) = decoder.next(&chunks[at..]).unwrap();
                at += framing;
                match piece {
                    chunked::BodyEvent::Data(count) => {
                        data.extend_from_slice(&chunks[at..at + count]);
                        decoder.taken(count);
                        at += count;
                    }
                    chunked::BodyEvent::More => prop_assert!(false, "chunks without an end"),
                    chunked::BodyEvent::End => break,
                }
            }
            prop_assert_eq!(data, pieces.concat());
            prop_assert_eq!((at, decoder.trailers()), (chunks.len(), &b"x: 1\r\n\r\n"[..]));
        }
    }

    #[tokio::test]
    async fn a_head_and_a_small_body_are_one_write() {
        let (mut near, mut far) = duplex(10_000);
        let mut outbox = WriteBuffer::default();
        outbox.bytes_mut().extend_from_slice(b"head ");
        assert_eq!(poll_fn(|cx| outbox.poll_piece(cx, &mut near, b"body", false)).await.unwrap(), 4);
        assert!(!outbox.has_begun(), "it waits for more");
        poll_fn(|cx| outbox.poll_flush(cx, &mut near)).await.unwrap();
        let mut buffer = [0; 100];
        let count = far.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..count], b"head body");
    }
}
