//! One HTTP/1 connection: its requests, their responses, and how it ends.

use std::{
    future::poll_fn,
    io,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use super::{
    next_request::{self, Next, Request},
    relay::{EndpointExchange, Relay, report},
    request_body::{ClientBody, RequestBody},
    response_head::{self, persistence},
};
use crate::{
    downstream::tunnel::{TunnelUpstream, Upgraded},
    error::Kind,
    io::{
        buffer::{BLOCK_SIZE, Buffer},
        splice::Transport,
    },
    observe::refusals::Refusal,
    protocol::{
        h1::{head, write_buffer::WriteBuffer},
        headers::{edits::FieldEdits, response::Persistence},
    },
    proxy::{attempt, request::UpstreamRequest, respond::LocalReply},
    upstream::connection::{InFlight, ResponseHead, body_source::BodySource, pool::PooledConnection},
    worker::{Worker, client_activity::ClientActivity},
};

/// After a complete response, the edge discards the rest of the request's body if it has arrived and is no longer than
/// this, in bytes. Otherwise the connection ends.
const MAX_DISCARD: usize = 64 * 1024;

/// A client connection and its buffers.
#[derive(Debug)]
pub struct Connection<'a, S> {
    worker: &'a Rc<Worker>,
    activity: &'a Rc<ClientActivity>,
    /// To the client.
    pub stream: S,
    /// Bytes that were read and not used.
    pub incoming: Buffer,
    /// How many bytes of `incoming` were searched for the end of a head.
    searched: usize,
    out: WriteBuffer,
}

/// How a connection ends.
#[derive(Debug)]
pub enum ConnectionEnd {
    /// No request is in progress.
    Close,
    /// A response was cut off, which its framing shows the client. TLS must not end as after a complete one (RFC 8446
    /// section 6.1).
    Abort,
    /// A response was cut off, and only a reset can tell the client.
    Reset,
    /// The client may still be sending: an immediate close might lose the last response.
    Linger,
    /// The connection continues as a tunnel.
    Upgraded(Box<Upgraded>),
}

impl<'a, S: Transport> Connection<'a, S> {
    /// A connection that was just accepted.
    pub fn new(worker: &'a Rc<Worker>, activity: &'a Rc<ClientActivity>, stream: S) -> Self {
        let (incoming, out) = (Buffer::default(), WriteBuffer::default());
        Self { worker, activity, stream, incoming, searched: 0, out }
    }

    /// Reads more bytes into [`incoming`](Self::incoming); returns 0 at the end of the stream.
    ///
    /// # Errors
    /// The stream's.
    pub async fn read(&mut self) -> io::Result<usize> {
        let count =
            poll_fn(|cx| self.incoming.poll_fill(cx, &mut self.stream, &self.worker.connections.buffers, BLOCK_SIZE))
                .await?;
        self.activity.read(count);
        Ok(count)
    }

    /// Answers requests until the connection ends. The caller ends waits by [`ClientActivity::due`].
    pub async fn serve(&mut self) -> ConnectionEnd {
        loop {
            match self.next().await {
                Next::Closed => return ConnectionEnd::Close,
                Next::Malformed(kind) => {
                    self.worker.stats().bad_heads.add(1);
                    if let Some(reason) = Refusal::of(kind) {
                        self.activity.refuse(reason);
                    }
                    self.begin_response();
                    self.write_reply(&LocalReply::Error(kind), None, false, Persistence::Close);
                    return if self.flush().await.is_ok() { ConnectionEnd::Linger } else { ConnectionEnd::Close };
                }
                Next::Forward(request) => {
                    if let Some(end) = Box::pin(self.forward(request)).await {
                        return end;
                    }
                }
                Next::Reply(mut request) => {
                    let (request, reply) = &mut *request;
                    if let Some(end) = Box::pin(self.reply(request, reply)).await {
                        return end;
                    }
                }
            }
            self.incoming.release(&self.worker.connections.buffers);
        }
    }

    /// Waits for the next request head.
    async fn next(&mut self) -> Next {
        let max = self.worker.view().config().limits.max_head;
        if !self.incoming.is_empty() {
            self.activity.head_begins();
        }
        poll_fn(|cx| {
            loop {
                let bytes = self.incoming.data();
                if !bytes.is_empty()
                    && (self.searched == 0 || head::is_complete(bytes, self.searched))
                    && let Some((next, length)) = next_request::parse(self.worker, self.activity, bytes, max)
                {
                    self.incoming.consume(length);
                    self.searched = 0;
                    return Poll::Ready(next);
                }
                self.searched = self.incoming.data().len();
                if self.searched == 0 && self.activity.may_close() {
                    return Poll::Ready(Next::Closed);
                }
                match ready!(self.incoming.poll_fill(cx, &mut self.stream, &self.worker.connections.buffers, max)) {
                    Ok(0) => return Poll::Ready(Next::Closed),
                    Ok(count) => self.activity.read(count),
                    Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                        return Poll::Ready(Next::Malformed(Kind::HeadTooLarge));
                    }
                    Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => {
                        return Poll::Ready(Next::Malformed(Kind::Overloaded));
                    }
                    Err(_) => return Poll::Ready(Next::Closed),
                }
            }
        })
        .await
    }

    /// Sends a request to an endpoint and its response to the client. Returns `None` if the next request may follow.
    async fn forward(&mut self, mut forwarded: Box<(Request, UpstreamRequest)>) -> Option<ConnectionEnd> {
        let (request, upstream_request) = &mut *forwarded;
        self.begin_response();
        let Self { worker, activity, stream, incoming, out, .. } = &mut *self;
        let write_head = |head: &ResponseHead<'_>| {
            let close = request.close || activity.is_closing();
            worker.clock.with_date(|date| response_head::write(out.bytes_mut(), head, request.is_http10, close, date))
        };
        let mut client = ClientBody { worker, activity, stream, incoming, body: &mut request.body };
        let sent = attempt::send(worker, upstream_request, &mut client, &mut request.record, write_head).await;
        let (mut head, pooled) = match sent {
            Ok(answered) => answered,
            Err(error) => {
                request.record.set_request_bytes(upstream_request.body.bytes());
                upstream_request.body.release(&worker.connections.buffers);
                return Box::pin(self.reply(request, &LocalReply::to(&error))).await;
            }
        };
        out.bytes_mut().splice(0..0, client.body.interim.close());
        request.record.set_status(head.status);
        if head.status == 101 {
            return Some(Box::pin(self.upgrade(*forwarded, pooled)).await);
        }
        let exchange = EndpointExchange { request: &mut upstream_request.body, pooled };
        let mut relay = Relay { client, out, record: &mut request.record, head: &mut head, exchange, pipe: None };
        let relayed = poll_fn(|cx| relay.step(cx)).await;
        if let Some(pipe) = relay.pipe.take() {
            worker.connections.buffers.return_pipe(pipe);
        }
        drop(relay);
        upstream_request.body.release(&worker.connections.buffers);
        if let Err(kind) = relayed {
            tracing::debug!(kind = kind.label(), "a response was cut off");
            request.record.fail(kind);
            return Some(if head.until_close { ConnectionEnd::Reset } else { ConnectionEnd::Abort });
        }
        request.record.complete();
        self.end_response();
        if !self.discard_body(&mut request.body) {
            return Some(ConnectionEnd::Linger);
        }
        head.close.then_some(ConnectionEnd::Close)
    }

    /// Answers without an endpoint. Returns `None` if the next request may follow.
    async fn reply(&mut self, request: &mut Request, reply: &LocalReply) -> Option<ConnectionEnd> {
        request.record.reply(reply);
        if *reply == LocalReply::Error(Kind::ClientGone) {
            return Some(ConnectionEnd::Close);
        }
        let is_discarded = self.discard_body(&mut request.body);
        let close = request.close || !is_discarded || self.activity.is_closing();
        self.begin_response();
        self.out.bytes_mut().extend(request.body.interim.close());
        let edits = request.record.edits().map(|edits| &**edits);
        let sent = self.write_reply(reply, edits, request.to_head, persistence(request.is_http10, close));
        request.record.set_status(reply.status().as_u16());
        request.record.add_response_bytes(sent as u64);
        let flushed = self.flush().await;
        self.end_response();
        match (flushed, is_discarded) {
            (Err(_), _) => Some(ConnectionEnd::Close),
            (Ok(()), false) => Some(ConnectionEnd::Linger),
            (Ok(()), true) => close.then_some(ConnectionEnd::Close),
        }
    }

    /// Ends HTTP on the connection: sends the head of the 101 and frees both streams for a tunnel.
    async fn upgrade(
        &mut self,
        (request, mut upstream_request): (Request, UpstreamRequest),
        mut pooled: PooledConnection,
    ) -> ConnectionEnd {
        let mut record = request.record;
        record.set_request_bytes(upstream_request.body.bytes());
        upstream_request.body.release(&self.worker.connections.buffers);
        if self.flush().await.is_err() {
            record.fail(Kind::ClientGone);
            return ConnectionEnd::Close;
        }
        record.complete();
        self.end_response();
        let Some(connection) = pooled.release() else { return ConnectionEnd::Close };
        let in_flight = InFlight::new(connection.endpoint(), self.worker.index);
        let idle = upstream_request.pool.handle.config.timeouts.tunnel_idle;
        let (stream, mut ahead, permit) = connection.into_stream();
        // A tunnel may last for hours, so it keeps no block.
        let ahead = ahead.take(&self.worker.connections.buffers);
        let upstream = TunnelUpstream { stream, ahead, permit, idle, in_flight };
        ConnectionEnd::Upgraded(Box::new(Upgraded { upstream, record }))
    }

    /// Discards the rest of a request body if it has arrived and is short. Returns whether the body is at its end.
    fn discard_body(&mut self, body: &mut RequestBody) -> bool {
        let Self { worker, activity, stream, incoming, .. } = self;
        let mut left = MAX_DISCARD;
        // A client that still waits for 100 has sent no body.
        while left > 0 && !body.interim.awaits_continue() {
            let mut source = ClientBody { worker, activity, stream, incoming, body };
            // No task waits for more of it.
            match source.poll_data(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(Some(piece))) => {
                    let count = piece.len();
                    source.consume(count);
                    left = left.saturating_sub(count);
                }
                Poll::Ready(Ok(None)) => return true,
                Poll::Ready(Err(_)) | Poll::Pending => return false,
            }
        }
        body.reader.is_done()
    }

    fn begin_response(&mut self) {
        self.end_response();
        self.out = WriteBuffer::reuse(self.worker.connections.buffers.take_head());
    }

    fn end_response(&mut self) {
        self.worker.connections.buffers.return_head(std::mem::take(&mut self.out).into_memory());
    }

    fn write_reply(
        &mut self,
        reply: &LocalReply,
        edits: Option<&FieldEdits>,
        to_head: bool,
        persistence: Persistence,
    ) -> usize {
        let out = self.out.bytes_mut();
        self.worker.clock.with_date(|date| reply.write(out, edits, to_head, persistence, date))
    }

    async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| {
            let flushed = self.out.poll_flush(cx, &mut self.stream);
            report(self.activity, &mut self.out, flushed.is_pending());
            flushed
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;
    use crate::downstream::http1::testing;

    /// Sends `request` to a connection on a worker whose configuration allows heads of 1 KiB. Returns the response,
    /// the line of the access log, and the worker.
    async fn exchange(request: &str) -> (String, String, Rc<Worker>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log");
        let (worker, log) = testing::worker(&crate::config::AccessLog::File(file.clone()));
        let activity = testing::activity(&worker);
        let (mut client, stream) = duplex(1 << 16);
        client.write_all(request.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut connection = Connection::new(&worker, &activity, stream);
        // As the detection of the protocol does: more bytes than a head may have.
        connection.read().await.unwrap();
        connection.serve().await;
        drop(connection);
        let mut response = String::new();
        client.read_to_string(&mut response).await.unwrap();
        log.close(Duration::from_secs(10)).unwrap();
        (response, std::fs::read_to_string(file).unwrap(), worker)
    }

    #[tokio::test]
    async fn a_complete_head_that_is_too_long_is_logged_as_such_and_ends_the_connection() {
        let long = "x".repeat(2000);
        let request = format!("GET /path HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let (response, line, worker) = exchange(&request).await;
        assert!(response.starts_with("HTTP/1.1 431 ") && response.contains("connection: close\r\n"), "{response}");
        assert_eq!(response.matches("HTTP/1.1").count(), 1, "{response}");
        assert!(line.contains("\"error\":\"head_too_large\"") && line.contains("\"status\":431"), "{line}");
        let errors = |kind: Kind| worker.stats().errors[kind as usize].value();
        assert_eq!((errors(Kind::HeadTooLarge), errors(Kind::ClientGone)), (1, 0));
        assert_eq!(worker.stats().bad_heads.value(), 1);
        assert_eq!(worker.stats().refusals[Refusal::HeadTooLarge as usize].value(), 1);
    }

    #[tokio::test]
    async fn bytes_that_are_not_a_request_are_answered_and_counted_but_not_logged() {
        let (response, log, worker) = exchange("not HTTP\r\n\r\n").await;
        assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
        assert_eq!((log.as_str(), worker.stats().bad_heads.value()), ("", 1));
        assert_eq!(worker.stats().refusals[Refusal::BadRequest as usize].value(), 1);
    }
}
