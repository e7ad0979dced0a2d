//! The connection from an endpoint's task to its pool.

use std::{cell::RefCell, rc::Weak, sync::Arc, time::SystemTime};

use tokio::time::Instant;

use super::{PoolState, Timestamp};
use crate::upstream::{
    endpoint::Endpoint,
    health::{Health, probe::Outcome, watch::Observer},
};

/// An endpoint and its pool. The pool is held weakly: once it is dropped, nothing writes to it any more.
pub(in crate::upstream) struct WatchedEndpoint {
    pool: Weak<RefCell<PoolState>>,
    endpoint: Arc<Endpoint>,
}

impl WatchedEndpoint {
    pub(in crate::upstream) fn new(pool: Weak<RefCell<PoolState>>, endpoint: Arc<Endpoint>) -> Self {
        Self { pool, endpoint }
    }
}

impl Observer for WatchedEndpoint {
    fn check_completed(&self, outcome: &Outcome, now: Instant) -> Option<Health> {
        let now = Timestamp { instant: now, wall_clock: SystemTime::now() };
        with(&self.pool, |pool| pool.check_completed(&self.endpoint, outcome, now))?
    }

    fn request_failed(&self) -> Option<()> {
        with(&self.pool, |pool| pool.request_failed(&self.endpoint, Timestamp::now()))
    }

    fn ejection_expired(&self) -> Option<()> {
        with(&self.pool, |pool| pool.ejection_expired(&self.endpoint, Timestamp::now()))
    }

    fn health(&self) -> Option<Health> {
        with(&self.pool, |pool| pool.health(&self.endpoint))?
    }

    fn ejected_until(&self) -> Option<Option<Instant>> {
        with(&self.pool, |pool| pool.ejected_until(&self.endpoint))?
    }

    fn drain_announced(&self) -> Option<()> {
        with(&self.pool, |pool| pool.drain_announced(&self.endpoint, Timestamp::now()))
    }

    fn drain_expired(&self) -> Option<()> {
        with(&self.pool, |pool| pool.drain_expired(&self.endpoint, Timestamp::now()))
    }

    fn drains_until(&self) -> Option<Option<Instant>> {
        with(&self.pool, |pool| pool.drains_until(&self.endpoint))?
    }
}

/// Calls into the pool if it still exists; no borrow outlives the call.
pub(in crate::upstream) fn with<T>(
    pool: &Weak<RefCell<PoolState>>,
    call: impl FnOnce(&mut PoolState) -> T,
) -> Option<T> {
    let pool = pool.upgrade()?;
    let mut pool = pool.borrow_mut();
    Some(call(&mut pool))
}
