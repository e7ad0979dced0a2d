//! Checks a request, finds its pool, and writes the head that goes upstream.

use std::rc::Rc;

use crate::{
    error::{Error, Kind},
    filters::Verdict,
    io::patience::Patience,
    protocol::{
        h1::framing::Framing,
        headers::{
            Client,
            request::{RequestLine, write},
        },
    },
    proxy::{
        affinity::affinity,
        client_limits, max_forwards,
        request::{RequestHead, UpstreamRequest, never},
        request_record::RequestRecord,
        respond::LocalReply,
        rules,
    },
    route::Asked,
    upstream::connection::{body_writer::BodyWriter, replay::Replay},
    worker::{View, Worker},
};

/// How often a request may pass an edge. More passes mean that a pool leads back to an edge.
const MAX_PASSES: usize = 10;

/// What to do with a request.
#[derive(Debug)]
pub enum Prepared {
    /// Send it to an endpoint.
    Forward(UpstreamRequest),
    /// Answer it here.
    Reply(LocalReply),
}

/// Checks a request, finds its pool, and writes the head that goes upstream.
///
/// # Errors
/// Why no endpoint may get the request.
pub fn prepare(
    worker: &Worker,
    view: &View,
    client: &Client,
    request: &RequestHead<'_>,
    record: &mut RequestRecord,
) -> Result<Prepared, Error> {
    client_limits::admit(worker, view, client, request, record)?;
    let &RequestHead { method, ref target, version, fields, summary, framing } = request;
    if worker.refuses(record.activity().held()) {
        return Err(never(Kind::Overloaded));
    }
    if summary.passes >= MAX_PASSES {
        return Err(never(Kind::Loop));
    }
    let host = summary.host(target, version).map_err(never)?;
    record.set_host(host);
    let (remaining, limited);
    let fields = match max_forwards::limit(method, fields) {
        None => fields,
        // TRACE asks for an echo of the request, which the edge does not give.
        Some(0) if method == "TRACE" => return Err(never(Kind::BadTarget)),
        Some(0) => return Ok(Prepared::Reply(LocalReply::MaxForwards)),
        Some(limit) => {
            remaining = (limit - 1).to_string();
            limited = max_forwards::limited(fields, &remaining);
            &limited
        }
    };
    let asked = Asked { host: host.unwrap_or_default(), path: target.path() };
    let found = view.route(&asked).map_err(never)?;
    let route = found.route.ok_or_else(|| never(Kind::NoRoute))?;
    let request_edits = match &route.rules {
        None => None,
        Some(rules) => match rules::apply(rules, view, client, request, &asked, &found.path, record) {
            Verdict::Answer(page) => return Ok(Prepared::Reply(LocalReply::Page(Box::new(page)))),
            Verdict::Forward(edits) => Some(edits),
        },
    };
    let pool = view.pools().get(route.pool).ok_or_else(|| never(Kind::NoRoute))?;
    record.routed(pool);
    if matches!((framing, route.max_body), (Framing::Length(length), Some(max)) if length > max) {
        return Err(never(Kind::BodyTooLarge));
    }
    let mut head = worker.connections.buffers.take_head();
    let via = pool.handle.config.via;
    let mut line = RequestLine::new(method, target.path_and_query, version, host, summary, framing, via);
    line.edits = request_edits.as_ref().map(|edits| &edits.fields);
    write(&mut head, &line, fields, summary, client);
    record.hold_head(head.capacity());
    let config = view.config();
    let patience = Patience { idle: config.timeouts.body_idle, min_rate: config.limits.min_rate };
    let idempotent = is_idempotent(method);
    let mut body = BodyWriter::new(head, framing, route.max_body, patience, record.began());
    if idempotent
        && let Some(replay) =
            Replay::new(framing, pool.handle.config.replay_buffer, worker.connections.buffers.memory())
    {
        body.keep(replay);
    }
    Ok(Prepared::Forward(UpstreamRequest {
        body,
        pool: Rc::clone(pool),
        upgrade: line.upgrade.is_some(),
        to_head: method == "HEAD",
        affinity: affinity(request, client, &pool.handle.config, config),
        idempotent,
        response_edits: record.edits().map(Rc::clone),
    }))
}

/// Whether sending the request twice has the effect of sending it once (RFC 9110 section 9.2.2).
fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}
