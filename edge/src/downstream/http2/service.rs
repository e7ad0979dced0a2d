//! Requests over HTTP/2. hyper implements the protocol; two bodies connect it to the edge's own HTTP/1.

use std::{
    cell::RefCell,
    convert::Infallible,
    error::Error as StdError,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::{
    net::TcpStream,
    task::{AbortHandle, spawn_local},
};

use crate::{
    error::{Error, Kind, Retry},
    protocol::{
        h1::{
            body::Reader,
            chunked::BodyEvent,
            framing::Framing,
            head::{self, Field, Target},
        },
        headers::{is_trailer, request::HeaderSummary, response::map, write_field},
    },
    proxy::{
        attempt,
        prepare::{Prepared, prepare},
        request::{RequestHead, UpstreamRequest},
        request_record::RequestRecord,
        respond::LocalReply,
    },
    upstream::connection::{
        Connection, ResponseHead, body_source::BodySource, body_writer::WriteError, pool::PooledConnection,
    },
    worker::{Worker, client_activity::ClientActivity},
};

/// Answers one request; an error becomes a response as well.
pub async fn answer(
    worker: &Rc<Worker>,
    activity: &Rc<ClientActivity>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    worker.clock.tick();
    let (head, incoming) = request.into_parts();
    let (mut record, upstream_request) = begin(worker, activity, &head, &incoming);
    let mut source = RequestBody { incoming, data: Bytes::new(), trailers: None };
    let outcome = match upstream_request {
        Ok(Prepared::Reply(reply)) => Err(reply),
        Ok(Prepared::Forward(mut upstream_request)) => {
            match send(worker, &mut upstream_request, &mut source, &mut record).await {
                Ok((response, pooled)) => Ok((response, pooled, upstream_request)),
                Err(error) => {
                    record.set_request_bytes(upstream_request.body.bytes());
                    upstream_request.body.release(&worker.connections.buffers);
                    Err(LocalReply::to(&error))
                }
            }
        }
        Err(error) => Err(LocalReply::to(&error)),
    };
    Ok(match outcome {
        Ok((response, pooled, upstream_request)) => {
            record.set_status(response.status().as_u16());
            let worker = Rc::clone(worker);
            let mut relay = Relay { worker, pooled, upstream_request, source, record, failed: None, reader: None };
            if relay.is_complete() {
                relay.finish();
                response.map(|()| ResponseBody::Done)
            } else {
                response.map(|()| ResponseBody::Upstream(Shared::new(relay)))
            }
        }
        Err(reply) => {
            record.reply(reply);
            let response = reply.response();
            record.set_status(response.status().as_u16());
            response.map(|text| ResponseBody::Local(text, Box::new(record)))
        }
    })
}

/// Sends a request to an endpoint. A stream is a task of its own, so it must read the clock itself.
async fn send(
    worker: &Rc<Worker>,
    upstream_request: &mut UpstreamRequest,
    source: &mut RequestBody,
    record: &mut RequestRecord,
) -> Result<(Response<()>, PooledConnection), Error> {
    let mut sending = pin!(attempt::send(worker, upstream_request, source, record, response));
    poll_fn(|cx| {
        worker.clock.tick();
        sending.as_mut().poll(cx)
    })
    .await
}

/// Begins a request: from here on it is counted and logged.
fn begin(
    worker: &Rc<Worker>,
    activity: &Rc<ClientActivity>,
    head: &http::request::Parts,
    incoming: &Incoming,
) -> (RequestRecord, Result<Prepared, Error>) {
    let fields: Vec<Field<'_>> =
        head.headers.iter().map(|(name, value)| Field { name: name.as_str(), value: value.as_bytes() }).collect();
    let summary = HeaderSummary::of(&fields);
    let none = HeaderSummary::default();
    let target = Target {
        authority: head.uri.authority().map(http::uri::Authority::as_str),
        path_and_query: head.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str),
    };
    let framing = match summary.as_ref().ok().and_then(|summary| summary.lengths.announced()) {
        _ if incoming.is_end_stream() => Framing::None,
        Some(0) => Framing::None,
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    };
    let request_head = RequestHead {
        method: head.method.as_str(),
        target,
        version: Version::HTTP_2,
        fields: &fields,
        summary: summary.as_ref().unwrap_or(&none),
        framing,
    };
    let mut record = RequestRecord::begin(worker, activity, &request_head);
    let view = worker.view();
    let rejected = if let Err(kind) = summary {
        Some(kind)
    } else if fields.len() > view.config().limits.max_headers {
        // hyper limits only their bytes.
        Some(Kind::HeadTooLarge)
    } else if head.method == http::Method::CONNECT || target.path_and_query.is_empty() {
        Some(Kind::BadTarget)
    } else if !head::is_path(head.method.as_str(), target.path_and_query) {
        Some(Kind::BadRequest)
    } else {
        None
    };
    let upstream_request = match rejected {
        Some(kind) => Err(Error::new(kind, Retry::Never)),
        None => prepare(worker, &view, &activity.client, &request_head, &mut record),
    };
    (record, upstream_request)
}

/// Returns the head of a response for hyper.
fn response(head: &ResponseHead<'_>) -> Response<()> {
    // One copy that all values share; it is parsed again to borrow from it.
    let bytes = Bytes::copy_from_slice(head.bytes);
    let headers = head::response(&bytes, |parts| map(&bytes, parts.fields, head.summary, head.client_framing()));
    let mut response = Response::new(());
    // The parser accepts any three digits, `StatusCode` only those from 100.
    *response.status_mut() = StatusCode::from_u16(head.parts.status).unwrap_or(StatusCode::BAD_GATEWAY);
    if let Ok(Some((headers, _))) = headers {
        *response.headers_mut() = headers;
    }
    response
}

/// The body of a request.
#[derive(Debug)]
struct RequestBody {
    incoming: Incoming,
    /// Data that arrived and was not used.
    data: Bytes,
    trailers: Option<HeaderMap>,
}

impl BodySource for RequestBody {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<&[u8]>, Error>> {
        while self.data.is_empty() {
            match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
                None => return Poll::Ready(Ok(None)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.data = data,
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
                Some(Err(error)) => {
                    return Poll::Ready(Err(Error::because(blame(&error), Retry::Never, error)));
                }
            }
        }
        Poll::Ready(Ok(Some(&self.data)))
    }

    fn consume(&mut self, count: usize) {
        self.data.advance(count.min(self.data.len()));
    }

    fn socket(&mut self) -> Option<&TcpStream> {
        None
    }

    fn spliced(&mut self, _count: usize) {}

    fn trailers(&mut self) -> Vec<u8> {
        let mut lines = Vec::new();
        for (name, value) in self.trailers.take().iter().flatten() {
            if is_trailer(name.as_str()) {
                write_field(&mut lines, name.as_str(), value.as_bytes());
            }
        }
        lines
    }

    fn poll_disconnected(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        // hyper drops the whole request when its client disconnects.
        Poll::Pending
    }
}

/// Returns whether the client disconnected or sent a malformed body.
fn blame(error: &hyper::Error) -> Kind {
    let cause = StdError::source(error).and_then(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    match cause {
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => Kind::BadRequest,
        _ => Kind::ClientGone,
    }
}

/// The body of a response.
#[derive(Debug)]
pub enum ResponseBody {
    /// From an endpoint.
    Upstream(Shared),
    /// From the edge itself.
    Local(Bytes, Box<RequestRecord>),
    /// At its end.
    Done,
}

/// The body of an endpoint's response, and the rest of the request's body.
#[derive(Debug)]
pub struct Relay {
    worker: Rc<Worker>,
    pooled: PooledConnection,
    upstream_request: UpstreamRequest,
    source: RequestBody,
    record: RequestRecord,
    /// Why reading the client's body failed.
    failed: Option<Error>,
    /// Woken when that happens: the reader of the response.
    reader: Option<Waker>,
}

/// A relay, and the task that sends the rest of the request's body if the response began before its end. hyper does not
/// poll the response while the client gives no window for it, and a client may do so only after its whole body is read.
#[derive(Debug)]
pub struct Shared {
    relay: Rc<RefCell<Relay>>,
    upload: Option<AbortHandle>,
}

impl Shared {
    fn new(relay: Relay) -> Self {
        let done = relay.upstream_request.body.is_done();
        let relay = Rc::new(RefCell::new(relay));
        let upload = (!done).then(|| {
            let relay = Rc::clone(&relay);
            spawn_local(poll_fn(move |cx| relay.borrow_mut().poll_upload(cx))).abort_handle()
        });
        Self { relay, upload }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(task) = &self.upload {
            task.abort();
        }
    }
}

impl Relay {
    fn is_complete(&mut self) -> bool {
        self.pooled.connection().is_none_or(|connection| connection.body().is_done())
    }

    /// Bytes of the response still to come, if known.
    fn left(&self) -> Option<u64> {
        self.pooled.as_connection().and_then(Connection::remaining)
    }

    /// The whole response was given to hyper.
    fn finish(&mut self) {
        self.pooled.finish(self.upstream_request.body.is_done(), self.worker.clock.now());
        self.upstream_request.body.release(&self.worker.connections.buffers);
        self.record.set_request_bytes(self.upstream_request.body.bytes());
        self.record.complete();
    }

    /// Sends more of the request's body. Ready when no more of it will be sent.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.worker.clock.tick();
        let Some(connection) = self.pooled.connection() else { return Poll::Ready(()) };
        let polled = self.upstream_request.body.poll(cx, &mut self.source, &mut connection.stream, now);
        self.record.set_request_bytes(self.upstream_request.body.bytes());
        match ready!(polled) {
            Ok(()) => {}
            Err(WriteError::Client(error)) => {
                self.failed = Some(error);
                if let Some(reader) = self.reader.take() {
                    reader.wake();
                }
            }
            // The endpoint has answered and accepts no more of the request.
            Err(WriteError::Endpoint(_)) => {
                self.upstream_request.body.stop();
                connection.disable_reuse();
            }
        }
        Poll::Ready(())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Error>> {
        let now = self.worker.clock.tick();
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        if !self.upstream_request.body.is_done() {
            self.reader = Some(cx.waker().clone());
        }
        let Some(connection) = self.pooled.connection() else { return Poll::Ready(Ok(None)) };
        loop {
            match connection.next_event()? {
                BodyEvent::Data(count) => {
                    let data = Bytes::copy_from_slice(connection.data().get(..count).unwrap_or_default());
                    connection.consume(count, now);
                    self.record.add_response_bytes(count as u64);
                    return Poll::Ready(Ok(Some(Frame::data(data))));
                }
                BodyEvent::End => return Poll::Ready(Ok(trailers(connection.body()).map(Frame::trailers))),
                BodyEvent::More => ready!(connection.poll_read_more(cx, &self.worker.connections.buffers, now))?,
            }
        }
    }
}

/// Returns the trailers of a body that may be forwarded.
fn trailers(body: &Reader) -> Option<HeaderMap> {
    if body.trailers().is_empty() {
        return None;
    }
    let map = head::trailers(body.trailers(), |fields| {
        let parts = |field: &Field<'_>| {
            let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(field.value).ok()?))
        };
        fields.iter().filter(|field| is_trailer(field.name)).filter_map(parts).collect()
    });
    map.ok()
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut *self {
            Self::Upstream(shared) => {
                let mut relay = shared.relay.borrow_mut();
                let polled = relay.poll(cx);
                relay.record.mark_pending(polled.is_ready());
                let frame = ready!(polled);
                match &frame {
                    Ok(Some(frame)) if frame.is_data() && !relay.is_complete() => {}
                    Ok(_) => {
                        // Before the client has the last byte: its next request may need the connection.
                        relay.finish();
                        drop(relay);
                        *self = Self::Done;
                    }
                    Err(error) => {
                        relay.record.fail(error.kind);
                        drop(relay);
                        *self = Self::Done;
                    }
                }
                Poll::Ready(frame.transpose())
            }
            Self::Local(text, record) => {
                let text = std::mem::take(text);
                record.add_response_bytes(text.len() as u64);
                *self = Self::Done;
                Poll::Ready(Some(Ok(Frame::data(text))))
            }
            Self::Done => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Done)
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Upstream(shared) => shared.relay.borrow().left().map_or_else(SizeHint::default, SizeHint::with_exact),
            Self::Local(text, _) => SizeHint::with_exact(text.len() as u64),
            Self::Done => SizeHint::with_exact(0),
        }
    }
}
