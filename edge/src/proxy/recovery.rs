//! Waits for endpoints that failed, before they are tried again. A program that is restarted needs some tenths of a
//! second before it listens. What could not be sent meanwhile can be sent then, whatever its method.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use net::Backoff;
use tokio::time::{Instant, sleep};

use crate::{
    config,
    error::{Error, Kind},
    proxy::{request::never, retry_state::RetryState},
    upstream::{Endpoint, connection::body_source::BodySource},
    worker::{PoolView, Worker},
};

/// How long a request waits before it tries failed endpoints again. The jitter keeps requests that failed together from
/// coming back together.
const PAUSE: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(400)).jitter(0.5, 1.0);

/// The time over which requests that are woken together spread.
const SPREAD: Duration = Duration::from_millis(50);

/// The longest wait for each attempt but the first.
const TURN: Duration = Duration::from_secs(1);

/// For how long an endpoint of a pool may be out of reach while requests wait for it: for each attempt but the first, as
/// long as one may take to connect, but at most a second. This is HAProxy's rule: `timeout connect`, up to a second,
/// before each of its `retries` at the same server.
pub(super) fn patience(pool: &config::Pool) -> Duration {
    let retries = u32::try_from(pool.attempts.get() - 1).unwrap_or(u32::MAX);
    pool.timeouts.connect.min(TURN).saturating_mul(retries)
}

/// What is known of an endpoint that failed a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Failed {
    /// Its checks fail.
    is_down: bool,
    /// How long it has been out of reach; `None` if connections to it succeed.
    outage: Option<Duration>,
    /// The request waited for a response in vain.
    timed_out: bool,
}

impl Failed {
    fn of(endpoint: &Endpoint, retry_state: &RetryState, now: Instant) -> Self {
        let timed_out = matches!(&retry_state.last, Some(error) if error.kind == Kind::ResponseTimeout);
        Self { is_down: endpoint.is_down(), outage: endpoint.outage.age(now), timed_out }
    }

    /// How much longer it is worth waiting for it. Nothing if the checks know that it hangs, as the request found, or if
    /// it has been out of reach for long: that would only delay the error.
    fn patience(self, patience: Duration) -> Duration {
        if self.is_down && self.timed_out {
            return Duration::ZERO;
        }
        patience.saturating_sub(self.outage.unwrap_or_default())
    }
}

/// How much longer it is worth waiting for one of the endpoints that may be tried again; `None` if for none.
pub(super) fn remaining(pool: &PoolView, retry_state: &RetryState, now: Instant) -> Option<Duration> {
    let snapshot = pool.handle.snapshot.load();
    let patience = patience(&pool.handle.config);
    let left = snapshot.reserve.iter().map(|endpoint| Failed::of(endpoint, retry_state, now).patience(patience)).max();
    left.filter(|left| !left.is_zero())
}

/// Waits before the endpoints that failed are tried again, at most for `remaining`. Returns early if one of them can be
/// reached, or if the endpoints in use change. Returns false if too many requests wait.
///
/// # Errors
/// [`Kind::ClientGone`].
pub(super) async fn wait(
    worker: &Worker,
    pool: &PoolView,
    retry_state: &mut RetryState,
    source: &mut impl BodySource,
    remaining: Duration,
) -> Result<bool, Error> {
    let Some(awaiting) = pool.handle.recovery.enter(pool.handle.config.max_queue) else {
        pool.handle.stats.of(worker.index).queue_overflows.add(1);
        return Ok(false);
    };
    let chance = f64::from(u16::try_from(worker.random() >> 48).unwrap_or(u16::MAX)) / f64::from(u16::MAX);
    let pause = PAUSE.after(retry_state.begin_again(), chance).min(remaining);
    let mut changed = pin!(awaiting.changed());
    let woken = {
        let mut timer = pin!(sleep(pause));
        poll_fn(|cx| {
            if source.poll_disconnected(cx).is_ready() {
                return Poll::Ready(Err(never(Kind::ClientGone)));
            }
            if changed.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(true));
            }
            timer.as_mut().poll(cx).map(|()| Ok(false))
        })
        .await?
    };
    if woken {
        sleep(SPREAD.mul_f64(chance)).await;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_pool_waits_as_long_as_its_retries_may_take_to_connect() {
        let mut pool = config::Pool::new("web", Vec::new());
        assert_eq!(patience(&pool), 2000 * MS);
        for (attempts, connect, expected) in [(1, 1000, 0), (2, 1000, 1000), (3, 200, 400), (3, 60_000, 2000)] {
            pool.attempts = NonZeroUsize::new(attempts).unwrap();
            pool.timeouts.connect = connect * MS;
            assert_eq!(patience(&pool), expected * MS, "{attempts} {connect}");
        }
    }

    #[test]
    fn an_endpoint_is_awaited_while_its_outage_is_short_and_not_if_it_is_known_to_hang() {
        let failed = |is_down, outage, timed_out| Failed { is_down, outage, timed_out };
        for (failed, expected) in [
            (failed(false, None, false), 2000),
            (failed(false, Some(Duration::ZERO), false), 2000),
            (failed(false, Some(1500 * MS), false), 500),
            (failed(false, Some(2000 * MS), false), 0),
            (failed(true, Some(1100 * MS), false), 900),
            (failed(true, Some(9000 * MS), false), 0),
            // It was reached a moment ago, whatever the checks say.
            (failed(true, None, false), 2000),
            (failed(true, None, true), 0),
            (failed(true, Some(Duration::ZERO), true), 0),
            (failed(false, None, true), 2000),
        ] {
            assert_eq!(failed.patience(2000 * MS), expected * MS, "{failed:?}");
        }
    }
}
