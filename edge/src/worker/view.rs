//! One worker's view of the current snapshot: the snapshot, and this worker's round-robin position in each pool.

use std::{cell::Cell, rc::Rc, sync::Arc};

use crate::{
    config::{Config, Route},
    upstream::{PoolHandle, balance},
    worker::snapshot::Snapshot,
};

/// A snapshot with one worker's position in each of its pools.
#[derive(Debug)]
pub struct View {
    snapshot: Arc<Snapshot>,
    pools: Vec<Rc<PoolView>>,
}

/// A pool with one worker's position in it.
#[derive(Debug)]
pub struct PoolView {
    /// The pool itself.
    pub handle: Arc<PoolHandle>,
    /// The pool's name, for the access log.
    pub name: Arc<str>,
    /// The round-robin position. Starts at random so that workers do not pick the same endpoints in step.
    cursor: Cell<usize>,
}

impl View {
    /// Creates the view of a snapshot, with every pool at a random position.
    #[must_use]
    pub fn new(snapshot: Arc<Snapshot>, random: &mut fastrand::Rng) -> Self {
        let pools = snapshot.pools.iter();
        let pools = pools.map(|handle| {
            let cursor = Cell::new(random.usize(..1 << 16));
            Rc::new(PoolView { handle: Arc::clone(handle), name: handle.config.name.as_str().into(), cursor })
        });
        Self { pools: pools.collect(), snapshot }
    }

    /// Whether this is the view of `snapshot` itself, not of an equal one.
    #[must_use]
    pub fn is_of(&self, snapshot: &Arc<Snapshot>) -> bool {
        Arc::ptr_eq(snapshot, &self.snapshot)
    }

    /// The active configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.snapshot.config
    }

    /// The pools, in the order of the configuration.
    #[must_use]
    pub fn pools(&self) -> &[Rc<PoolView>] {
        &self.pools
    }

    /// Returns the route for a request and the pool it leads to.
    #[must_use]
    pub fn route(&self, host: &str, path: &str) -> Option<(&Route, &Rc<PoolView>)> {
        let route = self.snapshot.routes.find(host, path)?;
        Some((route, self.pools.get(route.pool)?))
    }
}

impl PoolView {
    /// Picks one of `count` candidates by the pool's policy; see [`balance::pick`]. Only a `first` attempt advances
    /// the round-robin position.
    pub fn pick(
        &self,
        first: bool,
        count: usize,
        random: u64,
        load: impl Fn(usize) -> u64,
        tried: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let mut cursor = self.cursor.get();
        let turn = first.then_some(&mut cursor);
        let picked = balance::pick(self.handle.config.balance, count, turn, random, load, tried);
        self.cursor.set(cursor);
        picked
    }
}
