//! A pool as workers and the admin listener see it.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
    time::SystemTime,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::time::Instant;

use super::{
    connection::Place,
    endpoint::Endpoint,
    mesh::report::{MeshReport, MeshStatus},
    queue::Queue,
    recovery::Recovery,
    retry_budget::RetryBudget,
    sticky::{Sessions, Tags},
    traffic::Traffic,
};
use crate::{
    config,
    observe::{
        decisions::{Decision, Decisions, Note},
        stats::{Counter, PerWorker, PoolStats},
    },
};

/// A pool's published snapshot and counters, for the lifetime of one version of its configuration.
#[derive(Debug)]
pub struct PoolHandle {
    /// The pool's settings.
    pub config: Arc<config::Pool>,
    /// The endpoints that requests pick from. Written by the pool's task on the control thread only.
    pub snapshot: ArcSwap<PoolSnapshot>,
    /// The tags of its endpoints in cookies; `None` if it sets none.
    pub tags: Option<Tags>,
    /// Counters, one copy per worker. A reload that changes the pool keeps them.
    pub stats: Arc<PerWorker<PoolStats>>,
    /// The requests that wait for a connection. A reload that changes the pool keeps it.
    pub queue: Arc<Queue<Place>>,
    /// The requests that wait for an endpoint that can be reached. A reload that changes the pool keeps it.
    pub recovery: Arc<Recovery>,
    /// How many requests may be sent again. A reload that changes the pool keeps it.
    pub retry_budget: Arc<RetryBudget>,
    /// How often the pool entered panic mode, which ignores health because too few endpoints are healthy. Written by
    /// the control thread only. A reload that changes the pool keeps it.
    pub panics: Arc<Counter>,
    /// The decisions about its endpoints. A reload that changes the pool keeps them.
    pub decisions: Arc<Decisions>,
    /// What each worker reports of its connections behind a mesh, once a second. A reload that changes the pool keeps
    /// it.
    pub meshes: Arc<PerWorker<ArcSwapOption<MeshReport>>>,
    /// The same of all workers together; `None` for a pool that is not behind a mesh. Written by the control thread. A
    /// reload that changes the pool keeps it.
    pub mesh: Arc<ArcSwapOption<MeshStatus>>,
    /// How often a replica behind a mesh appeared to any worker. The others then look for it as well.
    pub replicas_found: Arc<AtomicU64>,
    /// Whether the pool gets requests. A reload that changes the pool keeps it.
    pub traffic: Arc<Traffic>,
    /// Counters of the sources, in the order of the configuration. A reload keeps the counters of a source that stays.
    pub sources: Vec<Arc<SourceStats>>,
}

impl PoolHandle {
    /// Creates a pool without endpoints and with all counters at zero.
    #[must_use]
    pub fn new(config: Arc<config::Pool>, workers: usize) -> Self {
        Self {
            sources: config.sources.iter().map(|_| Arc::default()).collect(),
            tags: config.sticky.as_ref().map(|sticky| Tags::load(&config.name, sticky.key_file.as_deref())),
            config,
            snapshot: ArcSwap::default(),
            stats: Arc::new(PerWorker::new(workers)),
            queue: Arc::default(),
            recovery: Arc::default(),
            retry_budget: Arc::default(),
            panics: Arc::default(),
            decisions: Arc::default(),
            meshes: Arc::new(PerWorker::new(workers)),
            mesh: Arc::default(),
            replicas_found: Arc::default(),
            traffic: Arc::default(),
        }
    }

    /// Counts, logs and remembers a decision of the control thread about an endpoint, or about the pool if that is
    /// `None`. See [`decisions`](crate::observe::decisions).
    pub fn note(&self, decision: Decision, endpoint: Option<SocketAddr>, reason: &str) {
        self.note_with(&Note { endpoint, ..Note::new(decision, reason) });
    }

    /// Does the same with everything that is known of it.
    pub fn note_with(&self, note: &Note<'_>) {
        self.decisions.note(&self.config.name, note, SystemTime::now());
    }

    /// How often a decision was taken, by the control thread and by all workers.
    #[must_use]
    pub fn decided(&self, decision: Decision) -> u64 {
        self.decisions.count(decision).wrapping_add(self.stats.sum(|stats| stats.decided(decision)))
    }

    /// Takes one retry, or one hedge, out of the budget. Returns whether there was one.
    #[must_use]
    pub fn take_retry(&self, now: Instant) -> bool {
        self.retry_budget.take(self.stats.sum(|stats| stats.requests.value()), self.config.retry_budget, now)
    }

    /// Puts a retry or a hedge back into the budget that was not sent after all.
    pub fn return_retry(&self) {
        self.retry_budget.put_back();
    }

    /// Notes the requests so far in the budget of retries. Called about once a second.
    pub fn observe_requests(&self, now: Instant) {
        self.retry_budget.observe(self.stats.sum(|stats| stats.requests.value()), self.config.retry_budget, now);
    }
}

/// Counters of one source, written by the control thread. They stay zero for a fixed address.
#[derive(Debug, Default)]
pub struct SourceStats {
    /// Completed queries to the name servers or to a swarm's watch, or reads of a file; all queries for one name
    /// together are one.
    pub questions: Counter,
    /// Queries that failed, completely or in part.
    pub failures: Counter,
}

/// The endpoints of a pool at one moment. Immutable: a change publishes a new snapshot.
#[derive(Clone, Debug, Default)]
pub struct PoolSnapshot {
    /// Every endpoint, ordered by address.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// Endpoints that are healthy and neither ejected nor draining, in the same order; those on probation as well. While there are none, those that
    /// drain, or else those that are not checked yet; see [`pool`](super::pool).
    pub healthy: Vec<Arc<Endpoint>>,
    /// Those of them that are in the tiers in use and, if they are enough, in the edge's zone; see
    /// [`tiers`](super::tiers).
    pub preferred: Vec<Arc<Endpoint>>,
    /// The last tier in use; 0 in a panic.
    pub last_tier: u8,
    /// Whether all of `preferred` are in the edge's zone.
    pub local: bool,
    /// Endpoints that drain and work, in the same order: for an attempt after those at healthy ones failed, and for the
    /// requests of their sessions.
    pub draining: Vec<Arc<Endpoint>>,
    /// Whether `healthy` are those that drain, because no other is healthy.
    pub uses_draining: bool,
    /// Endpoints for requests in panic, and for attempts after all others failed, in the same order: all but those that
    /// are in maintenance, and those that drain while others are left.
    pub reserve: Vec<Arc<Endpoint>>,
    /// Whether too few endpoints are healthy, so that [`usable`](Self::usable) returns the reserve.
    pub panic: bool,
    /// Whether any of the endpoints is on probation, so that it gets one request at a time.
    pub on_probation: bool,
    /// The endpoints that get the requests of their sessions, whatever their tier; none if the pool sets no cookie.
    pub sessions: Sessions,
    /// Whether the current weights of the endpoints in use differ.
    pub weighted: bool,
    /// The state of each source, in the order of the configuration.
    pub sources: Vec<SourceStatus>,
}

impl PoolSnapshot {
    /// Returns the endpoints that a first attempt picks from.
    #[must_use]
    pub fn usable(&self) -> &[Arc<Endpoint>] {
        if self.panic { &self.reserve } else { &self.preferred }
    }
}

/// The state of one source of a pool, for the status page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// The source as configured, such as `host:port` or `swarm://host:port?port=port`.
    pub source: String,
    /// The number of endpoints it currently provides.
    pub endpoints: usize,
    /// Why the last query failed, completely or in part. The pool then keeps the missing endpoints of the last good
    /// answer.
    pub error: Option<String>,
    /// When the last good answer arrived; `None` if there was none. Exact while there is an error. Without an error,
    /// good answers arrive all the time, and this is the time of the one that last changed the snapshot.
    pub resolved: Option<SystemTime>,
}
