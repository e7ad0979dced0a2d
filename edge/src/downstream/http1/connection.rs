//! An HTTP/1 connection of a client: one request after the other, each sent on as it comes.
//!
//! A usual request is read with one system call and written to its endpoint with one, its answer as
//! well, and between them nothing is allocated: heads are parsed where they were read and written into
//! memory that the worker lends.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use http::Version;
use tokio::{net::TcpStream, time::Instant};

use crate::{
    downstream::tunnel::{Far, Upgraded},
    error::{Error, Kind, Retry},
    io::{
        buffer::{Buffer, SIZE},
        splice::{MIN_SPLICE, Pipe, Transport},
    },
    protocol::{
        h1::{body::Reader, chunked::BodyEvent, framing::Framing, head, write_buffer::WriteBuffer},
        headers::{
            request::HeaderSummary,
            response::{self, Persistence},
            write_trailers,
        },
    },
    proxy::{
        attempt,
        prepare::{Prepared, prepare},
        request::{RequestHead, UpstreamRequest},
        request_record::RequestRecord,
        respond::LocalReply,
    },
    upstream::connection::{
        self as upstream, InFlight, ResponseHead, body_source::BodySource, body_writer::WriteError,
        pool::PooledConnection,
    },
    worker::{Worker, client_activity::ClientActivity},
};

/// What a client is told that waits with its body (RFC 9110 section 10.1.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// Bytes of later requests that are taken in while one is under way.
const PIPELINE: usize = 16 * 1024;
/// What is left of a request body when its answer is complete is read over if it is no longer than this
/// and here already; otherwise the connection ends. Bytes.
const LEFT_OVER: usize = 64 * 1024;

/// A client connection, and what is on its way in and out.
#[derive(Debug)]
pub struct Connection<'a, S> {
    worker: &'a Rc<Worker>,
    activity: &'a Rc<ClientActivity>,
    /// To the client.
    pub stream: S,
    /// What came and was not used yet.
    pub incoming: Buffer,
    /// Of `incoming`, what was looked through for the end of a head.
    looked: usize,
    outgoing: WriteBuffer,
}

/// How a connection ends.
#[derive(Debug)]
pub enum End {
    /// There is nothing more to do on it.
    Closed,
    /// The answer was cut off, and only a reset can say so.
    Cut,
    /// The client may still be sending: closing at once might lose the last answer.
    Unread,
    /// HTTP is over, the connection is not.
    Upgraded(Box<Upgraded>),
}

/// What a client did next.
enum Turn {
    Left,
    Bad(Kind),
    /// In a box, like the answering of it: a connection that waits is to have no place for them.
    Asked(Box<(Request, UpstreamRequest)>),
    Reply(Box<(Request, LocalReply)>),
}

/// A request whose head was read.
struct Request {
    record: RequestRecord,
    body: Incoming,
    /// The client speaks HTTP/1.0.
    is_http10: bool,
    to_head: bool,
    /// The client asks for the end of the connection, or its framing does.
    close: bool,
}

/// A request body on its way in.
struct Incoming {
    reader: Reader,
    /// What of [`CONTINUE`] is still to be sent before the body is awaited.
    pending_continue: &'static [u8],
    /// What the `Trailer` field announced.
    trailer: Option<Box<str>>,
}

/// The head of an answer that was written.
struct Answer {
    status: u16,
    chunked: bool,
    /// Its body may go through a pipe.
    may_pipe: bool,
    /// Only the end of the connection tells where it ends.
    to_the_end: bool,
    close: bool,
    trailer: Option<Box<str>>,
}

impl<'a, S: Transport> Connection<'a, S> {
    /// A connection that was just accepted.
    pub fn new(worker: &'a Rc<Worker>, activity: &'a Rc<ClientActivity>, stream: S) -> Self {
        let (incoming, outgoing) = (Buffer::default(), WriteBuffer::default());
        Self { worker, activity, stream, incoming, looked: 0, outgoing }
    }

    /// Reads what comes first; 0 is the end of the stream.
    ///
    /// # Errors
    /// The stream's.
    pub async fn read(&mut self) -> io::Result<usize> {
        let count =
            poll_fn(|cx| self.incoming.poll_fill(cx, &mut self.stream, &self.worker.connections.buffers, SIZE)).await?;
        self.activity.read(count);
        Ok(count)
    }

    /// Answers requests until the connection ends. The caller bounds the waiting by what
    /// [`ClientActivity`] says.
    pub async fn serve(&mut self) -> End {
        loop {
            match self.next().await {
                Turn::Left => return End::Closed,
                Turn::Bad(kind) => {
                    self.worker.stats().bad_heads.add(1);
                    self.begin_answer();
                    self.write_reply(LocalReply::Error(kind), false, Persistence::Close);
                    return if self.flush().await.is_ok() { End::Unread } else { End::Closed };
                }
                Turn::Asked(asked) => {
                    if let Some(end) = Box::pin(self.answer(asked)).await {
                        return end;
                    }
                }
                Turn::Reply(mut answered) => {
                    let (request, reply) = &mut *answered;
                    if let Some(end) = Box::pin(self.reply(request, *reply)).await {
                        return end;
                    }
                }
            }
            self.incoming.release(&self.worker.connections.buffers);
        }
    }

    /// Waits for the next request head.
    async fn next(&mut self) -> Turn {
        let max = self.worker.view().config().limits.max_head;
        if !self.incoming.is_empty() {
            self.activity.head_begins();
        }
        poll_fn(|cx| {
            loop {
                let here = self.incoming.data();
                if !here.is_empty() && (self.looked == 0 || head::is_complete(here, self.looked)) {
                    self.looked = here.len();
                    if let Some(turn) = self.look(max) {
                        return Poll::Ready(turn);
                    }
                }
                self.looked = self.incoming.data().len();
                if self.looked == 0 && self.activity.may_close() {
                    return Poll::Ready(Turn::Left);
                }
                match ready!(self.incoming.poll_fill(cx, &mut self.stream, &self.worker.connections.buffers, max)) {
                    Ok(0) => return Poll::Ready(Turn::Left),
                    Ok(count) => self.activity.read(count),
                    Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                        return Poll::Ready(Turn::Bad(Kind::HeadTooLarge));
                    }
                    Err(_) => return Poll::Ready(Turn::Left),
                }
            }
        })
        .await
    }

    /// Looks at the head that has come, if it has.
    fn look(&mut self, max: usize) -> Option<Turn> {
        let max_headers = self.worker.view().config().limits.max_headers;
        match head::request(self.incoming.data(), max_headers, |request| self.take(request)) {
            Ok(None) => None,
            Ok(Some((_, length))) if length > max => Some(Turn::Bad(Kind::HeadTooLarge)),
            Ok(Some((turn, length))) => {
                self.incoming.consume(length);
                self.looked = 0;
                Some(turn.unwrap_or_else(Turn::Bad))
            }
            Err(kind) => Some(Turn::Bad(kind)),
        }
    }

    /// Takes a request in: from here on it is counted and logged.
    fn take(&self, request: &head::Request<'_>) -> Result<Turn, Kind> {
        let &head::Request { method, target, version, fields } = request;
        let summary = HeaderSummary::of(fields)?;
        let is_http10 = version == Version::HTTP_10;
        let framing = summary.lengths.of_request(!is_http10)?;
        let asked = RequestHead { method, target, version, fields, summary: &summary, framing };
        let mut record = RequestRecord::begin(self.worker, self.activity, &asked);
        let view = self.worker.view();
        let outgoing = prepare(self.worker, &view, &self.activity.client, &asked, &mut record);
        let says_continue = summary.expects_continue && !is_http10 && framing != Framing::None;
        let request = Request {
            record,
            body: Incoming {
                reader: Reader::new(framing),
                pending_continue: if says_continue { CONTINUE } else { b"" },
                trailer: announced(summary.trailer, framing),
            },
            is_http10,
            to_head: method == "HEAD",
            close: summary.connection.close
                || summary.lengths.is_doubtful()
                || (is_http10 && !summary.connection.keep_alive),
        };
        Ok(match outgoing {
            Ok(Prepared::Forward(outgoing)) => Turn::Asked(Box::new((request, outgoing))),
            Ok(Prepared::Reply(reply)) => Turn::Reply(Box::new((request, reply))),
            Err(error) => Turn::Reply(Box::new((request, LocalReply::to(&error)))),
        })
    }

    /// Answers one request. `None` if the next may come.
    async fn answer(&mut self, mut asked: Box<(Request, UpstreamRequest)>) -> Option<End> {
        let (request, outgoing) = &mut *asked;
        self.begin_answer();
        let Self { worker, activity, stream, incoming, outgoing: outbox, .. } = &mut *self;
        let look = |head: &ResponseHead<'_>| {
            let close = request.close || activity.is_closing();
            worker.clock.with_date(|date| write_head(outbox.bytes_mut(), head, request.is_http10, close, date))
        };
        let mut source = Client { worker, activity, stream, incoming, body: &mut request.body };
        let sent = attempt::send(worker, outgoing, &mut source, &mut request.record, look).await;
        let (mut answer, mut pooled) = match sent {
            Ok(answered) => answered,
            Err(error) => {
                request.record.received(outgoing.body.bytes());
                outgoing.body.release(&worker.connections.buffers);
                return Box::pin(self.reply(request, LocalReply::to(&error))).await;
            }
        };
        request.record.answer(answer.status);
        if answer.status == 101 {
            return Some(Box::pin(self.upgrade(*asked, pooled)).await);
        }
        let mut pipe = None;
        let relayed = poll_fn(|cx| self.poll_relay(cx, request, outgoing, &mut answer, &mut pooled, &mut pipe)).await;
        if let Some(pipe) = pipe {
            self.worker.connections.buffers.return_pipe(pipe);
        }
        outgoing.body.release(&self.worker.connections.buffers);
        if let Err(kind) = relayed {
            tracing::debug!(kind = kind.label(), "an answer was cut off");
            request.record.fail(kind);
            return Some(if answer.to_the_end { End::Cut } else { End::Closed });
        }
        request.record.complete();
        self.end_answer();
        if !self.read_over(&mut request.body) {
            return Some(End::Unread);
        }
        answer.close.then_some(End::Closed)
    }

    /// Passes the body of an answer on, and what is still to come of the request's the other way.
    fn poll_relay(
        &mut self,
        cx: &mut Context<'_>,
        request: &mut Request,
        outgoing: &mut UpstreamRequest,
        answer: &mut Answer,
        pooled: &mut PooledConnection,
        pipe: &mut Option<Pipe>,
    ) -> Poll<Result<(), Kind>> {
        let Self { worker, activity, stream, incoming, outgoing: outbox, .. } = self;
        let Request { record, body, .. } = request;
        let now = worker.clock.now();
        if let Some(connection) = pooled.connection() {
            let mut source = Client { worker, activity, stream: &mut *stream, incoming, body };
            match outgoing.body.poll(cx, &mut source, &mut connection.stream, now) {
                Poll::Ready(Err(WriteError::Client(error))) => return Poll::Ready(Err(error.kind)),
                // The endpoint has answered and wants no more.
                Poll::Ready(Err(WriteError::Endpoint(_))) => {
                    outgoing.body.stop();
                    connection.disable_reuse();
                }
                Poll::Ready(Ok(())) => {
                    if source.poll_disconnected(cx).is_ready() {
                        return Poll::Ready(Err(Kind::ClientGone));
                    }
                }
                Poll::Pending => {}
            }
            record.received(outgoing.body.bytes());
        }
        while let Some(connection) = pooled.connection() {
            if let (Some(pipe), Some(socket)) = (&mut *pipe, stream.socket()) {
                ready!(splice(cx, connection, pipe, socket, activity, record, now))?;
            }
            match connection.next_event() {
                Ok(BodyEvent::Data(count)) => {
                    let piece = connection.data().get(..count).unwrap_or_default();
                    let taken = outbox.poll_data(cx, stream, piece, answer.chunked);
                    tell(activity, outbox, taken.is_pending());
                    let Ok(taken) = ready!(taken) else { return Poll::Ready(Err(Kind::ClientGone)) };
                    connection.consume(taken, now);
                    record.sent(taken as u64);
                }
                Ok(BodyEvent::End) => {
                    if answer.chunked {
                        outbox.end_chunks(&trailers(connection.body(), answer.trailer.as_deref()));
                    }
                    // Given back before the client has the last byte: the next request may need it.
                    pooled.finish(outgoing.body.is_done(), now);
                }
                Ok(BodyEvent::More) if answer.may_pipe && pipe.is_none() && is_long(connection, stream) => {
                    // What was read is to be ahead of what the pipe brings.
                    let flushed = outbox.poll_flush(cx, stream);
                    tell(activity, outbox, flushed.is_pending());
                    ready!(flushed).map_err(|_| Kind::ClientGone)?;
                    *pipe = worker.connections.buffers.take_pipe();
                    answer.may_pipe = pipe.is_some();
                }
                Ok(BodyEvent::More) => match connection.poll_read_more(cx, &worker.connections.buffers, now) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => {
                        // What came before is the client's.
                        let _sent = outbox.poll_flush(cx, stream);
                        tell(activity, outbox, false);
                        return Poll::Ready(Err(error.kind));
                    }
                    Poll::Pending => {
                        let flushed = outbox.poll_flush(cx, stream);
                        tell(activity, outbox, flushed.is_pending());
                        return match flushed {
                            Poll::Ready(Err(_)) => Poll::Ready(Err(Kind::ClientGone)),
                            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
                        };
                    }
                },
                Err(error) => return Poll::Ready(Err(error.kind)),
            }
        }
        let flushed = outbox.poll_flush(cx, stream);
        tell(activity, outbox, flushed.is_pending());
        flushed.map_err(|_| Kind::ClientGone)
    }

    /// Answers without an endpoint. Returns `None` if the next request may follow.
    async fn reply(&mut self, request: &mut Request, reply: LocalReply) -> Option<End> {
        request.record.reply(reply);
        if reply == LocalReply::Error(Kind::ClientGone) {
            return Some(End::Closed);
        }
        let whole = self.read_over(&mut request.body);
        let close = request.close || !whole || self.activity.is_closing();
        self.begin_answer();
        let sent = self.write_reply(reply, request.to_head, persistence(request.is_http10, close));
        request.record.answer(reply.status().as_u16());
        request.record.sent(sent as u64);
        let flushed = self.flush().await;
        self.end_answer();
        match (flushed, whole) {
            (Err(_), _) => Some(End::Closed),
            (Ok(()), false) => Some(End::Unread),
            (Ok(()), true) => close.then_some(End::Closed),
        }
    }

    /// Leaves HTTP behind: the head that says so goes out, and both streams are free.
    async fn upgrade(&mut self, (request, outgoing): (Request, UpstreamRequest), mut pooled: PooledConnection) -> End {
        let mut record = request.record;
        if self.flush().await.is_err() {
            record.fail(Kind::ClientGone);
            return End::Closed;
        }
        record.complete();
        self.end_answer();
        let Some(connection) = pooled.release() else { return End::Closed };
        let in_flight = InFlight::new(connection.endpoint(), self.worker.index);
        let idle = outgoing.pool.handle.config.timeouts.tunnel_idle;
        let (stream, ahead, permit) = connection.into_stream();
        End::Upgraded(Box::new(Upgraded { far: Far { stream, ahead, permit, idle, in_flight }, record }))
    }

    /// Reads over what is left of a request body, if it is here already and short. Whether it was.
    fn read_over(&mut self, body: &mut Incoming) -> bool {
        let Self { worker, activity, stream, incoming, .. } = self;
        let mut left = LEFT_OVER;
        // A client that was not told to send its body holds it back.
        while left > 0 && body.pending_continue.is_empty() {
            let mut source = Client { worker, activity, stream, incoming, body };
            // Nobody waits for more of it.
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

    fn begin_answer(&mut self) {
        self.end_answer();
        self.outgoing = WriteBuffer::reuse(self.worker.connections.buffers.take_head());
    }

    fn end_answer(&mut self) {
        self.worker.connections.buffers.return_head(std::mem::take(&mut self.outgoing).into_memory());
    }

    fn write_reply(&mut self, reply: LocalReply, to_head: bool, persistence: Persistence) -> usize {
        let out = self.outgoing.bytes_mut();
        self.worker.clock.with_date(|date| reply.write(out, to_head, persistence, date))
    }

    async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| {
            let flushed = self.outgoing.poll_flush(cx, &mut self.stream);
            tell(self.activity, &mut self.outgoing, flushed.is_pending());
            flushed
        })
        .await
    }
}

/// Whether what is still to come of an answer is worth a pipe.
fn is_long<S: Transport>(connection: &upstream::Connection, stream: &S) -> bool {
    connection.remaining().is_some_and(|left| left >= MIN_SPLICE) && stream.socket().is_some()
}

/// Passes the rest of an answer on by a pipe. Ready at its end.
fn splice(
    cx: &mut Context<'_>,
    connection: &mut upstream::Connection,
    pipe: &mut Pipe,
    socket: &TcpStream,
    activity: &ClientActivity,
    record: &mut RequestRecord,
    now: Instant,
) -> Poll<Result<(), Kind>> {
    loop {
        while !pipe.is_empty() {
            let moved = pipe.poll_out(cx, socket);
            if moved.is_pending() {
                activity.blocked();
            }
            let count = ready!(moved).map_err(|_| Kind::ClientGone)?;
            activity.wrote(count);
            record.sent(count as u64);
            connection.note_progress(now);
        }
        if connection.remaining() == Some(0) {
            return Poll::Ready(Ok(()));
        }
        ready!(connection.poll_splice(cx, pipe, now)).map_err(|error| error.kind)?;
    }
}

/// Tells what went to the client, and whether it takes no more.
fn tell(activity: &ClientActivity, outbox: &mut WriteBuffer, blocked: bool) {
    let moved = outbox.take_written();
    if moved > 0 {
        activity.wrote(moved);
    }
    if blocked {
        activity.blocked();
    } else {
        activity.unblocked();
    }
}

/// Writes the head of an answer for the client.
fn write_head(out: &mut Vec<u8>, head: &ResponseHead<'_>, is_http10: bool, close: bool, date: &str) -> Answer {
    let status = head.parts.status;
    // Without chunks only the end of the connection is left.
    let to_the_end = is_http10 && head.client_framing() == Framing::Chunked;
    let (framing, close) = if to_the_end { (Framing::Close, true) } else { (head.client_framing(), close) };
    let persistence = if status == 101 { Persistence::Upgrade } else { persistence(is_http10, close) };
    let line = response::Line { status, reason: head.parts.reason, framing, persistence, date };
    response::write(out, &line, head.parts.fields, head.summary);
    let chunked = framing == Framing::Chunked;
    let trailer = announced(head.summary.trailer, framing);
    Answer { status, chunked, may_pipe: !chunked, to_the_end, close, trailer }
}

fn persistence(is_http10: bool, close: bool) -> Persistence {
    match (is_http10, close) {
        (_, true) => Persistence::Close,
        (true, false) => Persistence::KeepAlive,
        (false, false) => Persistence::Stays,
    }
}

/// What a `Trailer` field says, where there can be trailers.
fn announced(trailer: Option<&[u8]>, framing: Framing) -> Option<Box<str>> {
    let trailer = trailer.filter(|_| framing == Framing::Chunked)?;
    str::from_utf8(trailer).ok().map(Box::from)
}

/// The trailers of a body that may be passed on, as lines.
fn trailers(body: &Reader, announced: Option<&str>) -> Vec<u8> {
    let mut lines = Vec::new();
    if let Some(announced) = announced
        && !body.trailers().is_empty()
    {
        // What is none is left out, like what was not announced.
        head::trailers(body.trailers(), |fields| write_trailers(&mut lines, announced, fields)).ok();
    }
    lines
}

/// The client's side of a request under way.
struct Client<'c, S> {
    worker: &'c Worker,
    activity: &'c ClientActivity,
    stream: &'c mut S,
    incoming: &'c mut Buffer,
    body: &'c mut Incoming,
}

impl<S: Transport> BodySource for Client<'_, S> {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<&[u8]>, Error>> {
        let gone = || Error::new(Kind::ClientGone, Retry::Never);
        loop {
            match self.body.reader.next(self.incoming) {
                Ok(BodyEvent::Data(count)) => {
                    self.body.pending_continue = b"";
                    return Poll::Ready(Ok(self.incoming.data().get(..count)));
                }
                Ok(BodyEvent::End) => return Poll::Ready(Ok(None)),
                Ok(BodyEvent::More) => {}
                Err(_) => return Poll::Ready(Err(Error::new(Kind::BadRequest, Retry::Never))),
            }
            if !self.body.pending_continue.is_empty() {
                let written = ready!(Pin::new(&mut *self.stream).poll_write(cx, self.body.pending_continue));
                let count = written.map_err(|_| gone())?;
                self.activity.wrote(count);
                // Half of it would spoil the answer, and a client without room for so little reads nothing.
                if count < self.body.pending_continue.len() {
                    return Poll::Ready(Err(gone()));
                }
                self.body.pending_continue = b"";
            }
            match ready!(self.incoming.poll_fill(cx, self.stream, &self.worker.connections.buffers, SIZE)) {
                Ok(count @ 1..) => self.activity.read(count),
                Ok(0) | Err(_) => return Poll::Ready(Err(gone())),
            }
        }
    }

    fn consume(&mut self, count: usize) {
        self.body.reader.consume(self.incoming, count);
    }

    fn socket(&mut self) -> Option<&TcpStream> {
        if self.incoming.is_empty() && self.body.pending_continue.is_empty() { self.stream.socket() } else { None }
    }

    fn spliced(&mut self, count: usize) {
        self.body.reader.skip(count as u64);
        self.activity.read(count);
    }

    fn trailers(&mut self) -> Vec<u8> {
        trailers(&self.body.reader, self.body.trailer.as_deref())
    }

    fn poll_disconnected(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.incoming.data().len() < PIPELINE {
            match ready!(self.incoming.poll_fill(cx, self.stream, &self.worker.connections.buffers, PIPELINE)) {
                Ok(count @ 1..) => self.activity.read(count),
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }
}
