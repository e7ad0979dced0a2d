//! The requests of a pool that wait until one of its endpoints can be reached again, over all workers.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::sync::Notify;

/// The requests that wait. They are bounded like those in the [`queue`](super::queue): an outage must not collect
/// requests without end.
#[derive(Debug, Default)]
pub struct Recovery {
    waiting: AtomicUsize,
    /// Wakes all of them.
    changed: Notify,
}

/// A request that waits. Dropping it makes room for another.
#[derive(Debug)]
pub struct Awaiting(Arc<Recovery>);

impl Recovery {
    /// Lets a request wait; `None` if `max` wait already.
    #[must_use]
    pub fn enter(self: &Arc<Self>, max: usize) -> Option<Awaiting> {
        let more = |waiting: usize| (waiting < max).then_some(waiting + 1);
        self.waiting.fetch_update(Relaxed, Relaxed, more).ok()?;
        Some(Awaiting(Arc::clone(self)))
    }

    /// Wakes the requests that wait: an endpoint was reached again, or the endpoints in use have changed.
    pub fn wake(&self) {
        self.changed.notify_waiters();
    }
}

impl Awaiting {
    /// Waits for the next call of [`Recovery::wake`].
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }
}

impl Drop for Awaiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_that_wait_are_bounded_and_woken_together() {
        let recovery = Arc::<Recovery>::default();
        let first = recovery.enter(2).unwrap();
        let second = recovery.enter(2).unwrap();
        assert!(recovery.enter(2).is_none() && recovery.enter(0).is_none());
        tokio::join!(first.changed(), second.changed(), async { recovery.wake() });
        drop(first);
        assert!(recovery.enter(2).is_some());
    }
}
