//! One request over HTTP/2, from its head to the end of its response.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::Poll,
};

use h2::{RecvStream, server::SendResponse};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};

use super::{
    piece::Piece,
    relay::Relay,
    request_body::{RequestBody, Upload},
    response_stream::ResponseStream,
};
use crate::{
    error::{Error, Kind, Retry},
    protocol::{
        h1::{
            framing::Framing,
            head::{self, Field, Target},
        },
        h2::{
            fault::Answer,
            mark::{Mark, Token},
        },
        headers::{request::HeaderSummary, response::map},
    },
    proxy::{
        attempt,
        prepare::{Prepared, prepare},
        request::{RequestHead, UpstreamRequest, never},
        request_record::RequestRecord,
        respond::LocalReply,
    },
    upstream::connection::{ResponseHead, pool::PooledConnection},
    worker::{Worker, client_activity::ClientActivity},
};

/// Serves one request, whose body is this upload.
pub(super) async fn serve(
    worker: Rc<Worker>,
    activity: Rc<ClientActivity>,
    token: Rc<Token>,
    request: Request<RecvStream>,
    upload: Option<Upload>,
    reply: SendResponse<Piece>,
) {
    worker.clock.tick();
    let (mut head, incoming) = request.into_parts();
    let reply = RefCell::new(reply);
    let mark = token.take(&mut head.headers);
    let Begun { mut record, prepared, awaits_continue } =
        begin(&worker, &activity, &head, mark.as_ref(), incoming.is_end_stream());
    if let Some(Mark::Refuse(fault)) = mark {
        record.set_fault(Some(fault));
        if fault.answer() == Answer::Reset {
            record.fail(Kind::BadRequest);
            return reply.borrow_mut().send_reset(h2::Reason::PROTOCOL_ERROR);
        }
    }
    let local = match prepared {
        Ok(Prepared::Forward(upstream_request)) => {
            let source = RequestBody::new(incoming, upload, &reply, token, activity, awaits_continue);
            return forward(&worker, upstream_request, source, &reply, record).await;
        }
        Ok(Prepared::Reply(local)) => local,
        Err(error) => LocalReply::to(&error),
    };
    respond(&worker, &reply, local, head.method == Method::HEAD, &mut record).await;
}

/// Sends a request to an endpoint, and its response to the client.
async fn forward(
    worker: &Rc<Worker>,
    mut upstream_request: UpstreamRequest,
    mut source: RequestBody<'_>,
    reply: &RefCell<SendResponse<Piece>>,
    mut record: RequestRecord,
) {
    let error = match send(worker, &mut upstream_request, &mut source, reply, &mut record).await {
        Ok((head, pooled)) => {
            let relay = Relay { worker, pooled, upstream_request, source, record: &mut record };
            match pass_on(relay, reply, head).await {
                Ok(()) => record.complete(),
                Err(error) => record.fail(error.kind),
            }
            return;
        }
        Err(error) => error,
    };
    record.set_fault(source.fault());
    record.set_request_bytes(upstream_request.body.bytes());
    upstream_request.body.release(&worker.connections.buffers);
    if let Some(reason) = reset(&error) {
        record.fail(error.kind);
        return reply.borrow_mut().send_reset(reason);
    }
    if error.kind == Kind::ClientGone {
        // Nobody gets a response, so none is counted.
        return record.fail(error.kind);
    }
    respond(worker, reply, LocalReply::to(&error), upstream_request.to_head, &mut record).await;
}

/// Sends a request to an endpoint, until it responds or the client has reset the stream.
async fn send(
    worker: &Rc<Worker>,
    upstream_request: &mut UpstreamRequest,
    source: &mut RequestBody<'_>,
    reply: &RefCell<SendResponse<Piece>>,
    record: &mut RequestRecord,
) -> Result<(Response<()>, PooledConnection), Error> {
    let mut sending = pin!(attempt::send(worker, upstream_request, source, record, |head| response(worker, head)));
    poll_fn(|cx| {
        // A stream is a task of its own, so it must read the clock itself.
        worker.clock.tick();
        if let Poll::Ready(outcome) = sending.as_mut().poll(cx) {
            return Poll::Ready(outcome);
        }
        reply.borrow_mut().poll_reset(cx).map(|_reason| Err(never(Kind::ClientGone)))
    })
    .await
}

/// Passes a response on that has begun with this head.
///
/// # Errors
/// Why it was cut off.
async fn pass_on(mut relay: Relay<'_>, reply: &RefCell<SendResponse<Piece>>, head: Response<()>) -> Result<(), Error> {
    relay.record.set_status(head.status().as_u16());
    let is_complete = relay.is_complete();
    if is_complete {
        relay.finish();
    }
    let sent = reply.borrow_mut().send_response(head, is_complete);
    let stream = sent.map_err(|error| Error::because(Kind::ClientGone, Retry::Never, error))?;
    if is_complete {
        return Ok(());
    }
    let mut client = ResponseStream::new(stream);
    let outcome = poll_fn(|cx| relay.poll(cx, &mut client)).await;
    if let Err(error) = &outcome {
        client.reset(reset(error).unwrap_or(h2::Reason::INTERNAL_ERROR));
    }
    outcome
}

/// Sends a response of the edge itself.
async fn respond(
    worker: &Worker,
    reply: &RefCell<SendResponse<Piece>>,
    local: LocalReply,
    to_head: bool,
    record: &mut RequestRecord,
) {
    record.reply(&local);
    let (mut head, text) = local.response(record.edits().map(|edits| &**edits)).into_parts();
    record.set_status(head.status.as_u16());
    if head.status != StatusCode::NO_CONTENT {
        head.headers.insert(header::CONTENT_LENGTH, text.len().into());
    }
    date(worker, &mut head.headers);
    // Nothing can be done for a client that is gone, and the record has the error already.
    let sent = reply.borrow_mut().send_response(Response::from_parts(head, ()), to_head);
    let Ok(stream) = sent else { return };
    if to_head {
        return;
    }
    record.add_response_bytes(text.len() as u64);
    let mut client = ResponseStream::new(stream);
    client.push(text.into(), true);
    let _sent = poll_fn(|cx| client.poll_sent(cx)).await;
}

/// Returns the reason for which an error of the request's body resets its stream.
fn reset(error: &Error) -> Option<h2::Reason> {
    error.source.as_ref()?.downcast_ref::<h2::Error>()?.reason()
}

/// A request that is counted and logged from now on.
struct Begun {
    record: RequestRecord,
    prepared: Result<Prepared, Error>,
    /// The client waits for `100 Continue`.
    awaits_continue: bool,
}

/// Begins a request.
fn begin(
    worker: &Rc<Worker>,
    activity: &Rc<ClientActivity>,
    head: &http::request::Parts,
    mark: Option<&Mark>,
    is_end_stream: bool,
) -> Begun {
    let fields: Vec<Field<'_>> =
        head.headers.iter().map(|(name, value)| Field { name: name.as_str(), value: value.as_bytes() }).collect();
    let summary = HeaderSummary::of(&fields);
    let none = HeaderSummary::default();
    let target = Target {
        authority: head.uri.authority().map(http::uri::Authority::as_str),
        path_and_query: match mark {
            Some(Mark::Path(path)) => path.as_str(),
            _ => head.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str),
        },
    };
    let framing = match summary.as_ref().ok().and_then(|summary| summary.lengths.announced()) {
        _ if is_end_stream => Framing::None,
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
    let rejected = if let Some(Mark::Refuse(fault)) = mark {
        match fault.answer() {
            Answer::Reply(kind) => Some(kind),
            Answer::Reset => Some(Kind::BadRequest),
        }
    } else if let Err(kind) = summary {
        Some(kind)
    } else if fields.len() > view.config().limits.max_headers {
        // h2 limits only their bytes.
        Some(Kind::HeadTooLarge)
    } else if head.method == Method::CONNECT || target.path_and_query.is_empty() {
        Some(Kind::BadTarget)
    } else if !head::is_path(head.method.as_str(), target.path_and_query) {
        Some(Kind::BadRequest)
    } else {
        None
    };
    let prepared = match rejected {
        Some(kind) => Err(never(kind)),
        None => prepare(worker, &view, &activity.client, &request_head, &mut record),
    };
    Begun { record, prepared, awaits_continue: request_head.summary.expects_continue && !is_end_stream }
}

/// Returns the head of an endpoint's response for h2.
fn response(worker: &Worker, head: &ResponseHead<'_>) -> Response<()> {
    let mut response = Response::new(());
    // The parser accepts any three digits, `StatusCode` only those from 100.
    *response.status_mut() = StatusCode::from_u16(head.parts.status).unwrap_or(StatusCode::BAD_GATEWAY);
    *response.headers_mut() = map(head.bytes, head.parts.fields, head.summary, head.client_framing());
    date(worker, response.headers_mut());
    response
}

/// Adds the current time to a response without one (RFC 9110 section 6.6.1).
fn date(worker: &Worker, headers: &mut HeaderMap) {
    if !headers.contains_key(header::DATE)
        && let Ok(value) = worker.clock.with_date(HeaderValue::from_str)
    {
        headers.insert(header::DATE, value);
    }
}
