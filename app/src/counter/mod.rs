//! The counter, and the only folder that knows a store.
//!
//! A [`Counter`] guarantees:
//!
//! - A number is returned once, across all replicas on one store, and numbers have no gaps while nothing fails.
//!   A hit that starts after another's answer was read gets a larger number.
//! - A returned number survives: in Redis as its [`Durability`] says, in the file because the commit is durable
//!   before the answer.
//! - Every hit is answered within [`Limits::deadline`], with a number or with a [`CounterError`], even if the
//!   task below panics.
//! - A visit is counted once. Redis recognizes a batch by its sequence number, so a batch whose answer was lost
//!   is sent again while a client still waits for it, also to a new master. The file has no such record: those
//!   hits fail, and their numbers may be skipped.
//!
//! `batch` is the arithmetic, `queue` holds the waiting hits, `commit` is the task that owns the store and drives
//! it, `redis` and `embedded` are the two stores, and `sentinel` finds the master and says whether it still is one.

mod batch;
mod commit;
mod embedded;
pub(crate) mod error;
pub(crate) mod limits;
pub(crate) mod metrics;
mod pace;
mod queue;
mod redis;
mod sentinel;
mod store;

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::watch;
use tracing::info;

use self::{batch::Kind, metrics::CounterMetrics, queue::Queue, store::Store};
pub use self::{
    error::{CounterError, OpenError, StoreError, UnmetRequirement},
    limits::Limits,
    redis::{Degraded, Durability, RedisConfig},
};

/// Where the count is kept.
#[derive(Clone, Debug)]
pub enum StoreConfig {
    /// In Redis, under the key `hits`, as the tutorial's program keeps it.
    Redis(RedisConfig),
    /// In this file, which is created if it is missing. One process at a time may have it open.
    File(PathBuf),
}

impl StoreConfig {
    /// Reads the files again that hold the login and the authorities of Redis, and tries what they contain. The log
    /// says with what result. Counters on this configuration and its clones follow changes of the files by themselves,
    /// within two seconds.
    pub async fn reload(&self) {
        match self {
            Self::Redis(config) => config.reload().await,
            Self::File(_) => info!("nothing to reload: the count is in a file"),
        }
    }
}

/// A handle on the one count. Clones share the store, its connection and its batches.
///
/// The store closes after [`Counter::close`], or some time after the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Counter {
    handle: Arc<Handle>,
}

impl Counter {
    /// Opens the store and starts the task that owns it on the current Tokio runtime.
    ///
    /// A file is opened here, and created with its folder if need be. Redis need not be reachable: the
    /// first hits wait for the first attempt to connect, and fail fast when it fails.
    ///
    /// # Errors
    /// No runtime is running, or the file cannot be opened.
    pub fn open(store: &StoreConfig, limits: Limits) -> Result<Self, OpenError> {
        let metrics = CounterMetrics::default();
        match store {
            StoreConfig::Redis(config) => Self::start(redis::Redis::new(config, &metrics), limits, metrics),
            StoreConfig::File(path) => Self::start(embedded::Embedded::open(path)?, limits, metrics),
        }
    }

    fn start<S: Store>(store: S, limits: Limits, metrics: CounterMetrics) -> Result<Self, OpenError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| OpenError::OutsideRuntime)?;
        let queue = Arc::new(Queue::new(limits, metrics));
        let (end, ended) = watch::channel(());
        runtime.spawn(commit::run(store, Arc::clone(&queue), end));
        Ok(Self { handle: Arc::new(Handle { queue, ended }) })
    }

    /// Counts a visit and returns its number.
    ///
    /// Dropping the future cancels the hit if it has not been sent to the store yet.
    ///
    /// # Errors
    /// See [`CounterError`]; all of them arrive within [`Limits::deadline`].
    pub async fn hit(&self) -> Result<u64, CounterError> {
        self.request(Kind::Hit).await
    }

    /// Succeeds when the store has answered within the last five seconds and nothing has failed
    /// since, or answers now.
    ///
    /// A probe is an addition of zero, which on Redis needs the same permission as a hit (a read would also succeed on
    /// a read-only replica). It joins the batch of the hits, so any number of probes costs one round trip.
    ///
    /// # Errors
    /// Those of [`Counter::hit`].
    pub async fn ready(&self) -> Result<(), CounterError> {
        // Redis logs additions of zero as well. A failed hit and a broken connection are noticed without asking, so
        // this only limits how long a silent Redis can go unnoticed while there are no visits, when it affects no
        // client.
        const FRESH: Duration = Duration::from_secs(5);
        let last_answer = self.handle.queue.last_answer();
        if last_answer.is_some_and(|at| at.elapsed() < FRESH) {
            return Ok(());
        }
        self.request(Kind::Probe).await.map(|_count| ())
    }

    /// The number of hits and probes that wait to be sent.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.handle.queue.lock().open.len()
    }

    /// Whether numbers are returned, or were last requested, that are less durable than
    /// [`RedisConfig::durability`] says; see [`Degraded`].
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.metrics().degraded.get() != 0
    }

    /// Whether the last round trips to the store took a large part of [`Limits::deadline`].
    #[must_use]
    pub fn is_slow(&self) -> bool {
        self.metrics().slow.get() != 0
    }

    /// Answers the hits that wait, closes the store, and returns when it is closed. Later hits, also on
    /// clones, are refused.
    pub async fn close(&self) {
        self.handle.queue.close();
        self.ended().await;
    }

    /// Completes when the store is closed: after [`Counter::close`] on any clone, or when the
    /// task that owns the store has failed. Every hit is refused from then on.
    pub async fn ended(&self) {
        // An error means that the task has dropped the other end.
        while self.handle.ended.clone().changed().await.is_ok() {}
    }

    /// Live handles on the metrics of this counter.
    pub(crate) fn metrics(&self) -> &CounterMetrics {
        &self.handle.queue.metrics
    }

    async fn request(&self, kind: Kind) -> Result<u64, CounterError> {
        let answer = self.handle.queue.join(kind)?;
        // The task answers every hit before it ends, unless its runtime was shut down.
        answer.await.unwrap_or(Err(CounterError::Closed))
    }
}

/// What the clones of a counter own together. Dropping the last clone ends the task.
#[derive(Debug)]
struct Handle {
    queue: Arc<Queue>,
    /// The task drops the other end when the store is closed.
    ended: watch::Receiver<()>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.queue.close();
    }
}
