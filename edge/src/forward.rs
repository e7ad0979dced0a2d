//! A request's way through the edge: check, route, pick, send, perhaps send again, answer.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header, request::Parts};
use http_body::Body;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::{
    account::Account,
    body::{RequestBody, ResponseBody, announced_too_large},
    downstream::Downstream,
    error::{Error, Kind, Retry},
    headers, respond,
    stats::class,
    upgrade::{Far, Upgraded},
    upstream::{
        Endpoint,
        connection::{Connecting, Connection, InFlight, Slot},
        idle::Lease,
    },
    worker::{PoolView, Worker},
};

/// How often a request may pass an edge: more is a pool that leads back to one.
const MAX_PASSES: usize = 10;

/// Answers one request; whatever goes wrong becomes an answer too.
///
/// After a 101 the rest of the connection is left in `upgraded`, which HTTP/2 has no use for.
pub async fn forward(
    worker: &Rc<Worker>,
    downstream: &Rc<Downstream>,
    upgraded: Option<&RefCell<Option<Upgraded>>>,
    request: Request<Incoming>,
) -> Response<ResponseBody> {
    let mut account = Account::begin(worker, downstream, &request, Instant::now());
    match proxy(worker, downstream, request, &mut account).await {
        Ok(Answer::Response(response, lease)) => {
            account.answer(response.status());
            response.map(|incoming| ResponseBody::upstream(incoming, lease, account))
        }
        Ok(Answer::Upgrade(response, far)) => {
            account.answer(StatusCode::SWITCHING_PROTOCOLS);
            if let Some(upgraded) = upgraded {
                *upgraded.borrow_mut() = Some(Upgraded { far, account });
            }
            response.map(|_none| ResponseBody::none())
        }
        Err(error) => {
            let response = respond::response(&error);
            tracing::debug!(kind = error.kind.label(), source = ?error.source, "request failed");
            account.fail(error.kind);
            account.answer(response.status());
            response.map(|body| ResponseBody::own(body, account))
        }
    }
}

/// What an endpoint had to say.
enum Answer {
    Response(Response<Incoming>, Lease),
    Upgrade(Response<()>, Far),
}

async fn proxy(
    worker: &Rc<Worker>,
    downstream: &Downstream,
    request: Request<Incoming>,
    account: &mut Account,
) -> Result<Answer, Error> {
    let (mut head, body) = request.into_parts();
    let view = worker.view();
    // hyper sees to it on HTTP/1; on HTTP/2 it bounds bytes only.
    if head.headers.len() > view.config().limits.max_headers {
        return Err(never(Kind::HeadTooLarge));
    }
    if headers::passed(&head.headers) >= MAX_PASSES {
        return Err(never(Kind::Loop));
    }
    let host = headers::host(&head.method, &head.uri, head.version, &head.headers).map_err(never)?;
    account.host(host.as_ref());
    let host_text = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default();
    let (route, pool) = view.route(host_text, head.uri.path()).ok_or_else(|| never(Kind::NoRoute))?;
    account.routed(pool);
    let body = RequestBody::new(body, route.max_body, view.config().timeouts.body_idle, account.began());
    account.upload(body.progress());
    if announced_too_large(&head.headers, route.max_body) {
        return Err(never(Kind::BodyTooLarge));
    }
    let upgrade = headers::upgrade(head.version, &head.headers).filter(|_| body.is_end_stream());
    outgoing(&mut head, downstream, host.as_ref(), upgrade.as_ref())?;
    if !body.is_end_stream() && body.size_hint().exact().is_none() {
        // Said, not left to the library: it takes a GET for one without a body.
        head.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }

    let (mut response, mut lease) = send(worker, pool, Request::from_parts(head, body), account).await?;
    if let Some(connection) = lease.connection() {
        connection.endpoint().stats.of(worker.index).responses[class(response.status())].add(1);
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let asked = upgrade.is_some();
        return switch(worker, response, lease, asked, pool.handle.config.timeouts.tunnel_idle);
    }
    headers::strip_hop_by_hop(response.headers_mut());
    // The version is of one hop as well: an old endpoint must not cost the client its connection.
    *response.version_mut() = Version::HTTP_11;
    Ok(Answer::Response(response, lease))
}

/// Makes the head that goes upstream.
fn outgoing(
    head: &mut Parts,
    downstream: &Downstream,
    host: Option<&HeaderValue>,
    upgrade: Option<&HeaderValue>,
) -> Result<(), Error> {
    headers::strip_hop_by_hop(&mut head.headers);
    headers::forward(&mut head.headers, &downstream.client, host, head.version);
    if let Some(protocol) = upgrade {
        head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        head.headers.insert(header::UPGRADE, protocol.clone());
    }
    if head.uri.authority().is_some() {
        let path = head.uri.path_and_query().cloned().ok_or_else(|| never(Kind::BadRequest))?;
        head.uri = Uri::from(path);
    }
    head.version = Version::HTTP_11;
    // Nothing of the client's connection goes along (an upgrade in waiting, for one).
    head.extensions.clear();
    Ok(())
}

/// The attempt loop: sends the request until an endpoint answers, none is left, or it must not be sent
/// again (RFC 9110 section 9.2.2).
async fn send(
    worker: &Rc<Worker>,
    pool: &PoolView,
    mut request: Request<RequestBody>,
    account: &mut Account,
) -> Result<(Response<Incoming>, Lease), Error> {
    // Sent anew only without a body: one on its way is not held back for it.
    let replayable = is_idempotent(request.method()) && request.body().is_end_stream();
    let down = |endpoint: &Endpoint| replayable && endpoint.is_down() && !pool.handle.snapshot.load().panic;
    let mut tried = Tried::default();
    loop {
        let error = match connect(worker, pool, &mut tried, account).await {
            Ok(mut lease) => {
                let Some(connection) = lease.connection() else { return Err(never(Kind::NoEndpoint)) };
                let spare = replayable.then(|| copy(&request));
                let failed = match connection.exchange(request, down).await {
                    Ok(response) => {
                        connection.endpoint().succeeded();
                        return Ok((response, lease));
                    }
                    Err(failed) => *failed,
                };
                tried.failed(connection, &failed.error, worker.index);
                request = match (failed.unsent, spare) {
                    (Some(unsent), _) => unsent,
                    (None, Some(spare)) if failed.error.retry == Retry::IfIdempotent => spare,
                    _ => return Err(failed.error),
                };
                failed.error
            }
            Err(error) if error.retry == Retry::Unsent => error,
            // Nobody is left: what the last one said is closer to the cause.
            Err(error) => return Err(tried.last.unwrap_or(error)),
        };
        if tried.attempts >= pool.handle.config.attempts.get() {
            return Err(error);
        }
        tried.last = Some(error);
        account.retry();
    }
}

/// What has been tried for one request.
#[derive(Debug, Default)]
struct Tried {
    /// Ids of endpoints that failed it.
    endpoints: Vec<u64>,
    attempts: usize,
    /// An idle connection turned out to be closed: from here on only new ones.
    stale: bool,
    /// Why the last attempt failed.
    last: Option<Error>,
}

impl Tried {
    /// Notes a failed exchange. On an idle connection it says nothing about the endpoint, which may
    /// have closed it at its leisure, and it happens once at most, so it does not use up an attempt.
    fn failed(&mut self, connection: &Connection, error: &Error, worker: usize) {
        let endpoint = connection.endpoint();
        match error.kind {
            Kind::ResponseTimeout => endpoint.stats.of(worker).timeouts.add(1),
            Kind::UpstreamClosed | Kind::UpstreamInvalid => endpoint.stats.of(worker).resets.add(1),
            // The client's doing.
            _ => return,
        }
        if connection.is_reused() && error.kind == Kind::UpstreamClosed {
            self.stale = true;
            self.attempts = self.attempts.saturating_sub(1);
        } else {
            endpoint.failed();
            self.endpoints.push(endpoint.id);
        }
    }
}

/// Picks an endpoint and gets a connection to it, idle or new.
async fn connect(
    worker: &Rc<Worker>,
    pool: &PoolView,
    tried: &mut Tried,
    account: &mut Account,
) -> Result<Lease, Error> {
    tried.attempts += 1;
    let connecting = match pick(worker, pool, tried)? {
        Picked::Idle(connection) => {
            account.attempt(connection.endpoint());
            return Ok(Lease::new(connection, &worker.idle));
        }
        Picked::New(connecting) => connecting,
    };
    let endpoint = Arc::clone(connecting.endpoint());
    let stats = endpoint.stats.of(worker.index);
    account.attempt(&endpoint);
    match connecting.open(&pool.handle.config).await {
        Ok(connection) => {
            stats.connections.add(1);
            Ok(Lease::new(connection, &worker.idle))
        }
        Err(error) => {
            stats.connect_failures.add(1);
            endpoint.failed();
            tried.endpoints.push(endpoint.id);
            Err(error)
        }
    }
}

/// What [`pick`] found.
enum Picked {
    Idle(Box<Connection>),
    New(Connecting),
}

/// Picks among the usable endpoints, and among the healthy ones first when the request failed before.
fn pick(worker: &Rc<Worker>, pool: &PoolView, tried: &Tried) -> Result<Picked, Error> {
    let snapshot = pool.handle.snapshot.load();
    let untried = |endpoint: &Arc<Endpoint>| !tried.endpoints.contains(&endpoint.id);
    let again = !tried.endpoints.is_empty();
    let candidates =
        if again && snapshot.healthy.iter().any(untried) { &snapshot.healthy[..] } else { snapshot.usable() };
    let mut full: Vec<u64> = Vec::new();
    loop {
        let picked = pool.pick(
            candidates.len(),
            worker.random(),
            |index| candidates[index].stats.of(worker.index).in_flight.value(),
            |index| !untried(&candidates[index]) || full.contains(&candidates[index].id),
        );
        let Some(endpoint) = picked.map(|index| &candidates[index]) else {
            return Err(never(if full.is_empty() { Kind::NoEndpoint } else { Kind::PoolFull }));
        };
        if !tried.stale
            && let Some(connection) = worker.idle.take(endpoint.id)
        {
            return Ok(Picked::Idle(connection));
        }
        match Slot::take(endpoint, pool.handle.config.max_connections.get()) {
            Some(slot) => return Ok(Picked::New(Connecting::new(slot, worker.index))),
            None => full.push(endpoint.id),
        }
    }
}

fn never(kind: Kind) -> Error {
    Error::new(kind, Retry::Never)
}

/// RFC 9110 section 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE)
}

/// The same request again; only for one without a body.
fn copy(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::empty());
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    copy
}

/// After the endpoint's 101: bytes instead of HTTP, if that is what the client asked for.
fn switch(
    worker: &Worker,
    response: Response<Incoming>,
    mut lease: Lease,
    asked: bool,
    idle: Duration,
) -> Result<Answer, Error> {
    let invalid = || never(Kind::UpstreamInvalid);
    let connection = lease.release().filter(|_| asked).ok_or_else(invalid)?;
    let in_flight = InFlight::new(connection.endpoint(), worker.index);
    let (stream, ahead, slot) = connection.into_stream().ok_or_else(invalid)?;
    let (mut head, _empty) = response.into_parts();
    let protocol = head.headers.get(header::UPGRADE).cloned();
    headers::strip_hop_by_hop(&mut head.headers);
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        head.headers.insert(header::UPGRADE, protocol);
    }
    head.extensions.clear();
    Ok(Answer::Upgrade(Response::from_parts(head, ()), Far { stream, ahead, slot, idle, in_flight }))
}
