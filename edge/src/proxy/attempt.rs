//! The attempt loop: pick an endpoint, send the request, and send it again if that is allowed and worthwhile. Nothing
//! here knows whether the request came over HTTP/1 or HTTP/2.

use std::{future::poll_fn, rc::Rc};

use tokio::time::Instant;

use crate::{
    error::{Error, Kind, Retry},
    observe::{decisions::Decision, peak_ewma::FAILED},
    protocol::h1::chunked::BodyEvent,
    proxy::{
        connect::connect,
        exchange::Exchange,
        hedge::{self, Hedged},
        outcome::{record_latency, responded},
        request::{UpstreamRequest, never},
        request_record::RequestRecord,
        retry_rules::Rules,
        retry_state::RetryState,
        session::set_cookie,
        upgrade,
    },
    upstream::{
        connection::{ResponseHead, body_source::BodySource, pool::PooledConnection},
        health::error_share::is_server_error,
    },
    worker::Worker,
};

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
    let UpstreamRequest { body, pool, upgrade, to_head, idempotent, affinity, response_edits } = request;
    let whole = pool.handle.config.timeouts.request.map(|allowed| (record.began(), allowed));
    let mut retry_state = RetryState::new(*idempotent && body.stays_whole(), affinity.clone());
    loop {
        let end = whole.map(|(began, allowed)| body.awaits_endpoint_since(began, worker.clock.now()) + allowed);
        let error = match connect(worker, pool, &mut retry_state, source, record, end).await {
            Ok(mut pooled) => {
                let Some(connection) = pooled.connection() else { return Err(never(Kind::NoEndpoint)) };
                let cookie = set_cookie(pool, connection.endpoint(), &retry_state);
                let mut on_head = |head: &ResponseHead<'_>| match (&cookie, &*response_edits) {
                    (None, None) => on_head(head),
                    (cookie, edits) => {
                        let summary = head.summary.with(cookie.as_ref().map(String::as_bytes), edits.as_deref());
                        on_head(&ResponseHead { summary: &summary, ..*head })
                    }
                };
                let began = worker.clock.now();
                let endpoint = connection.endpoint();
                let mut rules = Rules::new(worker, pool, record, &retry_state, *idempotent, endpoint, &mut on_head);
                let delay = hedge::delay(pool, body, &retry_state).filter(|_| *idempotent && !*upgrade);
                let mut exchange = Exchange::begin(worker, connection, body, *to_head, whole);
                let (outcome, hedged) = match delay {
                    None => (poll_fn(|cx| exchange.poll(cx, source, &mut rules)).await, None),
                    Some(delay) => {
                        let hedged = Box::pin(hedge::run(worker, pool, exchange, &mut rules, source, delay)).await;
                        let Hedged { outcome, second, second_failed, winner } = hedged;
                        (outcome, second.map(|second| (second, second_failed, winner)))
                    }
                };
                let decided = rules.decided;
                let mut sent = began;
                if let Some((second, second_failed, winner)) = hedged {
                    retry_state.attempts += 1;
                    if second_failed {
                        retry_state.exclude(&second);
                    }
                    record.hedged(&second, winner.is_none().then_some(connection.endpoint()));
                    if let Some(won) = winner {
                        std::mem::replace(body, won.body).release(&worker.connections.buffers);
                        // The first connection is closed.
                        pooled = won.pooled;
                        // The latency of an endpoint begins with its own exchange.
                        sent = won.began;
                    }
                }
                let Some(connection) = pooled.connection() else { return Err(never(Kind::NoEndpoint)) };
                match outcome {
                    // The client did not ask to switch protocols.
                    Ok((101, _)) if !*upgrade => return Err(never(Kind::UpstreamInvalid)),
                    Ok((status, value)) => {
                        if status == 101
                            && let Err(error) =
                                Box::pin(upgrade::finish_request(worker, connection, body, source)).await
                        {
                            retry_state.failed(connection, &error, worker.index, worker.clock.now());
                            return Err(error);
                        }
                        let now = worker.clock.now();
                        let since = body.awaits_endpoint_since(began, now);
                        responded(worker, pool, connection, body.awaits_endpoint_since(sent, now), status);
                        retry_state.responded(connection.endpoint().id, is_server_error(status));
                        let Some(value) = value else {
                            retry_state.discarded(connection.endpoint(), decided.deferred);
                            record.retry(None);
                            discard(pooled, body.is_done(), worker.clock.now());
                            body.rewind();
                            continue;
                        };
                        pool.note_response_time(worker.clock.now().saturating_duration_since(since));
                        body.stop_keeping();
                        if cookie.is_some() && retry_state.affinity.session.is_some() {
                            pool.handle.stats.of(worker.index).decisions.add(Decision::SessionMoved);
                        }
                        return Ok((value, pooled));
                    }
                    Err(error) => {
                        let has_failed = retry_state.failed(connection, &error, worker.index, worker.clock.now());
                        if has_failed {
                            record_latency(worker, pool, connection.endpoint(), began, FAILED);
                        }
                        let is_replayable = !body.has_begun() || (*idempotent && body.is_whole());
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
                        if !may_retry || retry_state.attempts >= pool.handle.config.attempts.get() {
                            return Err(error);
                        }
                        // What no endpoint received adds nothing to its load, and an idle connection that was closed
                        // is gone after one attempt.
                        let costs = has_failed && error.retry != Retry::Unsent && !decided.paid;
                        if costs && !pool.handle.take_retry(worker.clock.now()) {
                            if !decided.over_budget {
                                record.over_budget();
                            }
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
            Err(error) if matches!(error.kind, Kind::ClientGone | Kind::NoResources | Kind::ResponseTimeout) => {
                return Err(error);
            }
            // No endpoint is left, and the error of the last attempt is closer to the cause.
            Err(error) => return Err(retry_state.last.unwrap_or(error)),
        };
        if retry_state.attempts >= pool.handle.config.attempts.get() {
            return Err(error);
        }
        record.retry(Some(error.kind));
        retry_state.last = Some(error);
    }
}

/// Discards a response that is not passed on. Its connection can be used again if all of it has arrived; `sent` says
/// whether the request was sent completely.
fn discard(mut pooled: PooledConnection, sent: bool, now: Instant) {
    while let Some(connection) = pooled.connection() {
        match connection.next_event() {
            Ok(BodyEvent::Data(count)) => connection.consume(count, now),
            Ok(BodyEvent::End) => return pooled.finish(sent, now),
            Ok(BodyEvent::More) | Err(_) => return,
        }
    }
}
