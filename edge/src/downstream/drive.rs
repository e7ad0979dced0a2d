//! Runs a client connection until it ends, times out, or must end: for a drain, or because memory runs out.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

use crate::{
    io::deadline::Deadline,
    worker::{
        View, Worker,
        client_activity::{ClientActivity, Phase},
        shedding,
    },
};

/// How long a drain keeps an idle HTTP/1 connection open. A request may already be on the wire, and closing would lose
/// it: only a response can announce the close.
pub(super) const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// How a connection ended.
pub(super) enum Ended<T> {
    /// Its future completed.
    Closed(T),
    /// The client timed out in this phase.
    TimedOut(Phase),
    /// It must end at once, because memory runs out.
    Shed,
}

/// The time until a connection announces its close although it has no request.
struct Grace {
    over: Pin<Box<Sleep>>,
    /// Whether the client connected during the drain. If it heard the announcement before its first request, it would
    /// connect anew at once.
    is_new: bool,
}

/// Runs a connection until it ends or times out by [`ClientActivity::due`]. When the worker drains, the request in
/// progress is the last one, or the next one if it arrives within [`DRAIN_GRACE`].
pub(super) async fn drive<C: Future + Unpin>(
    worker: &Rc<Worker>,
    view: &View,
    activity: &Rc<ClientActivity>,
    connection: &mut C,
    close_when_done: impl Fn(Pin<&mut C>),
) -> Ended<C::Output> {
    let timeouts = &view.config().timeouts;
    let mut deadline = Deadline::new(Instant::now());
    let mut drained = Some(Box::pin(worker.drained()));
    let mut registered = false;
    let mut grace: Option<Box<Grace>> = None;
    let shedding: Rc<dyn shedding::Client> = Rc::<ClientActivity>::clone(activity);
    let _added = worker.clients.add(Rc::downgrade(&shedding));
    drop(shedding);
    poll_fn(|cx| {
        worker.clock.tick();
        if activity.must_close(cx.waker()) {
            return Poll::Ready(Ended::Shed);
        }
        // Bytes that arrived before the drain belong to a request that will be answered, so they are read first.
        if let Poll::Ready(outcome) = Pin::new(&mut *connection).poll(cx) {
            return Poll::Ready(Ended::Closed(outcome));
        }
        // The first poll registers this task to be woken. After that, the flag tells whether to poll again.
        if (!registered || worker.is_draining())
            && drained.as_mut().is_some_and(|drained| drained.as_mut().poll(cx).is_ready())
        {
            drained = None;
            grace = Some(Box::new(Grace { over: Box::pin(sleep(DRAIN_GRACE)), is_new: !registered }));
        }
        if grace.as_mut().is_some_and(|grace| {
            let may_announce = if grace.is_new { activity.is_busy() } else { !activity.close_may_race_a_request() };
            may_announce || grace.over.as_mut().poll(cx).is_ready()
        }) {
            grace = None;
            close_when_done(Pin::new(&mut *connection));
            activity.start_closing();
            if let Poll::Ready(outcome) = Pin::new(&mut *connection).poll(cx) {
                return Poll::Ready(Ended::Closed(outcome));
            }
        }
        registered = true;
        loop {
            match activity.due(timeouts) {
                Some(due) => deadline.set(due),
                None => deadline.clear(),
            }
            ready!(deadline.poll(cx));
            if activity.is_due(timeouts, Instant::now()) {
                return Poll::Ready(Ended::TimedOut(activity.phase()));
            }
        }
    })
    .await
}

/// Resolves when a connection that no [`drive`] watches must end at once, because memory runs out.
pub(super) async fn shed(worker: &Worker, activity: &Rc<ClientActivity>) {
    let client: Rc<dyn shedding::Client> = Rc::<ClientActivity>::clone(activity);
    let _added = worker.clients.add(Rc::downgrade(&client));
    poll_fn(|cx| if activity.must_close(cx.waker()) { Poll::Ready(()) } else { Poll::Pending }).await;
}
