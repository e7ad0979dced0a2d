//! The context of a worker: what the tasks on one worker's thread share. The thread itself runs in
//! [`crate::control::worker_thread`]; nothing here serves a connection.
//!
//! Other threads share four kinds of state with a worker: read-only values ([`Snapshot`]), counters in cache lines
//! of their own ([`WorkerStats`]), [`Shared::open`], which changes once per connection and not per request, and
//! [`Shared::idle_wanted`], which is used only while a pool is full.

pub mod client_activity;
pub mod client_state;
pub mod heartbeat;
pub mod snapshot;
pub mod view;

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    fmt::Display,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::SystemTime,
};

use arc_swap::ArcSwap;
use tokio::{sync::Notify, time::Instant};

pub use self::view::{PoolView, View};
use crate::{
    error::Error,
    io::clock::Clock,
    observe::{
        access_log,
        log_limit::LogLimit,
        refusals::Refusals,
        stats::{PerWorker, WorkerStats},
    },
    upstream::connection::pool::ConnectionPool,
    worker::{heartbeat::Heartbeat, snapshot::Snapshot},
};

/// The state that all threads of one edge share.
#[derive(Debug)]
pub struct Shared {
    /// The configuration and pools that requests use. Written by the control thread only.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// One copy for each worker.
    pub stats: Arc<PerWorker<WorkerStats>>,
    /// Each worker's heartbeat.
    pub heartbeats: Arc<PerWorker<Heartbeat>>,
    /// Notified when a request waits for a connection, so that each worker looks through its idle ones.
    pub idle_wanted: PerWorker<Notify>,
    /// Open client connections over all workers.
    pub open: AtomicUsize,
}

/// The state that the tasks of one worker share. Never leaves its thread.
#[derive(Debug)]
pub struct Worker {
    /// The worker's number, from 0.
    pub index: usize,
    /// Idle upstream connections, and the buffers that connections use.
    pub connections: Rc<ConnectionPool>,
    /// The clock that all its tasks read.
    pub clock: Clock,
    /// The worker's sink into the access log.
    pub log: access_log::Sink,
    refusals: Refusals,
    shortages: LogLimit,
    shared: Arc<Shared>,
    view: RefCell<Rc<View>>,
    random: RefCell<fastrand::Rng>,
    draining: Cell<bool>,
    drain: Notify,
    /// Open client connections of this worker.
    open: Cell<usize>,
    /// Notified when the last of them closes.
    empty: Notify,
}

impl Worker {
    /// Creates the context of worker `index`, on its own thread.
    #[must_use]
    pub fn new(index: usize, shared: Arc<Shared>, log: access_log::Sink) -> Rc<Self> {
        let mut random = fastrand::Rng::new();
        let view = View::new(shared.snapshot.load_full(), &mut random);
        Rc::new(Self {
            index,
            connections: Rc::new(ConnectionPool::new(index)),
            clock: Clock::new(),
            shared,
            view: RefCell::new(Rc::new(view)),
            random: RefCell::new(random),
            log,
            refusals: Refusals::default(),
            shortages: LogLimit::default(),
            draining: Cell::new(false),
            drain: Notify::new(),
            open: Cell::new(0),
            empty: Notify::new(),
        })
    }

    /// The worker's counters.
    #[must_use]
    pub fn stats(&self) -> &WorkerStats {
        self.shared.stats.of(self.index)
    }

    /// The newest snapshot, with this worker's position in each pool.
    #[must_use]
    pub fn view(&self) -> Rc<View> {
        let newest = self.shared.snapshot.load();
        if !self.view.borrow().is_of(&newest) {
            let view = View::new(Arc::clone(&newest), &mut self.random.borrow_mut());
            *self.view.borrow_mut() = Rc::new(view);
        }
        Rc::clone(&self.view.borrow())
    }

    /// Returns a random number.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.random.borrow_mut().u64(..)
    }

    /// Makes every connection close as soon as it can.
    pub fn drain(&self) {
        // The flag first: a task that sees it does not wait.
        self.draining.set(true);
        self.drain.notify_waiters();
    }

    /// Whether connections must close as soon as they can.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Resolves when connections must close as soon as they can.
    pub async fn drained(&self) {
        let drain = self.drain.notified();
        if !self.is_draining() {
            drain.await;
        }
    }

    /// Counts one more client connection, or returns `None` at [`max_connections`] over all workers.
    ///
    /// [`max_connections`]: crate::config::Limits::max_connections
    #[must_use]
    pub fn admit(self: &Rc<Self>) -> Option<Admission> {
        let max = self.shared.snapshot.load().config.limits.max_connections.get();
        let more = |open: usize| (open < max).then_some(open + 1);
        if self.shared.open.fetch_update(Relaxed, Relaxed, more).is_err() {
            self.stats().refused.add(1);
            return None;
        }
        self.stats().accepted.add(1);
        self.stats().open.add(1);
        self.open.set(self.open.get() + 1);
        Some(Admission(Rc::clone(self)))
    }

    /// Logs that a client gets no response from an endpoint, unless there are too many such lines.
    pub fn log_refusal(&self, client: SocketAddr, reason: impl Display, server_name: Option<&str>) {
        if let Some(omitted) = self.refusals.admit(self.clock.now()) {
            tracing::info!(%client, server_name, omitted, "client refused: {reason}");
        }
    }

    /// Logs that the edge cannot open a connection to an endpoint, at most once a second.
    pub fn log_shortage(&self, error: &Error) {
        if let Some(omitted) = self.shortages.admit(self.clock.now()) {
            let reason = error.source.as_ref().map(ToString::to_string);
            tracing::error!(reason, omitted, "the edge has no resources left for a connection to an endpoint");
        }
    }

    /// Open client connections of this worker.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.get()
    }

    /// Resolves when no client connection is open.
    pub async fn emptied(&self) {
        while self.open.get() > 0 {
            self.empty.notified().await;
        }
    }

    /// Makes every worker give its idle connections to the requests that wait for one.
    pub fn want_idle(&self) {
        self.shared.idle_wanted.iter().for_each(Notify::notify_one);
    }

    /// Gives this worker's idle connections to the requests that wait, whenever a worker calls
    /// [`want_idle`](Self::want_idle).
    pub async fn serve_queues(&self) {
        loop {
            self.shared.idle_wanted.of(self.index).notified().await;
            self.connections.serve_queues();
        }
    }

    /// Records a heartbeat, reads the wall clock, and closes idle upstream connections that are too old or whose
    /// endpoint is gone. Called about once a second.
    pub fn housekeep(&self) {
        self.clock.set();
        self.shared.heartbeats.of(self.index).beat(SystemTime::now());
        let view = self.view();
        let mut known = HashSet::new();
        for pool in view.pools() {
            known.extend(pool.handle.snapshot.load().endpoints.iter().map(|endpoint| endpoint.id));
        }
        self.connections.sweep(Instant::now(), |endpoint| known.contains(&endpoint));
    }
}

/// The permit of one open client connection; dropping it makes room for another.
#[derive(Debug)]
pub struct Admission(Rc<Worker>);

impl Drop for Admission {
    fn drop(&mut self) {
        let worker = &self.0;
        worker.shared.open.fetch_sub(1, Relaxed);
        worker.stats().open.sub(1);
        worker.open.set(worker.open.get().saturating_sub(1));
        if worker.open.get() == 0 {
            worker.empty.notify_waiters();
        }
    }
}
