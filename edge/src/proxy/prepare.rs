//! Checks a request, finds its pool, and writes the head that goes upstream.

use std::rc::Rc;

use crate::{
    error::{Error, Kind},
    protocol::{
        h1::framing::Framing,
        headers::{
            Client,
            request::{Line, write},
        },
    },
    proxy::{
        max_forwards,
        request::{RequestHead, UpstreamRequest, never},
        request_record::RequestRecord,
    },
    upstream::connection::body_writer::BodyWriter,
    worker::{View, Worker},
};

/// How often a request may pass an edge: more is a pool that leads back to one.
const MAX_PASSES: usize = 10;

/// Checks a request, finds its pool, and makes the head that goes upstream.
///
/// # Errors
/// Why it is not sent to anybody.
pub fn prepare(
    worker: &Worker,
    view: &View,
    client: &Client,
    asked: &RequestHead<'_>,
    record: &mut RequestRecord,
) -> Result<UpstreamRequest, Error> {
    let &RequestHead { method, ref target, version, fields, summary, framing } = asked;
    if summary.passes >= MAX_PASSES {
        return Err(never(Kind::Loop));
    }
    let host = summary.host(target, version).map_err(never)?;
    record.host(host);
    let (left, limited);
    let fields = match max_forwards::limit(method, fields) {
        None => fields,
        // Nobody here plays the mirror that TRACE asks for.
        Some(0) => return Err(never(if method == "TRACE" { Kind::BadTarget } else { Kind::NoFurther })),
        Some(limit) => {
            left = (limit - 1).to_string();
            limited = max_forwards::limited(fields, &left);
            &limited
        }
    };
    let routed = view.route(host.unwrap_or_default(), target.path());
    let (route, pool) = routed.ok_or_else(|| never(Kind::NoRoute))?;
    record.routed(pool);
    if matches!((framing, route.max_body), (Framing::Length(length), Some(max)) if length > max) {
        return Err(never(Kind::BodyTooLarge));
    }
    let upgrade = if framing == Framing::None { summary.upgrade(version) } else { None };
    let mut head = worker.connections.buffers.head();
    let target = target.path_and_query;
    let line = Line { method, target, received: version, host, upgrade, framing };
    write(&mut head, &line, fields, summary, client);
    let pause = view.config().timeouts.body_idle;
    Ok(UpstreamRequest {
        body: BodyWriter::new(head, framing, route.max_body, pause, record.began()),
        pool: Rc::clone(pool),
        upgrade: upgrade.is_some(),
        to_head: method == "HEAD",
        replayable: framing == Framing::None && is_idempotent(method),
    })
}

/// RFC 9110 section 9.2.2.
fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}
