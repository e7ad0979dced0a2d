//! The attempt loop: pick an endpoint, send the request, perhaps send it again. Whether the request came by
//! HTTP/1 or HTTP/2 is not known here.

use std::{rc::Rc, sync::Arc, task::Poll, time::Duration};

use crate::{
    error::{Error, Kind, Retry},
    observe::stats::class,
    proxy::{
        request::{UpstreamRequest, never},
        request_record::RequestRecord,
    },
    upstream::{
        Endpoint,
        connection::{
            Connecting, Connection, ConnectionPermit, Head,
            body_writer::{BodySource, BodyWriter, Stopped},
            pool::PooledConnection,
        },
    },
    worker::{PoolView, Worker},
};

/// How often a request that waits for its response looks whether its endpoint was found down.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The attempt loop: sends the request until an endpoint answers, none is left, or it must not be sent
/// again (RFC 9110 section 9.2.2). The head of the answer is shown to `look`.
///
/// # Errors
/// Why there is no answer.
pub async fn send<T>(
    worker: &Rc<Worker>,
    outgoing: &mut UpstreamRequest,
    source: &mut impl BodySource,
    record: &mut RequestRecord,
    mut look: impl FnMut(&Head<'_>) -> T,
) -> Result<(T, PooledConnection), Error> {
    let UpstreamRequest { body, pool, upgrade, to_head, replayable } = outgoing;
    let down = |endpoint: &Endpoint| *replayable && endpoint.is_down() && !pool.handle.snapshot.load().panic;
    let mut tried = RetryState::default();
    loop {
        let error = match connect(worker, pool, &mut tried, record).await {
            Ok(mut pooled) => {
                let Some(connection) = pooled.connection() else { return Err(never(Kind::NoEndpoint)) };
                let mut seen = |head: &Head<'_>| (head.parts.status, look(head));
                match exchange(worker, connection, body, source, *to_head, down, &mut seen).await {
                    // An end to HTTP that nobody has asked for.
                    Ok((101, _)) if !*upgrade => return Err(never(Kind::UpstreamInvalid)),
                    Ok((status, seen)) => {
                        let endpoint = connection.endpoint();
                        endpoint.succeeded();
                        endpoint.stats.of(worker.index).responses[class(status)].add(1);
                        return Ok((seen, pooled));
                    }
                    Err(error) => {
                        tried.failed(connection, &error, worker.index);
                        let again = match error.retry {
                            Retry::Unsent => true,
                            Retry::IfIdempotent => *replayable || !body.has_begun(),
                            Retry::Never => false,
                        };
                        if !again {
                            return Err(error);
                        }
                        body.rewind();
                        error
                    }
                }
            }
            Err(error) if error.retry == Retry::Unsent => error,
            // Nobody is left: what the last one said is closer to the cause.
            Err(error) => return Err(tried.last.unwrap_or(error)),
        };
        if tried.attempts >= pool.handle.config.attempts.get() {
            return Err(error);
        }
        tried.last = Some(error);
        record.retry();
    }
}

/// Sends a request on a connection and waits for the head of the response.
///
/// `abandon` is asked about once a second whether to give up because the endpoint was found down.
async fn exchange<T>(
    worker: &Worker,
    connection: &mut Connection,
    body: &mut BodyWriter,
    source: &mut impl BodySource,
    to_head: bool,
    abandon: impl Fn(&Endpoint) -> bool,
    look: &mut impl FnMut(&Head<'_>) -> T,
) -> Result<T, Error> {
    let allowed = connection.pool().timeouts.response;
    let began = worker.clock.now();
    connection.wait_for_room(body.has_body());
    connection.deadline.set(began + allowed.min(LOOK_AGAIN));
    std::future::poll_fn(|cx| {
        let now = worker.clock.now();
        match body.poll(cx, source, &mut connection.stream, now) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => {
                if source.poll_gone(cx).is_ready() {
                    return Poll::Ready(Err(never(Kind::ClientGone)));
                }
            }
            Poll::Ready(Err(Stopped::Client(error))) => return Poll::Ready(Err(error)),
            Poll::Ready(Err(Stopped::Endpoint(error))) => {
                if !body.has_begun() {
                    let error = Error::because(Kind::UpstreamClosed, Retry::Unsent, error);
                    return Poll::Ready(Err(error));
                }
                // It may have answered before it closed.
                body.abandon();
                connection.spoil();
            }
        }
        if let Poll::Ready(head) = connection.poll_head(cx, &worker.connections.buffers, to_head, look) {
            connection.moved(now);
            return Poll::Ready(head);
        }
        while connection.deadline.poll(cx).is_ready() {
            // Anew, since whoever fires is not to be told that it is too early.
            let now = worker.clock.tick();
            let due = body.endpoints_turn_since(began, now) + allowed;
            if now >= due {
                // An endpoint that is slow but not down would be as slow a second time.
                return Poll::Ready(Err(never(Kind::ResponseTimeout)));
            }
            if abandon(connection.endpoint()) {
                let why = "the endpoint was found down";
                let error = Error::because(Kind::ResponseTimeout, Retry::IfIdempotent, why);
                return Poll::Ready(Err(error));
            }
            connection.deadline.set((now + LOOK_AGAIN).min(due));
        }
        Poll::Pending
    })
    .await
}

/// What has been tried for one request.
#[derive(Debug, Default)]
struct RetryState {
    /// Ids of endpoints that failed it.
    endpoints: Vec<u64>,
    attempts: usize,
    /// An idle connection turned out to be closed: from here on only new ones.
    stale: bool,
    /// Why the last attempt failed.
    last: Option<Error>,
}

impl RetryState {
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
    tried: &mut RetryState,
    record: &mut RequestRecord,
) -> Result<PooledConnection, Error> {
    tried.attempts += 1;
    let connecting = match pick(worker, pool, tried)? {
        Picked::Idle(connection) => {
            record.attempt(connection.endpoint());
            return Ok(PooledConnection::new(connection, &worker.connections));
        }
        Picked::New(connecting) => connecting,
    };
    let endpoint = Arc::clone(connecting.endpoint());
    let stats = endpoint.stats.of(worker.index);
    record.attempt(&endpoint);
    match connecting.open(&pool.handle.config).await {
        Ok(connection) => {
            stats.connections.add(1);
            Ok(PooledConnection::new(connection, &worker.connections))
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
fn pick(worker: &Rc<Worker>, pool: &PoolView, tried: &RetryState) -> Result<Picked, Error> {
    let snapshot = pool.handle.snapshot.load();
    let untried = |endpoint: &Arc<Endpoint>| !tried.endpoints.contains(&endpoint.id);
    let again = !tried.endpoints.is_empty();
    let candidates =
        if again && snapshot.healthy.iter().any(untried) { &snapshot.healthy[..] } else { snapshot.usable() };
    let mut full: Vec<u64> = Vec::new();
    loop {
        let picked = pool.pick(
            !again,
            candidates.len(),
            worker.random(),
            |index| candidates[index].stats.of(worker.index).in_flight.value(),
            |index| !untried(&candidates[index]) || full.contains(&candidates[index].id),
        );
        let Some(endpoint) = picked.map(|index| &candidates[index]) else {
            return Err(never(if full.is_empty() { Kind::NoEndpoint } else { Kind::PoolFull }));
        };
        if !tried.stale
            && let Some(connection) = worker.connections.take(endpoint.id)
        {
            return Ok(Picked::Idle(connection));
        }
        match ConnectionPermit::take(endpoint, pool.handle.config.max_connections.get()) {
            Some(permit) => return Ok(Picked::New(Connecting::new(permit, worker.index))),
            None => full.push(endpoint.id),
        }
    }
}
