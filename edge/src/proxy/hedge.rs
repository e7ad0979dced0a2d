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

use tokio::time::sleep;

use crate::{
    error::{Error, Kind},
    proxy::{
        exchange::{Attempt, Exchange, Reason},
        outcome::{count_failure, responded},
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
    /// The second connection and the request on it, if that exchange decides.
    pub(super) winner: Option<(PooledConnection, BodyWriter)>,
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
    let alone = |outcome| Hedged { outcome, second: None, winner: None };
    let mut timer = Box::pin(sleep(delay));
    let early = poll_fn(|cx| match first.poll(cx, source, rules) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending => timer.as_mut().poll(cx).map(|()| None),
    });
    if let Some(outcome) = early.await {
        return alone(outcome);
    }
    let Some((endpoint, mut opening)) = open_second(worker, pool, &first, rules) else {
        return alone(poll_fn(|cx| first.poll(cx, source, rules)).await);
    };
    let opened = poll_fn(|cx| match first.poll(cx, source, rules) {
        Poll::Ready(outcome) => Poll::Ready(Err(outcome)),
        Poll::Pending => opening.as_mut().poll(cx).map(Ok),
    });
    let connection = match opened.await {
        Err(outcome) => return alone(outcome),
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            if error.kind != Kind::NoResources {
                endpoint.stats.of(worker.index).connect_failures.add(1);
                endpoint.connect_failed();
            }
            return alone(poll_fn(|cx| first.poll(cx, source, rules)).await);
        }
    };
    let mut pooled = PooledConnection::new(connection, &worker.connections);
    let (mut body, _held) = first.copy_request();
    let race = race(worker, pool, &mut first, &mut pooled, &mut body, rules, source).await;
    let (outcome, winner) = match race {
        Ended::First(outcome) => {
            body.release(&worker.connections.buffers);
            (outcome, None)
        }
        Ended::Second(status, value) => (Ok((status, Some(value))), Some((pooled, body))),
    };
    Hedged { outcome, second: Some(endpoint), winner }
}

/// A connection that is being opened.
type Opening<'o> = Pin<Box<dyn Future<Output = Result<Box<Connection>, Error>> + 'o>>;

/// Begins to open a connection to another endpoint than that of `first`, or takes an idle one. `None` if that is
/// impossible, or not in the budget.
fn open_second<'o, F>(
    worker: &Rc<Worker>,
    pool: &'o PoolView,
    first: &Exchange<'_>,
    rules: &mut Rules<'_, F>,
) -> Option<(Arc<Endpoint>, Opening<'o>)> {
    if !rules.takes_hedge() {
        return None;
    }
    let config = &pool.handle.config;
    match pick(worker, pool, &RetryState::after(first.connection().endpoint())).ok()? {
        Picked::Idle(connection) => Some((Arc::clone(connection.endpoint()), Box::pin(ready(Ok(connection))))),
        Picked::New(connecting) => {
            let endpoint = Arc::clone(connecting.endpoint());
            let stats_of = Arc::clone(&endpoint);
            let index = worker.index;
            let opening = async move {
                let connection = connecting.open(config, config.timeouts.connect).await?;
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

/// Waits for the first good response. If neither exchange has one, the outcome is that of the first.
async fn race<V, F: FnMut(&ResponseHead<'_>) -> V>(
    worker: &Worker,
    pool: &PoolView,
    first: &mut Exchange<'_>,
    pooled: &mut PooledConnection,
    body: &mut BodyWriter,
    rules: &mut Rules<'_, F>,
    source: &mut impl BodySource,
) -> Ended<V> {
    let Some(connection) = pooled.connection() else {
        return Ended::First(poll_fn(|cx| first.poll(cx, source, rules)).await);
    };
    let began = worker.clock.now();
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
                Ok((status, None)) => failed_second = Some(Ok(status)),
                Err(error) => failed_second = Some(Err(error)),
            }
            if let Some(outcome) = failed_first.take() {
                return Poll::Ready(Ended::First(outcome));
            }
        }
        Poll::Pending
    });
    let ended = ended.await;
    // What failed and does not decide.
    match failed_first {
        Some(Ok((status, _))) => responded(worker, pool, first.connection(), began, status),
        Some(Err(error)) => {
            count_failure(first.connection(), &error, worker.index, worker.clock.now());
        }
        None => {}
    }
    match failed_second {
        Some(Ok(status)) => responded(worker, pool, connection, began, status),
        Some(Err(error)) => {
            count_failure(connection, &error, worker.index, worker.clock.now());
        }
        None => {}
    }
    ended
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
