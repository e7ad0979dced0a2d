//! Waits for a connection, while every usable endpoint has as many as allowed. A client that disconnects meanwhile ends
//! the wait.

use std::{future::poll_fn, pin::Pin, rc::Rc, task::Poll, time::Duration};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    error::{Error, Kind},
    proxy::{
        candidates::Candidates,
        pick::{Picked, enters, pick},
        request::never,
        retry_state::RetryState,
    },
    upstream::{
        connection::{Connecting, Connection, Place, body_source::BodySource, pool::Demand},
        queue::{Waiting, Wanted},
    },
    worker::{PoolView, Worker},
};

/// How often a request that waits for a connection looks for one itself. Other endpoints may have become usable, which
/// wakes no request.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Waits in the pool's queue for an idle connection, or for room to open one.
///
/// # Errors
/// [`Kind::PoolFull`] if none is free in time, or if too many requests wait; [`Kind::ClientGone`]; the errors of
/// [`pick`], if the endpoints change meanwhile.
pub(super) async fn wait(
    worker: &Rc<Worker>,
    pool: &PoolView,
    retry_state: &RetryState,
    source: &mut impl BodySource,
) -> Result<Picked, Error> {
    let (config, queue) = (&pool.handle.config, &pool.handle.queue);
    if config.timeouts.queue.is_zero() {
        return Err(never(Kind::PoolFull));
    }
    let stats = pool.handle.stats.of(worker.index);
    let mut wanted = Wanted::new(queue, retry_state.endpoints.clone(), config.max_connections.get());
    let Some(mut waiting) = queue.enter(wanted.clone(), config.max_queue) else {
        stats.queue_overflows.add(1);
        return Err(never(Kind::PoolFull));
    };
    stats.queued.add(1);
    let end = Instant::now() + config.timeouts.queue;
    let mut timer = Box::pin(sleep_until(end));
    loop {
        if waiting.is_first() {
            worker.want_idle();
        }
        // Only now: a place that was freed before the request entered the queue woke nobody.
        let woken = loop {
            match pick(worker, pool, retry_state) {
                Err(error) if error.kind == Kind::PoolFull => {}
                picked => return picked,
            }
            let now = Instant::now();
            if now >= end {
                stats.queue_timeouts.add(1);
                return Err(never(Kind::PoolFull));
            }
            timer.as_mut().reset((now + LOOK_INTERVAL).min(end));
            match next(&mut waiting, source, timer.as_mut()).await? {
                Woken::ToLook => {}
                Woken::With(place) => break place,
            }
        };
        if let Some(place) = woken {
            let endpoint = place.permit.endpoint();
            let snapshot = pool.handle.snapshot.load();
            // The endpoint may be on probation since the request entered the queue.
            let is_usable = Candidates::new(&snapshot, retry_state).contains(endpoint.id)
                && enters(&snapshot, retry_state, endpoint, worker, !snapshot.panic);
            if is_usable {
                return Ok(take(worker, place, retry_state));
            }
            // It is of use to others, if to any.
            wanted.exclude(endpoint.id);
        }
        // At the old position, whose turn has come: no limit applies.
        let Some(again) = queue.enter(wanted.clone(), usize::MAX) else { return Err(never(Kind::PoolFull)) };
        waiting = again;
    }
}

/// Why a request that waits continues.
enum Woken {
    /// To look for a place itself.
    ToLook,
    /// A place was given to it, which may be lost.
    With(Option<Place>),
}

async fn next(
    waiting: &mut Waiting<Place>,
    source: &mut impl BodySource,
    mut timer: Pin<&mut Sleep>,
) -> Result<Woken, Error> {
    poll_fn(|cx| {
        if let Poll::Ready(place) = waiting.poll(cx) {
            return Poll::Ready(Ok(Woken::With(place)));
        }
        if source.poll_disconnected(cx).is_ready() {
            return Poll::Ready(Err(never(Kind::ClientGone)));
        }
        timer.as_mut().poll(cx).map(|()| Ok(Woken::ToLook))
    })
    .await
}

/// Takes the connection of a place into use, or opens one in its place.
fn take(worker: &Worker, place: Place, retry_state: &RetryState) -> Picked {
    let now = Instant::now();
    let permit = if retry_state.stale {
        place.permit
    } else {
        match Connection::from_place(place, now) {
            Ok(connection) if retry_state.demand() == Demand::Fresh && !connection.is_fresh(now) => {
                connection.into_permit()
            }
            Ok(connection) => return Picked::Idle(connection),
            Err(permit) => permit,
        }
    };
    Picked::New(Connecting::new(permit, worker.index))
}
