//! Where endpoints come from and what is known of them.
//!
//! One direction only: `discover -> pool -> Arc<PoolSnapshot> -> forward`. Everything that decides runs
//! on the control thread; a worker reads a snapshot and writes back nothing but its own counters and
//! the outcome of an attempt ([`Endpoint::succeeded`], [`Endpoint::failed`]), which the control thread
//! reads when it likes.

pub mod balance;
pub mod connection;
pub mod discovery;
pub mod health;
pub mod manager;
pub mod pool;
mod pool_state;

use std::{
    borrow::Cow,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::SystemTime,
};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use crate::{
    config,
    observe::stats::{Counter, EndpointStats, PerWorker, PoolStats},
};

/// A pool for as long as its configuration lives: the published snapshot and the counters.
#[derive(Debug)]
pub struct PoolHandle {
    /// Its settings.
    pub config: Arc<config::Pool>,
    /// What requests pick from. Written by the pool's task on the control thread only.
    pub snapshot: ArcSwap<PoolSnapshot>,
    /// Counters, one copy for each worker. A reload that changes the pool keeps them.
    pub stats: Arc<PerWorker<PoolStats>>,
    /// How often health had to be ignored because too few endpoints were good. Written by the control
    /// thread only; a reload that changes the pool keeps it.
    pub panics: Arc<Counter>,
    /// Counters of the sources, in the order of the configuration. A reload keeps those of a source
    /// that stays.
    pub sources: Vec<Arc<SourceStats>>,
}

impl PoolHandle {
    /// A pool without endpoints and with all counters at zero.
    #[must_use]
    pub fn new(config: Arc<config::Pool>, workers: usize) -> Self {
        Self {
            sources: config.sources.iter().map(|_| Arc::default()).collect(),
            config,
            snapshot: ArcSwap::default(),
            stats: Arc::new(PerWorker::new(workers)),
            panics: Arc::default(),
        }
    }
}

/// What the control thread counts about one source. An address that needs no resolving counts nothing.
#[derive(Debug, Default)]
pub struct SourceStats {
    /// Questions to the name servers, or to a swarm's watch, that came to an end; A and AAAA are one question.
    pub questions: Counter,
    /// Those of them that went wrong, also in part.
    pub failures: Counter,
}

/// One moment of a pool. Never changed, only replaced as a whole.
#[derive(Clone, Debug, Default)]
pub struct PoolSnapshot {
    /// Every endpoint, ordered by address.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Those that health checks and ejection allow, in the same order. While there is none, those not
    /// checked yet; see [`pool`].
    pub healthy: Vec<Arc<Endpoint>>,
    /// Too few are healthy: [`usable`](Self::usable) is all of them.
    pub panic: bool,
    /// How each source was last resolved, in the order of the configuration.
    pub sources: Vec<SourceStatus>,
}

impl PoolSnapshot {
    /// What a first attempt picks from.
    #[must_use]
    pub fn usable(&self) -> &[Arc<Endpoint>] {
        if self.panic { &self.endpoints } else { &self.healthy }
    }
}

/// How one source of a pool stands, for people to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// As configured: `host:port`, or `swarm://host:port?port=port`.
    pub source: String,
    /// Endpoints it gives at present.
    pub endpoints: usize,
    /// Why the last question gave nothing new, or only part of an answer; the rest of the endpoints are then
    /// those of the last good answer.
    pub error: Option<String>,
    /// When it was last answered well; `None` means never. Exact while there is an error. Without one
    /// the source is answered all the time, and this is when the snapshot was last worth replacing.
    pub resolved: Option<SystemTime>,
}

/// One address that requests can be sent to, for as long as it stays in its pool.
///
/// An address that leaves and comes back is a new endpoint with a new id: overlay addresses are used
/// again by other services, so no connection of the old one may serve the new one.
#[derive(Debug)]
pub struct Endpoint {
    /// Never used twice in this process.
    pub id: u64,
    /// Where it listens.
    pub address: SocketAddr,
    /// The configured source it came from, `host:port` or `swarm://host:port?port=port`.
    pub source: Arc<str>,
    /// Open connections over all workers; changes only when one is opened or closed.
    pub connections: AtomicUsize,
    /// Counters, one copy for each worker.
    pub stats: PerWorker<EndpointStats>,
    /// Counters of what is done to it on the control thread.
    pub checks: CheckStats,
    /// Failures of real requests since the last success.
    failures_in_a_row: AtomicU32,
    /// Tells the control thread that a real request failed, so that it checks at once.
    alarm: Notify,
    /// Its checks fail, for requests that already wait for it; new ones go by the snapshot.
    down: AtomicBool,
    /// Written by the control thread on a change, read by the admin listener.
    status: Mutex<EndpointStatus>,
}

/// What the control thread counts about one endpoint.
#[derive(Debug, Default)]
pub struct CheckStats {
    /// Active health checks that came to an end.
    pub done: Counter,
    /// Those of them that failed.
    pub failed: Counter,
    /// Ejections for failures of real requests.
    pub ejections: Counter,
}

/// What is known of an endpoint, for people to read; requests go by the snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointStatus {
    /// Whether it gets requests.
    pub state: EndpointState,
    /// What brought it there: the last check's outcome or the ejection.
    pub reason: String,
    /// Since when.
    pub since: SystemTime,
}

/// Whether an endpoint gets requests, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointState {
    /// Not checked yet.
    Unchecked,
    /// It gets requests.
    Healthy,
    /// Its checks fail.
    Unhealthy,
    /// Its checks pass or there are none, but real requests failed in a row.
    Ejected,
}

impl Endpoint {
    /// A new endpoint in state [`EndpointState::Unchecked`], with an id of its own.
    #[must_use]
    pub fn new(address: SocketAddr, source: Arc<str>, workers: usize, now: SystemTime) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT_ID.fetch_add(1, Relaxed),
            address,
            source,
            connections: AtomicUsize::new(0),
            stats: PerWorker::new(workers),
            checks: CheckStats::default(),
            failures_in_a_row: AtomicU32::new(0),
            alarm: Notify::new(),
            down: AtomicBool::new(false),
            status: Mutex::new(EndpointStatus { state: EndpointState::Unchecked, reason: String::new(), since: now }),
        }
    }

    /// What a health check calls it: the name that it was found by, or its address.
    #[must_use]
    pub fn authority(&self) -> Cow<'_, str> {
        if self.source.starts_with(config::SWARM) { self.address.to_string().into() } else { (&*self.source).into() }
    }

    /// An attempt got a response head, whatever its status. Costs a read unless it follows a failure.
    pub fn succeeded(&self) {
        if self.failures_in_a_row.load(Relaxed) != 0 {
            self.failures_in_a_row.store(0, Relaxed);
        }
    }

    /// An attempt was refused, reset or timed out.
    pub fn failed(&self) {
        // Saturates far beyond any threshold: a wrapped zero would look like a success.
        let failures = self.failures_in_a_row.load(Relaxed);
        self.failures_in_a_row.store(failures.saturating_add(1), Relaxed);
        self.alarm.notify_one();
    }

    /// Failures of real requests since the last success.
    #[must_use]
    pub fn failures_in_a_row(&self) -> u32 {
        self.failures_in_a_row.load(Relaxed)
    }

    /// Forgets past failures, when an ejection ends.
    pub fn reset_failures(&self) {
        self.failures_in_a_row.store(0, Relaxed);
    }

    /// Resolves after an attempt failed. One waiter at a time: the endpoint's task on the control thread.
    pub async fn alarmed(&self) {
        self.alarm.notified().await;
    }

    /// What is known of it, for people to read.
    #[must_use]
    pub fn status(&self) -> EndpointStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether its checks fail: a request that waits for its answer may give up on it.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.down.load(Relaxed)
    }

    /// Sets what people read. Control thread only.
    pub fn set_status(&self, status: EndpointStatus) {
        self.down.store(status.state == EndpointState::Unhealthy, Relaxed);
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}
