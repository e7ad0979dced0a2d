//! Parses the head of a request and begins the request.

use std::rc::Rc;

use http::Version;

use super::{interim::Interim, request_body::RequestBody};
use crate::{
    error::{Error, Kind, Retry},
    protocol::{
        h1::{framing::Framing, head},
        headers::request::HeaderSummary,
    },
    proxy::{
        prepare::{Prepared, prepare},
        request::{RequestHead, UpstreamRequest},
        request_record::RequestRecord,
        respond::LocalReply,
    },
    worker::{Worker, client_activity::ClientActivity},
};

/// What a client sent next. Boxed like the futures that answer it, so that an idle connection reserves no memory for
/// them.
pub(super) enum Next {
    /// It closed the connection.
    Closed,
    /// Bytes that are not a request.
    Malformed(Kind),
    /// A request for an endpoint.
    Forward(Box<(Request, UpstreamRequest)>),
    /// A request that the edge answers itself.
    Reply(Box<(Request, LocalReply)>),
}

/// A request whose head was read.
pub(super) struct Request {
    pub(super) record: RequestRecord,
    pub(super) body: RequestBody,
    pub(super) is_http10: bool,
    /// The method is HEAD.
    pub(super) to_head: bool,
    /// The connection closes after the response: the client asks for it, or the framing requires it.
    pub(super) close: bool,
}

/// Parses the head at the start of `bytes` and begins its request. A head longer than `max` bytes is rejected. Returns
/// what to do next and how many bytes the head took, or `None` while the head is incomplete.
pub(super) fn parse(
    worker: &Rc<Worker>,
    activity: &Rc<ClientActivity>,
    bytes: &[u8],
    max: usize,
) -> Option<(Next, usize)> {
    let mut slots = head::FieldSlots::new(worker.view().config().limits.max_headers);
    let (head, length) = match head::parse_request(bytes, &mut slots) {
        Ok(parsed) => parsed?,
        Err(kind) => return Some((Next::Malformed(kind), 0)),
    };
    let is_too_long = length > max;
    let next = match begin(worker, activity, &head, is_too_long) {
        Ok(next) => next,
        Err(_) if is_too_long => Next::Malformed(Kind::HeadTooLarge),
        Err(kind) => Next::Malformed(kind),
    };
    Some((next, length))
}

/// Begins a request, which is counted and logged from now on.
fn begin(
    worker: &Rc<Worker>,
    activity: &Rc<ClientActivity>,
    head: &head::Request<'_>,
    is_too_long: bool,
) -> Result<Next, Kind> {
    let &head::Request { method, target, version, fields } = head;
    let summary = HeaderSummary::of(fields)?;
    let is_http10 = version == Version::HTTP_10;
    let framing = summary.lengths.of_request(!is_http10)?;
    let head = RequestHead { method, target, version, fields, summary: &summary, framing };
    let mut record = RequestRecord::begin(worker, activity, &head);
    let prepared = if is_too_long {
        worker.stats().bad_heads.add(1);
        Err(Error::new(Kind::HeadTooLarge, Retry::Never))
    } else {
        prepare(worker, &worker.view(), &activity.client, &head, &mut record)
    };
    let awaits_continue = summary.expects_continue && framing != Framing::None;
    let request = Request {
        record,
        body: RequestBody::new(framing, Interim::new(is_http10, awaits_continue)),
        is_http10,
        to_head: method == "HEAD",
        close: is_too_long
            || summary.connection.close
            || summary.lengths.is_doubtful()
            || (is_http10 && !summary.connection.keep_alive),
    };
    Ok(match prepared {
        Ok(Prepared::Forward(upstream_request)) => Next::Forward(Box::new((request, upstream_request))),
        Ok(Prepared::Reply(reply)) => Next::Reply(Box::new((request, reply))),
        Err(error) => Next::Reply(Box::new((request, LocalReply::to(&error)))),
    })
}
