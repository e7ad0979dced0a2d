//! A client's byte stream that reports when bytes pass, and how many.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{io::splice::Transport, protocol::h1::coalesce, worker::client_activity::ClientActivity};

/// A stream that reports the bytes that pass through it to [`ClientActivity`]. Bytes that were read ahead come first.
#[derive(Debug)]
pub struct ObservedStream<S: Transport> {
    /// Read to detect the protocol, and reported then.
    ahead: Bytes,
    stream: S,
    activity: Rc<ClientActivity>,
}

impl<S: Transport> ObservedStream<S> {
    /// Observes `stream`, from which `ahead` was already read.
    pub fn new(stream: S, ahead: Bytes, activity: Rc<ClientActivity>) -> Self {
        Self { ahead, stream, activity }
    }

    fn written(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.activity.tick();
        match &outcome {
            Poll::Ready(Ok(count)) => self.activity.wrote(*count),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.activity.blocked(),
        }
        outcome
    }
}

impl<S: Transport> AsyncRead for ObservedStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if this.ahead.has_remaining() {
            let count = this.ahead.len().min(buf.remaining());
            buf.put_slice(&this.ahead.split_to(count));
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        this.activity.tick();
        this.activity.read(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<S: Transport> AsyncWrite for ObservedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = coalesce::poll_write(&mut self.stream, cx, bufs);
        self.written(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: Transport> Drop for ObservedStream<S> {
    fn drop(&mut self) {
        if self.activity.is_shed() && self.activity.is_blocked() {
            self.stream.reset_on_close();
        }
    }
}
