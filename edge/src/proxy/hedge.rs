//! Sends a request to a second endpoint as well, if the first takes longer than most requests do (Dean and Barroso 2013,
//! "The Tail at Scale"). The first good response wins, and there is never a third exchange.

use std::{
    future::{Future, poll_fn, ready},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::{
    error::{Error, Kind},
    observe::peak_ewma::FAILED,
    proxy::{
        exchange::{Attempt, Exchange, Reason},
        outcome::{Failure, connect_failed, connected, count_failure, record_latency, responded},
        pick::{Picked, pick},
        retry_rules::Rules,
        retry_state::RetryState,
    },
    upstream::{
        Endpoint,
        connection::{
            Connection, ResponseHead, body_source::BodySource, body_writer::BodyWriter, pool::PooledConnection,
        },
        health::error_share::is_server_error,
    },
    worker::{PoolView, Worker},
};

/// The shortest time after which a request is hedged: within it, a second exchange would cost more than it saves.
const FLOOR: Duration = Duration::from_millis(10);

/// The outcome of an exchange: the status, and what was made of the head unless the response is discarded.
type Outcome<V> = Result<(u16, Option<V>), Error>;

/// How a hedged attempt ended.
pub(super) struct Hedged<V> {
    /// The outcome of the exchange that decides.
    pub(super) outcome: Outcome<V>,
    /// The endpoint of the second exchange, if there was one.
    pub(super) second: Option<Arc<Endpoint>>,
    /// The second endpoint failed, so the next attempt goes elsewhere.
    pub(super) second_failed: bool,
    /// The second exchange, if that decides.
    pub(super) winner: Option<Winner>,
}

/// A second exchange that decides.
pub(super) struct Winner {
    pub(super) pooled: PooledConnection,
    /// The request on it.
    pub(super) body: BodyWriter,
    pub(super) began: Instant,
}

/// How long a request waits for its first response before it is hedged; `None` if it never is.
pub(super) fn delay(pool: &PoolView, body: &BodyWriter, retry_state: &RetryState) -> Option<Duration> {
    let config = &pool.handle.config;
    let is_on = config.hedge > 0.0 && config.sticky.is_none() && config.attempts.get() > 1;
    let may_hedge = is_on && retry_state.attempts == 1 && !body.has_body();
    let usual = || pool.response_times.borrow().quantile(config.hedge);
    may_hedge.then(usual).flatten().map(|usual| usual.max(FLOOR))
}

/// Waits for the response of `first`, and after `delay` for that of a second endpoint as well.
pub(super) async fn run<V, F: FnMut(&ResponseHead<'_>) -> V>(
    worker: &Rc<Worker>,
    pool: &PoolView,
    mut first: Exchange<'_>,
    rules: &mut Rules<'_, F>,
    source: &mut impl BodySource,
    delay: Duration,
) -> Hedged<V> {
    let alone = |outcome| Hedged { outcome, second: None, second_failed: false, winner: None };
    let mut timer = Box::pin(sleep(delay));
    let early = poll_fn(|cx| match first.poll(cx, source, rules) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending => timer.as_mut().poll(cx).map(|()| None),
    });
    if let Some(outcome) = early.await {
        return alone(outcome);
    }
    // Until the end of the race: the second exchange may be on trial.
    let second_state = RetryState::after(first.connection().endpoint());
    let Some((endpoint, mut opening)) = open_second(worker, pool, &second_state, rules) else {
        return alone(poll_fn(|cx| first.poll(cx, source, rules)).await);
    };
    let opened = poll_fn(|cx| match first.poll(cx, source, rules) {
        Poll::Ready(outcome) => Poll::Ready(Err(outcome)),
        Poll::Pending => opening.as_mut().poll(cx).map(Ok),
    });
    let connection = match opened.await {
        Err(outcome) => {
            rules.hedge_not_sent();
            return alone(outcome);
        }
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            rules.hedge_not_sent();
            if error.kind != Kind::NoResources {
                connect_failed(worker, pool, &endpoint);
                second_state.trial_failed(endpoint.id);
            }
            return alone(poll_fn(|cx| first.poll(cx, source, rules)).await);
        }
    };
    let mut pooled = PooledConnection::new(connection, &worker.connections);
    let (mut body, _held) = first.copy_request();
    let began = worker.clock.now();
    rules.hedge_sent();
    let Race { ended, failed_first, failed_second } = race(&mut first, &mut pooled, &mut body, rules, source).await;
    let is_undecided = failed_first.is_none();
    if let Some(outcome) = failed_first {
        note_failed(worker, pool, rules.retry_state(), first.connection(), first.began(), &outcome);
    }
    let second_failed = failed_second.is_some_and(|outcome| {
        let connection = pooled.connection();
        connection.is_some_and(|connection| note_failed(worker, pool, &second_state, connection, began, &outcome))
    });
    let (outcome, winner) = match ended {
        Ended::First(outcome) => {
            body.release(&worker.connections.buffers);
            (outcome, None)
        }
        Ended::Second(status, value) => {
            second_state.responded(endpoint.id, false);
            if is_undecided {
                record_latency(worker, pool, first.connection().endpoint(), first.began(), Duration::ZERO);
            }
            (Ok((status, Some(value))), Some(Winner { pooled, body, began }))
        }
    };
    Hedged { outcome, second: Some(endpoint), second_failed, winner }
}

/// Records an exchange that failed and does not decide. Returns whether its endpoint is to blame.
fn note_failed<V>(
    worker: &Worker,
    pool: &PoolView,
    retry_state: &RetryState,
    connection: &Connection,
    began: Instant,
    outcome: &Outcome<V>,
) -> bool {
    let endpoint = connection.endpoint();
    match outcome {
        Ok((status, _)) => {
            responded(worker, pool, connection, began, *status);
            retry_state.responded(endpoint.id, is_server_error(*status));
            true
        }
        Err(error) => {
            let has_failed = count_failure(connection, error, worker.index, worker.clock.now()) == Failure::Endpoint;
            if has_failed {
                retry_state.trial_failed(endpoint.id);
                record_latency(worker, pool, endpoint, began, FAILED);
            }
            has_failed
        }
    }
}

/// A connection that is being opened.
type Opening<'o> = Pin<Box<dyn Future<Output = Result<Box<Connection>, Error>> + 'o>>;

/// Begins to open a connection for the second exchange, or takes an idle one. `None` if that is impossible, or not in
/// the budget.
fn open_second<'o, F>(
    worker: &Rc<Worker>,
    pool: &'o PoolView,
    second_state: &RetryState,
    rules: &mut Rules<'_, F>,
) -> Option<(Arc<Endpoint>, Opening<'o>)> {
    if !rules.takes_hedge() {
        return None;
    }
    let config = &pool.handle.config;
    let Ok(picked) = pick(worker, pool, second_state) else {
        rules.hedge_not_sent();
        return None;
    };
    match picked {
        Picked::Idle(connection) => Some((Arc::clone(connection.endpoint()), Box::pin(ready(Ok(connection))))),
        Picked::New(connecting) => {
            let endpoint = Arc::clone(connecting.endpoint());
            let stats_of = Arc::clone(&endpoint);
            let index = worker.index;
            let opening = async move {
                let connection = connecting.open(config, config.timeouts.connect).await?;
                connected(pool, &stats_of);
                stats_of.stats.of(index).connections.add(1);
                Ok(connection)
            };
            Some((endpoint, Box::pin(opening)))
        }
    }
}

/// How a race between two exchanges ended.
enum Ended<V> {
    First(Outcome<V>),
    Second(u16, V),
}

/// A race between two exchanges that has ended.
struct Race<V> {
    ended: Ended<V>,
    /// What failed and does not decide.
    failed_first: Option<Outcome<V>>,
    failed_second: Option<Outcome<V>>,
}

/// Waits for the first good response. If neither exchange has one, the outcome is that of the first.
async fn race<V, F: FnMut(&ResponseHead<'_>) -> V>(
    first: &mut Exchange<'_>,
    pooled: &mut PooledConnection,
    body: &mut BodyWriter,
    rules: &mut Rules<'_, F>,
    source: &mut impl BodySource,
) -> Race<V> {
    let Some(connection) = pooled.connection() else {
        let ended = Ended::First(poll_fn(|cx| first.poll(cx, source, rules)).await);
        return Race { ended, failed_first: None, failed_second: None };
    };
    let mut second = first.begin_second(connection, body);
    let (mut failed_first, mut failed_second) = (None, None);
    let ended = poll_fn(|cx| {
        if failed_first.is_none()
            && let Poll::Ready(outcome) = first.poll(cx, source, rules)
        {
            let is_gone = matches!(&outcome, Err(error) if error.kind == Kind::ClientGone);
            if is_gone || failed_second.is_some() || matches!(outcome, Ok((_, Some(_)))) {
                return Poll::Ready(Ended::First(outcome));
            }
            failed_first = Some(outcome);
        }
        if failed_second.is_none()
            && let Poll::Ready(outcome) = second.poll(cx, source, &mut Second(&mut *rules))
        {
            match outcome {
                Ok((status, Some(value))) => return Poll::Ready(Ended::Second(status, value)),
                Err(error) if error.kind == Kind::ClientGone => return Poll::Ready(Ended::First(Err(error))),
                failed => failed_second = Some(failed),
            }
            if let Some(outcome) = failed_first.take() {
                return Poll::Ready(Ended::First(outcome));
            }
        }
        Poll::Pending
    });
    let ended = ended.await;
    Race { ended, failed_first, failed_second }
}

/// The rules for the second exchange: it may only win. A server error of it is worse than to wait for the first.
struct Second<'s, 'r, F>(&'s mut Rules<'r, F>);

impl<V, F: FnMut(&ResponseHead<'_>) -> V> Attempt<(u16, Option<V>)> for Second<'_, '_, F> {
    fn gives_up(&mut self, connection: &Connection, reason: Reason, _is_whole: bool) -> bool {
        reason == Reason::Down && (connection.is_suspect() || connection.endpoint().is_down())
    }

    fn on_head(&mut self, head: &ResponseHead<'_>, _is_whole: bool) -> (u16, Option<V>) {
        let status = head.parts.status;
        if is_server_error(status) { (status, None) } else { (status, Some(self.0.accept(head))) }
    }
}
