//! The client's side of a response: what h2 sends, as soon as the client grants a window for it.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::HeaderMap;

use super::piece::Piece;

/// The body of a response whose head was sent.
pub(super) struct ResponseStream {
    stream: SendStream<Piece>,
    /// A piece that waits for a window, and whether it is the last one.
    waiting: Option<(Piece, bool)>,
}

/// The client has reset the stream, or disconnected.
#[derive(Debug)]
pub(super) struct Gone;

impl ResponseStream {
    pub(super) fn new(stream: SendStream<Piece>) -> Self {
        Self { stream, waiting: None }
    }

    /// Ready once nobody reads the response any more.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        self.stream.poll_reset(cx).map(|_reason| Gone)
    }

    /// Takes a piece, which [`poll_sent`](Self::poll_sent) sends. The one before it must have been sent.
    pub(super) fn push(&mut self, piece: Piece, is_last: bool) {
        // One byte, although the piece is longer: h2 asks for the rest when it has the piece, and a stream that waits
        // with a large claim would keep the window of the connection from others.
        self.stream.reserve_capacity(1);
        self.waiting = Some((piece, is_last));
    }

    /// Ready when nothing waits.
    ///
    /// # Errors
    /// [`Gone`].
    pub(super) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        if self.waiting.is_none() {
            return Poll::Ready(Ok(()));
        }
        while self.stream.capacity() == 0 {
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Err(Gone)),
            }
        }
        let Some((piece, is_last)) = self.waiting.take() else { return Poll::Ready(Ok(())) };
        Poll::Ready(self.stream.send_data(piece, is_last).map_err(|_| Gone))
    }

    /// Ends the response after its last piece.
    ///
    /// # Errors
    /// [`Gone`].
    pub(super) fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), Gone> {
        let ended = match trailers {
            Some(trailers) => {
                // Gives back what is left of a claim.
                self.stream.reserve_capacity(0);
                self.stream.send_trailers(trailers)
            }
            None => self.stream.send_data(Piece::from(Bytes::new()), true),
        };
        ended.map_err(|_| Gone)
    }

    /// Cuts the response off.
    pub(super) fn reset(&mut self, reason: Reason) {
        self.stream.send_reset(reason);
    }
}
