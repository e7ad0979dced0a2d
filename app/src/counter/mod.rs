//! The counter, and the only folder that knows a store.
//!
//! What a [`Counter`] promises:
//!
//! - A number is given once, over all replicas on one store, and numbers have no gaps while nothing
//!   fails. A hit that starts after another's answer was read gets a larger number.
//! - A number that was given survives: in Redis as its [`Durability`] says, in the file because the
//!   commit is durable before the answer.
//! - Every hit is answered within [`Limits::deadline`], with a number or with an [`Error`], also when
//!   the task below ends in a way that nobody foresaw.
//! - A visit is counted once. Redis knows a batch by its sequence number, so one whose answer was lost
//!   is sent again for as long as somebody waits for it, also to another master. In the file it is not:
//!   those hits fail and their numbers may be skipped.
//!
//! `batch` is the arithmetic, `commit` the task that owns the store and drives it, `redis` and
//! `embedded` are the two stores, and `sentinel` finds the master and tells whether it still is one.

mod batch;
mod commit;
mod embedded;
mod redis;
mod sentinel;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot, watch},
    time::Instant,
};

use self::batch::{Ask, Batch};
pub use self::redis::{Degraded, Durability, Login, RedisConfig, RedisConfigError};
use crate::{error::Error, metrics::CounterMetrics};

/// Where the count is kept.
#[derive(Clone, Debug)]
pub enum StoreConfig {
    /// In Redis, under the key `hits`, as the tutorial's program keeps it.
    Redis(RedisConfig),
    /// In this file, made when it is missing. One process at a time may have it open.
    File(PathBuf),
}

/// Bounds on waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest a hit waits for its number; more than [`Limits::LONGEST`] is taken for that.
    /// Default 1.8 s, so that the answer is with the client within 2 s.
    pub deadline: Duration,
    /// Hits that may wait for the next round trip; one more is refused at once. Default 4096,
    /// about 100 bytes each.
    pub max_waiting: usize,
}

impl Limits {
    /// The longest deadline: no client waits so long.
    pub const LONGEST: Duration = Duration::from_secs(60);
}

impl Default for Limits {
    fn default() -> Self {
        Self { deadline: Duration::from_millis(1800), max_waiting: 4096 }
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
    /// A file is opened here, and made with its folder if need be. Redis need not be reachable: the
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
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                open: Batch::new(),
                health: Health::Starting,
                idle: false,
                closing: false,
                last_answer: None,
            }),
            work: Notify::new(),
            limits: Limits { deadline: limits.deadline.min(Limits::LONGEST), ..limits },
            metrics,
        });
        let (end, ended) = watch::channel(());
        runtime.spawn(commit::run(store, Arc::clone(&shared), end));
        Ok(Self { handle: Arc::new(Handle { shared, ended }) })
    }

    /// Counts a visit and returns its number.
    ///
    /// Dropping the future takes the hit back if it was not sent to the store yet.
    ///
    /// # Errors
    /// See [`Error`]; all of them arrive within [`Limits::deadline`].
    pub async fn hit(&self) -> Result<u64, Error> {
        self.ask(Ask::Hit).await
    }

    /// Succeeds when the store has answered within the last five seconds and nothing has failed
    /// since, or answers now.
    ///
    /// A probe is an addition of nothing, which on Redis proves the very right a hit needs (a read
    /// would succeed on a read-only replica, too). It joins the batch of the hits, so that any
    /// number of probes costs one round trip.
    ///
    /// # Errors
    /// As [`Counter::hit`].
    pub async fn ready(&self) -> Result<(), Error> {
        // Redis writes additions of nothing to its log, too. A failed hit and a connection that
        // breaks are known without asking, so this is only how long a silent Redis can go unnoticed
        // while nobody visits, and it costs nobody.
        const FRESH: Duration = Duration::from_secs(5);
        let last_answer = self.handle.shared.last_answer();
        if last_answer.is_some_and(|at| at.elapsed() < FRESH) {
            return Ok(());
        }
        self.ask(Ask::Probe).await.map(|_count| ())
    }

    /// Hits and probes that wait to be sent.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.handle.shared.lock().open.len()
    }

    /// Whether numbers are told, or were last asked for, that are less safe than
    /// [`RedisConfig::durability`] says; see [`Degraded`].
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.metrics().degraded.get() != 0
    }

    /// Answers who waits, closes the store, and returns when it is closed. Later hits, also on
    /// clones, are refused.
    pub async fn close(&self) {
        self.handle.shared.close();
        self.ended().await;
    }

    /// Returns when the store is closed: after [`Counter::close`] on any clone, or unasked when the
    /// task that owns the store has failed. Every hit is refused then.
    pub async fn ended(&self) {
        // An error means that the task has dropped the other end.
        while self.handle.ended.clone().changed().await.is_ok() {}
    }

    /// Live handles on the metrics of this counter.
    pub(crate) fn metrics(&self) -> &CounterMetrics {
        &self.handle.shared.metrics
    }

    async fn ask(&self, ask: Ask) -> Result<u64, Error> {
        let answer = self.handle.shared.join(ask)?;
        // The task answers everybody before it ends, unless the runtime went away under it.
        answer.await.unwrap_or(Err(Error::Closed))
    }
}

/// Why a counter cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A counter needs a Tokio runtime to run its task on.
    #[error("a counter can only be opened on a Tokio runtime")]
    OutsideRuntime,
    /// Another process has the file open.
    #[error(
        "{0} is in use by another process: stop that process, or give each its own folder \
         (replicas of one process share one counter; several processes need Redis)"
    )]
    Locked(PathBuf),
    /// The file or its folder cannot be made, read or written.
    #[error("cannot open {0}")]
    File(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a store did not count.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no connection. Nothing was counted.
    #[error("cannot connect to the store")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store was silent for too long. Whether it counted is unknown.
    #[error("the store does not answer")]
    Silent,
    /// The connection broke before the answer. Whether the store counted is unknown.
    #[error("the connection to the store broke")]
    Lost(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store answered that it will not count, such as a Redis that is a read-only replica, is
    /// still loading, or wants a password. Nothing was counted.
    #[error("the store refuses to count")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is stored is no number that can be counted up. Nothing was counted, unless somebody
    /// stored a number below zero while we were connected: then Redis has counted up from there.
    #[error("the stored count is not a whole number from 0 to 2^63-1: {0}")]
    NotACount(String),
    /// The store has counted or would, but a number that was told now could be lost.
    #[error("{0}")]
    Unconfirmed(Doubt),
}

/// What a number still needs before it can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// A replica that has the addition.
    #[error("no replica has what is counted")]
    NoReplica,
    /// The word of enough sentinels that the master still is one.
    #[error("too few sentinels confirm the master")]
    NoVote,
    /// A sentinel that names the master.
    #[error("no sentinel names a master")]
    NoMaster,
}

/// A batch as the store sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Addition {
    /// Counts the batches of this counter from 1. One that is sent again keeps its number.
    sequence: u64,
    hits: u64,
}

impl Addition {
    /// Adds nothing, and is no batch.
    const PROBE: Self = Self { sequence: 0, hits: 0 };
}

/// One place that keeps a count. The task of [`commit`] is its only caller and makes one call at a
/// time, so an implementation needs no locks.
///
/// A future may be dropped before it is done, when it takes too long. The next call is then always
/// `connect`, which must not mistake a late answer to the dropped call for its own.
trait Store: Send + 'static {
    /// Gets the store into a state to count in, from whatever state it is in, and proves it by an
    /// addition of nothing.
    fn connect(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Adds its hits in one indivisible and, as far as the store can, durable step, and returns the
    /// count after it. The same batch comes again only when [`Store::repeats`] says so.
    fn add(&mut self, addition: Addition) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Whether a batch that failed so may be sent again without being counted twice, and with a hope.
    fn repeats(&self, _failure: &StoreError) -> bool {
        false
    }

    /// Returns when there is a reason to try again at once.
    fn news(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// What a call that was dropped, because it took too long, was waiting for.
    fn late(&self) -> StoreError {
        StoreError::Silent
    }

    /// Returns when the connection breaks while nothing is asked of it.
    fn lost(&mut self) -> impl Future<Output = StoreError> + Send;

    /// Gives up what would block if it were dropped. It is the last call.
    fn close(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// What the clones of a counter own together. When the last goes, the task ends.
#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    /// The task drops the other end when the store is closed.
    ended: watch::Receiver<()>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

type Waiter = oneshot::Sender<Result<u64, Error>>;

/// What hits and the task share.
struct Shared {
    /// Held for a few instructions at a time, never over an await.
    state: Mutex<State>,
    /// Wakes the task: a first hit came while it was idle, or the counter closes.
    work: Notify,
    limits: Limits,
    metrics: CounterMetrics,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("limits", &self.limits).finish_non_exhaustive()
    }
}

struct State {
    /// The batch that the next round trip will take.
    open: Batch<Waiter>,
    health: Health,
    /// The task sleeps and wants to be woken. Hits that come while it works need not wake it.
    idle: bool,
    closing: bool,
    /// When the store last counted.
    last_answer: Option<Instant>,
}

/// Whether hits may wait for the store.
enum Health {
    /// The first attempt to connect after the start or a loss: hits wait for it.
    Starting,
    Up,
    /// Attempts fail. Hits are refused with the reason, at once.
    Down(Arc<StoreError>),
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, ask: Ask) -> Result<oneshot::Receiver<Result<u64, Error>>, Error> {
        let (waiter, answer) = oneshot::channel();
        let wake = {
            let mut state = self.lock();
            if state.closing {
                return Err(Error::Closed);
            }
            if let Health::Down(reason) = &state.health {
                return Err(Error::Store(Arc::clone(reason)));
            }
            if state.open.len() >= self.limits.max_waiting {
                return Err(Error::Busy);
            }
            // Read under the lock, so that the batch is in order of expiry.
            let expires = Instant::now() + self.limits.deadline;
            state.open.push(waiter, ask, expires);
            std::mem::take(&mut state.idle)
        };
        if wake {
            self.work.notify_one();
        }
        Ok(answer)
    }

    fn last_answer(&self) -> Option<Instant> {
        let state = self.lock();
        match state.health {
            Health::Up if !state.closing => state.last_answer,
            _ => None,
        }
    }

    fn close(&self) {
        self.lock().closing = true;
        self.work.notify_one();
    }
}
