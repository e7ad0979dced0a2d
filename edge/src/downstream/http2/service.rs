//! Answers requests as `proxy` decides.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;

use super::{
    relay::Relay,
    request_body::{RequestBody, Upload},
    response_body::ResponseBody,
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
        request::{RequestHead, UpstreamRequest},
        request_record::RequestRecord,
        respond::LocalReply,
    },
    upstream::connection::{ResponseHead, pool::PooledConnection},
    worker::{Worker, client_activity::ClientActivity},
};

/// Answers one request, whose body is this upload; an error becomes a response as well.
///
/// # Errors
/// The reason of the reset, if the request breaks a rule that only HTTP/2 has.
pub async fn answer(
    worker: &Rc<Worker>,
    activity: &Rc<ClientActivity>,
    token: &Rc<Token>,
    request: Request<Incoming>,
    upload: Option<Upload>,
) -> Result<Response<ResponseBody>, h2::Error> {
    worker.clock.tick();
    let (mut head, incoming) = request.into_parts();
    let mark = token.take(&mut head.headers);
    let (mut record, upstream_request) = begin(worker, activity, &head, mark.as_ref(), &incoming);
    if let Some(Mark::Refuse(fault)) = mark {
        record.set_fault(Some(fault));
        if fault.answer() == Answer::Reset {
            record.fail(Kind::BadRequest);
            return Err(h2::Reason::PROTOCOL_ERROR.into());
        }
    }
    let mut source = RequestBody::new(incoming, upload, Rc::clone(token));
    let outcome = match upstream_request {
        Ok(Prepared::Reply(reply)) => Err(reply),
        Ok(Prepared::Forward(mut upstream_request)) => {
            match send(worker, &mut upstream_request, &mut source, &mut record).await {
                Ok((response, pooled)) => Ok((response, pooled, upstream_request)),
                Err(error) => {
                    record.set_fault(source.fault());
                    record.set_request_bytes(upstream_request.body.bytes());
                    upstream_request.body.release(&worker.connections.buffers);
                    if let Some(reason) = reset(&error) {
                        record.fail(error.kind);
                        return Err(reason.into());
                    }
                    Err(LocalReply::to(&error))
                }
            }
        }
        Err(error) => Err(LocalReply::to(&error)),
    };
    Ok(match outcome {
        Ok((response, pooled, upstream_request)) => {
            record.set_status(response.status().as_u16());
            let relay = Relay::new(Rc::clone(worker), pooled, upstream_request, source, record);
            response.map(|()| ResponseBody::relaying(relay))
        }
        Err(reply) => {
            record.reply(reply);
            let response = reply.response();
            record.set_status(response.status().as_u16());
            response.map(|text| ResponseBody::Local(text, Box::new(record)))
        }
    })
}

/// Returns the reason for which an error of the request's body resets its stream.
fn reset(error: &Error) -> Option<h2::Reason> {
    error.source.as_ref()?.downcast_ref::<h2::Error>()?.reason()
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

/// Begins a request, which is counted and logged from now on.
fn begin(
    worker: &Rc<Worker>,
    activity: &Rc<ClientActivity>,
    head: &http::request::Parts,
    mark: Option<&Mark>,
    incoming: &Incoming,
) -> (RequestRecord, Result<Prepared, Error>) {
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
    let rejected = if let Some(Mark::Refuse(fault)) = mark {
        match fault.answer() {
            Answer::Reply(kind) => Some(kind),
            Answer::Reset => Some(Kind::BadRequest),
        }
    } else if let Err(kind) = summary {
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
    let headers = head::response(&bytes, head.parts.fields.len(), |parts| {
        map(&bytes, parts.fields, head.summary, head.client_framing())
    });
    let mut response = Response::new(());
    // The parser accepts any three digits, `StatusCode` only those from 100.
    *response.status_mut() = StatusCode::from_u16(head.parts.status).unwrap_or(StatusCode::BAD_GATEWAY);
    if let Ok(Some((headers, _))) = headers {
        *response.headers_mut() = headers;
    }
    response
}
