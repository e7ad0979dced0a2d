//! One worker's view of the current snapshot: the snapshot, and whose turn it is on this worker in each pool.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use crate::{
    config::Config,
    error::Kind,
    filters::RuleFiles,
    observe::response_times::ResponseTimes,
    route::{Asked, Found},
    upstream::{
        PoolHandle,
        balance::{self, Candidates, Key, Turns},
    },
    worker::snapshot::Snapshot,
};

/// A snapshot, and whose turn it is on one worker in each of its pools.
#[derive(Debug)]
pub struct View {
    snapshot: Arc<Snapshot>,
    pools: Vec<Rc<PoolView>>,
}

/// A pool, and whose turn it is in it on one worker.
#[derive(Debug)]
pub struct PoolView {
    /// The pool itself.
    pub handle: Arc<PoolHandle>,
    /// The pool's name, for the access log.
    pub name: Arc<str>,
    /// Whose turn it is. Starts at random so that workers do not pick the same endpoints in step.
    turns: RefCell<Turns>,
    /// How long the responses took that this worker got; only kept if the pool hedges requests or suspects
    /// endpoints.
    pub response_times: RefCell<ResponseTimes>,
}

impl View {
    /// Creates the view of a snapshot, with every pool beginning at a random endpoint.
    #[must_use]
    pub fn new(snapshot: Arc<Snapshot>, random: &mut fastrand::Rng) -> Self {
        let pools = snapshot.pools.iter();
        let pools = pools.map(|handle| {
            let turns = RefCell::new(Turns::starting_at(random.usize(..1 << 16)));
            let (name, response_times) = (handle.config.name.as_str().into(), RefCell::default());
            Rc::new(PoolView { handle: Arc::clone(handle), name, turns, response_times })
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

    /// What the files of the rules of routes contain.
    #[must_use]
    pub fn files(&self) -> &RuleFiles {
        &self.snapshot.files
    }

    /// The pools, in the order of the configuration.
    #[must_use]
    pub fn pools(&self) -> &[Rc<PoolView>] {
        &self.pools
    }

    /// Finds the route for a request.
    ///
    /// # Errors
    /// [`Kind::BadPath`]; see [`RouteTable::find`](crate::route::RouteTable::find).
    pub fn route<'a>(&self, asked: &Asked<'a>) -> Result<Found<'_, 'a>, Kind> {
        self.snapshot.routes.find(asked)
    }
}

impl PoolView {
    /// Records how long a response took, if the pool uses that.
    pub fn note_response_time(&self, took: Duration) {
        if self.handle.config.hedge > 0.0 || self.handle.config.suspects() {
            self.response_times.borrow_mut().record(took);
        }
    }

    /// Picks one of the candidates by the pool's policy; see [`balance::pick`]. Only a `first` attempt takes turns.
    pub fn pick(&self, first: bool, candidates: &impl Candidates, random: u64, key: Option<Key>) -> Option<usize> {
        let mut turns = self.turns.borrow_mut();
        balance::pick(self.handle.config.balance, candidates, first.then_some(&mut turns), random, key)
    }
}
