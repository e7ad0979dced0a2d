//! A client's byte stream whose frames are inspected before h2 reads them.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    protocol::h2::{inspector::Inspector, mark::Token},
    worker::{Worker, client_activity::ClientActivity},
};

/// A stream that an [`Inspector`] reads along.
#[derive(Debug)]
pub(super) struct InspectedStream<S> {
    stream: S,
    inspector: Box<Inspector>,
    /// What the inspector holds and the client is counted for, in bytes.
    counted: usize,
    worker: Rc<Worker>,
    activity: Rc<ClientActivity>,
}

impl<S> InspectedStream<S> {
    /// Inspects `stream`, on which header lists may have `max_list` bytes.
    pub(super) fn new(
        stream: S,
        token: Token,
        max_list: usize,
        worker: &Rc<Worker>,
        activity: &Rc<ClientActivity>,
    ) -> Self {
        let inspector = Box::new(Inspector::new(token, max_list, worker.clock.now()));
        Self { stream, inspector, counted: 0, worker: Rc::clone(worker), activity: Rc::clone(activity) }
    }

    /// Counts what the inspector holds as held by the client.
    fn count(&mut self) {
        let memory = self.inspector.memory();
        if memory > self.counted {
            self.activity.hold(memory - self.counted);
        } else {
            self.activity.release(self.counted - memory);
        }
        self.counted = memory;
    }

    fn written(&mut self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count)) = &outcome {
            self.inspector.sent(*count);
        }
        outcome
    }
}

impl<S> Drop for InspectedStream<S> {
    fn drop(&mut self) {
        self.activity.release(self.counted);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for InspectedStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        loop {
            let output = this.inspector.output();
            let count = output.len().min(buf.remaining());
            if count > 0 {
                buf.put_slice(&output[..count]);
                this.inspector.consume(count);
                this.count();
            }
            if buf.filled().len() > before || buf.remaining() == 0 || this.inspector.is_ended() {
                return Poll::Ready(Ok(()));
            }
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
            let new = buf.filled().get(before..).unwrap_or_default();
            if new.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let passing = this.inspector.inspect(new, this.worker.clock.now());
            buf.set_filled(before + passing);
            this.count();
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for InspectedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
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
