//! The attempt loop: pick an endpoint, send the request, and send it again if that is allowed and worthwhile. Nothing
//! here knows whether the request came over HTTP/1 or HTTP/2.

use std::{rc::Rc, sync::Arc, task::Poll, time::Duration};

use tokio::time::Instant;

use crate::{
    config::Balance,
    error::{Error, Kind, Retry},
    observe::{decisions::Decision, peak_ewma::FAILED, stats::status_class},
    proxy::{
        pick::{Picked, pick},
        race,
        request::{UpstreamRequest, never},
        request_record::RequestRecord,
        retry_state::RetryState,
        session::set_cookie,
        upgrade,
        wait::{pause, wait},
    },
    upstream::{
        Endpoint,
        connection::{
            Connection, ResponseHead,
            body_source::BodySource,
            body_writer::{BodyWriter, WriteError},
            pool::PooledConnection,
        },
        health::error_share::is_server_error,
    },
    worker::{PoolView, Worker},
};

/// How long a request waits for its response before it asks for a check of its endpoint, and how often it then looks
/// whether the endpoint is known to be down.
const DOWN_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How often it looks while the outcome of that check is due, until [`LOOK_OFTEN`].
const DOWN_CHECK_SOON: Duration = Duration::from_millis(250);

/// How long after it was sent a request looks every [`DOWN_CHECK_SOON`]. Long polls, of which there may be thousands,
/// then look less often.
const LOOK_OFTEN: Duration = Duration::from_secs(4);

/// Sends the request until an endpoint responds, none is left, or it must not be sent again (RFC 9110 section 9.2.2).
/// Passes the head of the response to `on_head`.
///
/// # Errors
/// Why there is no response.
pub async fn send<T>(
    worker: &Rc<Worker>,
    request: &mut UpstreamRequest,
    source: &mut impl BodySource,
    record: &mut RequestRecord,
    mut on_head: impl FnMut(&ResponseHead<'_>) -> T,
) -> Result<(T, PooledConnection), Error> {
    let UpstreamRequest { body, pool, upgrade, to_head, replayable, affinity } = request;
    let down = |connection: &Connection| {
        let is_down = || connection.endpoint().is_down() && !pool.handle.snapshot.load().panic;
        *replayable && (connection.is_suspect() || is_down())
    };
    let mut retry_state = RetryState::new(*replayable, affinity.clone());
    loop {
        let error = match connect(worker, pool, &mut retry_state, source, record).await {
            Ok(mut pooled) => {
                let Some(connection) = pooled.connection() else { return Err(never(Kind::NoEndpoint)) };
                let cookie = set_cookie(pool, connection.endpoint(), &retry_state);
                let mut on_head = |head: &ResponseHead<'_>| {
                    let value = match &cookie {
                        None => on_head(head),
                        Some(cookie) => {
                            let summary = head.summary.with_cookie(cookie.as_bytes());
                            on_head(&ResponseHead { summary: &summary, ..*head })
                        }
                    };
                    (head.parts.status, value)
                };
                let began = worker.clock.now();
                match exchange(worker, connection, body, source, *to_head, down, &mut on_head).await {
                    // The client did not ask to switch protocols.
                    Ok((101, _)) if !*upgrade => return Err(never(Kind::UpstreamInvalid)),
                    Ok((status, value)) => {
                        if status == 101
                            && let Err(error) =
                                Box::pin(upgrade::finish_request(worker, connection, body, source)).await
                        {
                            retry_state.failed(connection, &error, worker.index);
                            return Err(error);
                        }
                        let endpoint = connection.endpoint();
                        endpoint.succeeded();
                        record_latency(
                            worker,
                            pool,
                            endpoint,
                            body.awaits_endpoint_since(began, worker.clock.now()),
                            Duration::ZERO,
                        );
                        let stats = endpoint.stats.of(worker.index);
                        stats.responses[status_class(status)].add(1);
                        let is_error = is_server_error(status);
                        if is_error {
                            stats.server_errors.add(1);
                        }
                        retry_state.responded(endpoint.id, is_error);
                        if pool.handle.config.ejection.counts_errors() && !pool.handle.config.mesh {
                            endpoint.responded(is_error);
                        }
                        connection.note_response(is_error);
                        if cookie.is_some() && retry_state.affinity.session.is_some() {
                            pool.handle.stats.of(worker.index).decisions.add(Decision::SessionMoved);
                        }
                        return Ok((value, pooled));
                    }
                    Err(error) => {
                        if retry_state.failed(connection, &error, worker.index) {
                            record_latency(worker, pool, connection.endpoint(), began, FAILED);
                        }
                        let is_replayable = *replayable || !body.has_begun();
                        let may_retry = match error.retry {
                            Retry::Unsent => true,
                            Retry::IfIdempotent => is_replayable,
                            Retry::OnceElsewhere => {
                                // A bound on the whole request: the time before this attempt counts as well.
                                let waited = worker.clock.now().saturating_duration_since(record.began());
                                let is_bounded = waited < pool.handle.config.timeouts.response.mul_f64(1.5);
                                is_replayable && is_bounded && !retry_state.elsewhere_only
                            }
                            Retry::Never => false,
                        };
                        if !may_retry {
                            return Err(error);
                        }
                        retry_state.elsewhere_only |= error.retry == Retry::OnceElsewhere;
                        body.rewind();
                        error
                    }
                }
            }
            Err(error) if error.retry == Retry::Unsent => error,
            // Whatever failed before, this is the cause.
            Err(error) if matches!(error.kind, Kind::ClientGone | Kind::NoResources) => return Err(error),
            // No endpoint is left, and the error of the last attempt is closer to the cause.
            Err(error) => return Err(retry_state.last.unwrap_or(error)),
        };
        if retry_state.attempts >= pool.handle.config.attempts.get() {
            return Err(error);
        }
        record.retry(error.kind);
        retry_state.last = Some(error);
    }
}

/// Sends a request on a connection and waits for the head of the response.
///
/// After a second it asks for a check of the endpoint and calls `is_down` from time to time, and gives up if the
/// endpoint is known to be down.
async fn exchange<T>(
    worker: &Worker,
    connection: &mut Connection,
    body: &mut BodyWriter,
    source: &mut impl BodySource,
    to_head: bool,
    is_down: impl Fn(&Connection) -> bool,
    on_head: &mut impl FnMut(&ResponseHead<'_>) -> T,
) -> Result<T, Error> {
    let allowed = connection.pool().timeouts.response;
    let began = worker.clock.now();
    connection.wait_for_room(body.has_body());
    connection.deadline.set(began + allowed.min(DOWN_CHECK_INTERVAL));
    std::future::poll_fn(|cx| {
        let now = worker.clock.now();
        match body.poll(cx, source, &mut connection.stream, now) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => {
                if source.poll_disconnected(cx).is_ready() {
                    return Poll::Ready(Err(never(Kind::ClientGone)));
                }
            }
            Poll::Ready(Err(WriteError::Client(error))) => return Poll::Ready(Err(error)),
            Poll::Ready(Err(WriteError::Endpoint(error))) => {
                if !body.has_begun() {
                    let error = Error::because(Kind::UpstreamClosed, Retry::Unsent, error);
                    return Poll::Ready(Err(error));
                }
                // It may have responded before it closed.
                body.stop();
                connection.disable_reuse();
            }
        }
        let buffers = &worker.connections.buffers;
        if let Poll::Ready(head) = connection.poll_head(cx, buffers, to_head, &mut |head| source.interim(head), on_head)
        {
            connection.note_progress(now);
            return Poll::Ready(head);
        }
        if let Poll::Ready(Err(error)) = source.poll_interim(cx) {
            return Poll::Ready(Err(Error::because(Kind::ClientGone, Retry::Never, error)));
        }
        while connection.deadline.poll(cx).is_ready() {
            // Read the clock again: an older reading would make the deadline appear to be in the future.
            let now = worker.clock.tick();
            let since = body.awaits_endpoint_since(began, now);
            let (waited, due) = (now.saturating_duration_since(since), since + allowed);
            if now >= due {
                return Poll::Ready(Err(Error::new(Kind::ResponseTimeout, Retry::OnceElsewhere)));
            }
            if waited >= DOWN_CHECK_INTERVAL {
                connection.endpoint().note_overdue();
                worker.connections.doubt(connection, now);
            }
            if is_down(connection) {
                let why = "the endpoint is down";
                let error = Error::because(Kind::ResponseTimeout, Retry::IfIdempotent, why);
                return Poll::Ready(Err(error));
            }
            let is_soon = waited >= DOWN_CHECK_INTERVAL && waited < LOOK_OFTEN;
            let pause = if is_soon { DOWN_CHECK_SOON } else { DOWN_CHECK_INTERVAL };
            connection.deadline.set((now + pause).min(due));
        }
        Poll::Pending
    })
    .await
}

/// Picks an endpoint, and takes an idle connection to it or opens a new one.
async fn connect(
    worker: &Rc<Worker>,
    pool: &PoolView,
    retry_state: &mut RetryState,
    source: &mut impl BodySource,
    record: &mut RequestRecord,
) -> Result<PooledConnection, Error> {
    retry_state.begin();
    let picked = match pick(worker, pool, retry_state) {
        Err(error) if error.kind == Kind::NoEndpoint && retry_state.may_begin_again(pool) => {
            pool.handle.stats.of(worker.index).decisions.add(Decision::TriedAgain);
            // Boxed because most requests wait for nothing and must not carry the memory for it.
            Box::pin(pause(source, retry_state.begin_again())).await?;
            pick(worker, pool, retry_state)
        }
        picked => picked,
    };
    let picked = match picked {
        Err(error) if error.kind == Kind::PoolFull => Box::pin(wait(worker, pool, retry_state, source)).await,
        picked => picked,
    };
    let connecting = match picked? {
        Picked::Idle(connection) => {
            record.attempt(connection.endpoint());
            return Ok(PooledConnection::new(connection, &worker.connections));
        }
        Picked::New(connecting) if pool.handle.config.mesh => {
            let connection = Box::pin(race::connect(worker, pool, retry_state, connecting, record)).await?;
            return Ok(PooledConnection::new(connection, &worker.connections));
        }
        Picked::New(connecting) => connecting,
    };
    let endpoint = Arc::clone(connecting.endpoint());
    let stats = endpoint.stats.of(worker.index);
    record.attempt(&endpoint);
    match connecting.open(&pool.handle.config, pool.handle.config.timeouts.connect).await {
        Ok(connection) => {
            stats.connections.add(1);
            Ok(PooledConnection::new(connection, &worker.connections))
        }
        Err(error) => {
            if error.kind == Kind::NoResources {
                worker.log_shortage(&error);
            } else {
                stats.connect_failures.add(1);
                endpoint.connect_failed();
                retry_state.trial_failed(endpoint.id);
                record_latency(worker, pool, &endpoint, worker.clock.now(), FAILED);
            }
            retry_state.endpoints.push(endpoint.id);
            Err(error)
        }
    }
}

/// Records how long an endpoint took since `began`, at least `least`, if the pool's balancing uses that.
fn record_latency(worker: &Worker, pool: &PoolView, endpoint: &Endpoint, began: Instant, least: Duration) {
    if pool.handle.config.balance == Balance::PeakEwma {
        let took = worker.clock.now().saturating_duration_since(began).max(least);
        endpoint.stats.of(worker.index).latency.record(took, worker.clock.age());
    }
}
