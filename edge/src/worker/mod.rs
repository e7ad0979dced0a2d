//! A worker: one thread, one runtime, its own listeners, its own connections both ways.
//!
//! What it shares with other threads is read-only ([`Snapshot`]), counted in its own cache lines
//! ([`WorkerStats`]), or changes once per connection and not per request ([`Shared::open`]). The control
//! thread speaks to it by [`WorkerCommand`]s.

pub mod client_activity;
pub mod heartbeat;
pub mod snapshot;

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    convert::Infallible,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use crate::{
    config::{Config, Route},
    downstream::listener::{self, Listening},
    io::clock::Clock,
    observe::{
        access_log,
        stats::{PerWorker, WorkerStats},
    },
    upstream::{PoolHandle, balance, connection::pool::ConnectionPool},
    worker::{heartbeat::Heartbeat, snapshot::Snapshot},
};

/// How often idle connections are looked through and the heart beats.
const SWEEP: Duration = Duration::from_secs(1);

/// What all threads of one edge share.
#[derive(Debug)]
pub struct Shared {
    /// What requests go by. Written by the control thread only.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// One copy for each worker.
    pub stats: Arc<PerWorker<WorkerStats>>,
    /// Each worker's sign of life.
    pub heartbeats: Arc<PerWorker<Heartbeat>>,
    /// Open client connections over all workers.
    pub open: AtomicUsize,
}

/// What the control thread tells a worker.
#[derive(Debug)]
pub enum WorkerCommand {
    /// Accept on this socket, which is this worker's own.
    Listen(std::net::TcpListener, Arc<Listening>),
    /// Accept no more there; connections that stand go on.
    Unlisten(Arc<Listening>),
    /// Accept no more anywhere and end when the last connection has ended, or after so long.
    Drain(Duration),
}

/// What the tasks of one worker share. Never leaves its thread.
#[derive(Debug)]
pub struct Worker {
    /// Its number, from 0.
    pub index: usize,
    /// Its idle upstream connections.
    pub connections: Rc<ConnectionPool>,
    /// What time it is for whatever runs on it.
    pub clock: Clock,
    /// Its way into the access log.
    pub log: access_log::Sink,
    shared: Arc<Shared>,
    view: RefCell<Rc<View>>,
    random: RefCell<fastrand::Rng>,
    draining: Cell<bool>,
    drain: Notify,
    /// Client connections of this worker that stand.
    open: Cell<usize>,
    /// Told when the last of them has gone.
    empty: Notify,
}

impl Worker {
    fn new(index: usize, shared: Arc<Shared>, log: access_log::Sink) -> Rc<Self> {
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
            draining: Cell::new(false),
            drain: Notify::new(),
            open: Cell::new(0),
            empty: Notify::new(),
        })
    }

    /// Its counters.
    #[must_use]
    pub fn stats(&self) -> &WorkerStats {
        self.shared.stats.of(self.index)
    }

    /// The newest snapshot, with this worker's place in each pool.
    #[must_use]
    pub fn view(&self) -> Rc<View> {
        let newest = self.shared.snapshot.load();
        if !Arc::ptr_eq(&newest, &self.view.borrow().snapshot) {
            let view = View::new(Arc::clone(&newest), &mut self.random.borrow_mut());
            *self.view.borrow_mut() = Rc::new(view);
        }
        Rc::clone(&self.view.borrow())
    }

    /// A random number.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.random.borrow_mut().u64(..)
    }

    /// Whether connections are to end when they can.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Resolves when connections are to end when they can.
    pub async fn drained(&self) {
        let drain = self.drain.notified();
        if !self.is_draining() {
            drain.await;
        }
    }

    /// Makes room for one more client connection, unless there are as many as allowed.
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

    /// Resolves when no client connection is left.
    async fn emptied(&self) {
        while self.open.get() > 0 {
            self.empty.notified().await;
        }
    }

    fn sweep(&self) {
        let view = self.view();
        let mut known = HashSet::new();
        for pool in &view.pools {
            known.extend(pool.handle.snapshot.load().endpoints.iter().map(|endpoint| endpoint.id));
        }
        self.connections.sweep(Instant::now(), |endpoint| known.contains(&endpoint));
    }
}

/// A client connection that was let in; leaves when dropped.
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

/// A snapshot with one worker's place in each of its pools.
#[derive(Debug)]
pub struct View {
    snapshot: Arc<Snapshot>,
    pools: Vec<Rc<PoolView>>,
}

/// A pool with one worker's place in it.
#[derive(Debug)]
pub struct PoolView {
    /// The pool itself.
    pub handle: Arc<PoolHandle>,
    /// Its name, for the access log.
    pub name: Arc<str>,
    /// Whose turn it is; starts at random so that workers do not march in step.
    cursor: Cell<usize>,
}

impl View {
    fn new(snapshot: Arc<Snapshot>, random: &mut fastrand::Rng) -> Self {
        let pools = snapshot.pools.iter();
        let pools = pools.map(|handle| {
            let cursor = Cell::new(random.usize(..1 << 16));
            Rc::new(PoolView { handle: Arc::clone(handle), name: handle.config.name.as_str().into(), cursor })
        });
        Self { pools: pools.collect(), snapshot }
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.snapshot.config
    }

    /// Where a request goes.
    #[must_use]
    pub fn route(&self, host: &str, path: &str) -> Option<(&Route, &Rc<PoolView>)> {
        let route = self.snapshot.routes.find(host, path)?;
        Some((route, self.pools.get(route.pool)?))
    }
}

impl PoolView {
    /// Picks one of `count` candidates by the pool's policy; see [`balance::pick`]. Only a `first` attempt takes a turn.
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

/// What a worker's thread does, until told to drain or until the control thread is gone.
pub async fn run(
    index: usize,
    shared: Arc<Shared>,
    log: access_log::Sink,
    mut commands: mpsc::UnboundedReceiver<WorkerCommand>,
) {
    let worker = Worker::new(index, shared, log);
    let housekeeper = tokio::task::spawn_local(housekeep(Rc::clone(&worker)));
    // What an accept loop runs on until it is dropped.
    let mut accepting: HashMap<*const Listening, oneshot::Sender<Infallible>> = HashMap::new();
    let mut loops = JoinSet::new();
    let longest = loop {
        match commands.recv().await {
            Some(WorkerCommand::Listen(socket, listening)) => {
                let (running, stop) = oneshot::channel();
                accepting.insert(Arc::as_ptr(&listening), running);
                loops.spawn_local(listener::accept(Rc::clone(&worker), socket, listening, stop));
            }
            Some(WorkerCommand::Unlisten(listening)) => {
                accepting.remove(&Arc::as_ptr(&listening));
            }
            Some(WorkerCommand::Drain(longest)) => break longest,
            None => break Duration::ZERO,
        }
    };
    // The flag first: an accept loop ends by itself after it has taken in what waits for it.
    worker.draining.set(true);
    worker.drain.notify_waiters();
    while loops.join_next().await.is_some() {}
    if timeout(longest, worker.emptied()).await.is_err() {
        tracing::warn!(worker = index, open = worker.open.get(), "connections were cut off at the end of the drain");
    }
    housekeeper.abort();
}

async fn housekeep(worker: Rc<Worker>) {
    let mut tick = interval(SWEEP);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        worker.clock.set();
        worker.shared.heartbeats.of(worker.index).beat(SystemTime::now());
        worker.sweep();
    }
}
