//! Whether a pool gets requests, so that its checks may be rare while it gets none.
//!
//! The path of a request only reads one flag, which is set while requests keep coming: it is cleared, and set by the
//! next request, at most once per interval of the checks.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, futures::Notified},
    time::Instant,
};

use super::{endpoint::Endpoint, health::Health};
use crate::config::HealthCheck;

/// What the workers say about the requests of one pool.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Whether there was a request since the control thread last looked.
    seen: AtomicBool,
    /// Whether there was none for the interval of checks without traffic.
    quiet: AtomicBool,
    /// Wakes the tasks that check the pool's endpoints rarely.
    began: Notify,
}

impl Traffic {
    /// Records a request.
    pub fn note(&self) {
        if !self.seen.load(Relaxed) && !self.seen.swap(true, Relaxed) {
            self.quiet.store(false, Relaxed);
            self.began.notify_waiters();
        }
    }

    /// Whether there was no request for `idle_interval`, as far as the control thread has noticed.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.quiet.load(Relaxed)
    }
}

/// When a pool had its last request, as its tasks on the control thread know it.
#[derive(Debug)]
pub(super) struct LastRequest {
    traffic: Arc<Traffic>,
    /// When the last request was noticed, at most one interval of the checks after it came. A new pool counts as one
    /// that has just had a request.
    at: Cell<Instant>,
    /// When the flag was last cleared.
    looked: Cell<Instant>,
}

impl LastRequest {
    pub(super) fn new(traffic: Arc<Traffic>, now: Instant) -> Self {
        Self { traffic, at: Cell::new(now), looked: Cell::new(now) }
    }

    /// Waits for a request. A request from now on ends it, even if it is polled only later.
    pub(super) fn next(&self) -> Notified<'_> {
        self.traffic.began.notified()
    }

    /// Returns the interval between two checks of an endpoint if it is longer than usual, because the pool gets no
    /// requests, the endpoint works on none, and its health is settled.
    pub(super) fn idle_interval(
        &self,
        check: &HealthCheck,
        endpoint: &Endpoint,
        health: &Health,
        now: Instant,
    ) -> Option<Duration> {
        let interval = check.idle_interval?;
        let elapsed = |since: &Cell<Instant>| now.saturating_duration_since(since.get());
        if elapsed(&self.looked) >= check.interval || elapsed(&self.at) >= interval {
            self.looked.set(now);
            if self.traffic.seen.swap(false, Relaxed) {
                self.at.set(now);
            }
        }
        let is_quiet = elapsed(&self.at) >= interval;
        // A request that comes at this moment wakes the tasks of the checks, which look again.
        self.traffic.quiet.store(is_quiet, Relaxed);
        let is_idle = is_quiet && endpoint.stats.sum(|stats| stats.in_flight.value()) == 0;
        (is_idle && !health.is_changing()).then_some(interval)
    }
}
