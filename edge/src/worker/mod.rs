//! The context of a worker: what the tasks on one worker's thread share. The thread itself runs in
//! [`crate::control::worker_thread`]; nothing here serves a connection.
//!
//! Other threads share four kinds of state with a worker: read-only values ([`Snapshot`]), counters in cache lines of
//! their own ([`WorkerStats`]), [`Shared::open`] and [`Shared::clients`], which change once per connection and not per
//! request unless the requests of each client are limited, and [`Shared::idle_wanted`], which is used only while a pool
//! is full.

pub mod client_activity;
pub mod client_limits;
pub mod client_state;
pub mod heartbeat;
pub mod keeper;
pub mod opening;
pub mod shedding;
pub mod snapshot;
#[cfg(test)]
pub(crate) mod testing;
pub mod uploads;
pub mod view;

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    fmt::Display,
    net::{IpAddr, SocketAddr},
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
    config::{Config, Limits},
    error::Error,
    io::{
        buffer::BufferPool,
        clock::Clock,
        memory::{self, Budget, Memory},
    },
    observe::{
        access_log,
        log_limit::LogLimit,
        refusals::{Refusal, RefusalLines},
        stats::{PerWorker, WorkerStats},
    },
    upstream::connection::pool::ConnectionPool,
    worker::{
        client_limits::{ClientKey, ClientTable, Counted, OverLimit, Permit, Rate, Resource},
        heartbeat::Heartbeat,
        shedding::Clients,
        snapshot::Snapshot,
    },
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
    /// What each client uses, over all workers.
    pub clients: Arc<ClientTable>,
    /// The memory that clients may make the edge hold.
    pub memory: Arc<Budget>,
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
    /// The client connections that may be shed.
    pub clients: Clients,
    refusal_lines: RefusalLines,
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
        let buffers = BufferPool::new(Memory::new(Arc::clone(&shared.memory)));
        Rc::new(Self {
            index,
            connections: Rc::new(ConnectionPool::new(index, buffers)),
            clock: Clock::new(),
            shared,
            view: RefCell::new(Rc::new(view)),
            random: RefCell::new(random),
            log,
            clients: Clients::default(),
            refusal_lines: RefusalLines::default(),
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

    /// The worker's account with the budget of memory.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        self.connections.buffers.memory()
    }

    /// Whether a connection that holds this many bytes, 0 for a new one, is refused for lack of memory.
    #[must_use]
    pub fn refuses(&self, held: usize) -> bool {
        memory::refuses(self.memory().level(), held)
    }

    /// Closes the worst connections if memory runs out; see [`shedding`].
    pub fn shed(&self) {
        let excess = self.memory().excess();
        if excess > 0 {
            self.clients.shed(excess, self.clock.tick());
        }
    }

    /// The number of workers.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.idle_wanted.iter().count()
    }

    /// The newest snapshot, with this worker's turns in each pool.
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

    /// Admits a client connection, and its handshake if it begins with one. The handshake's permit, if there is one,
    /// must be dropped when the handshake ends.
    ///
    /// # Errors
    /// The reason for which the connection must be closed at once: [`Limits::memory`], [`Limits::max_connections`],
    /// [`Limits::connections_per_client`] or [`Limits::handshakes_per_client`]. Trusted proxies may have any number.
    pub fn admit(
        self: &Rc<Self>,
        peer: SocketAddr,
        has_handshake: bool,
    ) -> Result<(Admission, Option<Permit>), Refusal> {
        let snapshot = self.shared.snapshot.load();
        let Config { limits, trusted_proxies, .. } = &*snapshot.config;
        let (mut connection, mut handshake) = (None, None);
        let address = peer.ip().to_canonical();
        if !trusted_proxies.iter().any(|network| network.contains(&address)) {
            let max = limits.connections_per_client;
            let refused = |_| Refusal::ConnectionsPerClient;
            connection = self.acquire(address, Resource::Connections, max).map_err(refused)?;
            if has_handshake {
                let max = limits.handshakes_per_client;
                let refused = |_| Refusal::HandshakesPerClient;
                handshake = self.acquire(address, Resource::Handshakes, max).map_err(refused)?;
            }
        }
        let max = limits.max_connections.get();
        let more = |open: usize| (open < max).then_some(open + 1);
        if self.refuses(0) {
            self.stats().refused.add(1);
            return Err(Refusal::Memory);
        }
        if self.shared.open.fetch_update(Relaxed, Relaxed, more).is_err() {
            self.stats().refused.add(1);
            return Err(Refusal::Connections);
        }
        self.stats().accepted.add(1);
        self.stats().open.add(1);
        self.open.set(self.open.get() + 1);
        Ok((Admission { worker: Rc::clone(self), _of_client: connection }, handshake))
    }

    /// Admits a request of the client at `address`. The permit, if there is one, must be dropped when the request ends.
    ///
    /// # Errors
    /// The client has too many requests in progress, or sends them too fast.
    pub fn admit_request(&self, address: IpAddr, limits: &Limits) -> Result<Option<Permit>, Refusal> {
        let max = limits.requests_per_client;
        let permit = self.acquire(address, Resource::Requests, max).map_err(|_| Refusal::RequestsPerClient)?;
        if let Some(rate) = Rate::new(limits.request_rate_per_client, limits.request_burst_per_client) {
            let counted = self.shared.clients.count_request(ClientKey::of(address), rate, self.clock.now());
            match counted.map_err(|_| Refusal::RequestRatePerClient)? {
                Counted::Yes(()) => {}
                Counted::NoRoom => self.stats().uncounted.add(1),
            }
        }
        Ok(permit)
    }

    /// Takes one unit of a resource for a client that may have `max`, or any number if that is 0.
    fn acquire(&self, address: IpAddr, resource: Resource, max: u32) -> Result<Option<Permit>, OverLimit> {
        if max == 0 {
            return Ok(None);
        }
        match self.shared.clients.acquire(ClientKey::of(address), resource, max, self.clock.now())? {
            Counted::Yes(permit) => Ok(Some(permit)),
            Counted::NoRoom => {
                self.stats().uncounted.add(1);
                Ok(None)
            }
        }
    }

    /// Counts that a client gets no response from an endpoint, and logs it unless there are too many such lines.
    pub fn refuse(
        &self,
        client: impl Display,
        reason: Refusal,
        server_name: Option<&str>,
        detail: Option<&dyn Display>,
    ) {
        if let Some(counter) = self.stats().refusals.get(reason as usize) {
            counter.add(1);
        }
        if let Some(omitted) = self.refusal_lines.admit(reason, self.clock.now()) {
            let detail = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
            tracing::info!(%client, server_name, omitted, reason = reason.label(), "client refused: {reason}{detail}");
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
            self.connections.serve_queues(Instant::now());
        }
    }

    /// Records a heartbeat, reads the wall clock, closes idle upstream connections that are too old or whose endpoint
    /// is gone, and frees memory that is not needed. Called about once a second.
    pub fn housekeep(&self) {
        self.clock.set();
        self.shared.heartbeats.of(self.index).beat(SystemTime::now());
        let view = self.view();
        let mut known = HashSet::new();
        for pool in view.pools() {
            pool.handle.observe_requests(self.clock.now());
            known.extend(pool.handle.snapshot.load().endpoints.iter().map(|endpoint| endpoint.id));
        }
        let is_mesh = |queue: &Arc<_>| {
            view.pools().iter().any(|pool| pool.handle.config.mesh && Arc::ptr_eq(&pool.handle.queue, queue))
        };
        self.connections.sweep(Instant::now(), |endpoint| known.contains(&endpoint), is_mesh);
        self.connections.buffers.trim();
        self.shed();
    }
}

/// The permit of one open client connection; dropping it makes room for another.
#[derive(Debug)]
pub struct Admission {
    worker: Rc<Worker>,
    /// The same for its client; `None` if the connections of each client are not limited.
    _of_client: Option<Permit>,
}

impl Drop for Admission {
    fn drop(&mut self) {
        let worker = &self.worker;
        worker.shared.open.fetch_sub(1, Relaxed);
        worker.stats().open.sub(1);
        worker.open.set(worker.open.get().saturating_sub(1));
        if worker.open.get() == 0 {
            worker.empty.notify_waiters();
        }
    }
}
