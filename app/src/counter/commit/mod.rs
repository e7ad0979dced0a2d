//! The task that owns the store: it sends one batch at a time and answers every hit in it.
//!
//! It connects; while connected, it waits for hits, sends them and returns the numbers; after a failure, it connects
//! again. If the store recognizes a batch by its sequence number, the batch in flight is kept and sent again until its
//! hits expire; otherwise its hits fail.
//!
//! The first attempt after a loss is immediate and hits wait for it, so that a restart of the store causes no errors.
//! If that attempt fails too, new hits are refused at once and attempts slow down.

use std::{pin::pin, sync::Arc, time::Duration};

use net::Backoff;
use process::chain;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};
use tracing::{info, warn};

use super::{
    batch::{Batch, Kind},
    error::{CounterError, StoreError},
    pace::Pace,
    queue::{Health, Queue, Waiter},
    store::{Addition, Store},
};

/// The longest the first two attempts to connect may take. Visits wait for the first one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest any attempt to connect may take, however long the deadline of visits is.
const LONGEST_CONNECT: Duration = Duration::from_secs(10);

/// What the log says about a slow store. A failover would not help unless it leads to a faster host, and only a person
/// knows that.
const SLOW: &str = "the store is slow: look at the disk and the load of its host, and at the network; \
                    if another host of the group is faster, stop this master's container to make it the master";

/// The longest pause between attempts to connect.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Runs until the counter is closed. `_end` is dropped last, after the store.
pub(super) async fn run<S: Store>(store: S, queue: Arc<Queue>, _end: watch::Sender<()>) {
    let addition = Addition::PROBE;
    let mut task = Committer { store, sent: Batch::new(), addition, failures: 0, pace: Pace::default(), queue };
    task.run().await;
    task.store.close().await;
}

/// The pauses from the second failure on. Jitter shortens each by up to half, so that replicas that lost a store at the
/// same time do not reconnect at the same time.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), MAX_PAUSE).jitter(1.0, 0.5);

/// How long to wait before the next attempt after `failures` in a row: not at all after the first, then 50 ms
/// doubling up to 1 s. `chance` is from 0 to 1.
fn backoff(failures: u32, chance: f64) -> Duration {
    BACKOFF.after(failures.saturating_sub(1), chance)
}

/// How long the next attempt to connect may take after `failures` in a row. Connecting takes several round trips, so a
/// distant store needs more than the first attempts have; no visit waits for the later ones, which get as much time as a
/// visit.
fn connect_timeout(failures: u32, deadline: Duration) -> Duration {
    if failures <= 1 { CONNECT_TIMEOUT } else { deadline.clamp(2 * CONNECT_TIMEOUT, LONGEST_CONNECT) }
}

struct Committer<S> {
    store: S,
    /// The batch in flight or, between connections, the one to send again.
    sent: Batch<Waiter>,
    /// The addition that counts `sent`.
    addition: Addition,
    /// The number of failures since the store last counted, or last stayed up for a while.
    failures: u32,
    pace: Pace,
    queue: Arc<Queue>,
}

impl<S> Drop for Committer<S> {
    /// When the task ends, even by a panic, every waiter is answered and later hits are refused.
    fn drop(&mut self) {
        let open = {
            let mut state = self.queue.lock();
            state.closing = true;
            std::mem::replace(&mut state.open, Batch::new())
        };
        self.queue.metrics.store_up.set(0);
        for mut batch in [std::mem::replace(&mut self.sent, Batch::new()), open] {
            for waiter in batch.drain() {
                answer(waiter, Err(CounterError::Closed));
            }
        }
    }
}

impl<S: Store> Committer<S> {
    async fn run(&mut self) {
        loop {
            let pause = backoff(self.failures, fastrand::f64());
            if self.closes_during(pause).await {
                break;
            }
            let limit = Instant::now() + connect_timeout(self.failures, self.queue.limits.deadline);
            let (queue, repeats) = (Arc::clone(&self.queue), !self.sent.is_empty());
            let connect = self.store.connect();
            let work = async {
                tokio::select! {
                    biased;
                    connected = connect => Some(connected),
                    () = queue.finished(), if !repeats => None,
                }
            };
            let failure = match bounded(work, &mut self.sent, &self.queue, limit).await {
                Some(None) => break,
                Some(Some(Ok(()))) => {
                    self.up();
                    let up_since = Instant::now();
                    let Some(failure) = self.serve().await else { break };
                    if up_since.elapsed() >= MAX_PAUSE {
                        // The store worked: a Redis that closes idle connections has not failed.
                        self.failures = 0;
                    }
                    failure
                }
                Some(Some(Err(failure))) => failure,
                None => self.store.timeout_error(),
            };
            self.failed(failure);
        }
    }

    /// Sends batches, beginning with the one to be sent again, until the store fails. Returns `None`
    /// when the counter closes.
    async fn serve(&mut self) -> Option<StoreError> {
        loop {
            if self.sent.is_empty() {
                if let Err(end) = self.next_batch().await {
                    return end;
                }
            } else {
                self.queue.metrics.repeated.inc();
            }
            let start = Instant::now();
            // After that, no waiter is listening.
            let limit = self.sent.last_expiry().unwrap_or(start);
            let work = self.store.add(self.addition);
            match bounded(work, &mut self.sent, &self.queue, limit).await {
                Some(Ok(count)) => self.counted(self.addition.hits, count, start),
                Some(Err(failure)) => return Some(failure),
                None => return Some(self.store.timeout_error()),
            }
        }
    }

    /// Waits for hits and makes them the next batch. Fails with the store's error, or with `None` when
    /// the counter closes.
    async fn next_batch(&mut self) -> Result<(), Option<StoreError>> {
        while self.sent.is_empty() {
            let (empty, closing) = {
                let mut state = self.queue.lock();
                state.idle = state.open.is_empty();
                (state.idle, state.closing)
            };
            if empty {
                if closing {
                    return Err(None);
                }
                tokio::select! {
                    biased;
                    failure = self.store.disconnected() => return Err(Some(failure)),
                    () = self.queue.work.notified() => {}
                }
            }
            // Lets every task run that is ready, including those that just got a number. On a busy machine the batch
            // then includes all hits that have arrived, and the store is asked less often; on an idle one this takes no
            // time.
            tokio::task::yield_now().await;
            std::mem::swap(&mut self.sent, &mut self.queue.lock().open);
            let hits = self.sent.seal(|waiter| !waiter.is_closed());
            self.addition = Addition { sequence: self.addition.sequence + 1, hits };
        }
        Ok(())
    }

    fn counted(&mut self, hits: u64, count: u64, start: Instant) {
        self.failures = 0;
        let now = Instant::now();
        self.queue.lock().last_answer = Some(now);
        let mut answered = 0;
        for (waiter, kind, number) in self.sent.number(count) {
            let reached = waiter.send(Ok(number)).is_ok();
            answered += u64::from(reached && kind == Kind::Hit);
        }
        let metrics = &self.queue.metrics;
        match self.pace.observe(now - start, self.queue.limits.deadline) {
            Some(true) => {
                warn!(took = ?(now - start), "{SLOW}");
                metrics.slow.set(1);
            }
            Some(false) => {
                info!(took = ?(now - start), "the store is no longer slow");
                metrics.slow.set(0);
            }
            None => {}
        }
        metrics.hits.inc_by(answered);
        metrics.round_trip.observe((now - start).as_secs_f64());
        if hits > 0 {
            metrics.batches.inc();
            #[expect(clippy::cast_precision_loss, reason = "a batch is far below 2^52 hits")]
            metrics.batch_size.observe(hits as f64);
        }
    }

    fn up(&self) {
        info!("the store is up");
        self.queue.metrics.store_up.set(1);
        self.queue.lock().health = Health::Up;
    }

    fn failed(&mut self, failure: StoreError) {
        self.failures = self.failures.saturating_add(1);
        self.queue.metrics.store_up.set(0);
        // A store whose connection broke may already accept connections again. A silent one has used up the waiters'
        // time, and one that refuses will refuse again.
        let may_be_back = self.failures == 1 && matches!(failure, StoreError::Lost(_));
        let repeats = self.store.can_repeat(&failure);
        let failure = Arc::new(failure);
        let mut refused = Batch::new();
        let health = if may_be_back { Health::Starting } else { Health::Down(Arc::clone(&failure)) };
        let before = {
            let mut state = self.queue.lock();
            if !may_be_back {
                std::mem::swap(&mut refused, &mut state.open);
            }
            std::mem::replace(&mut state.health, health)
        };
        let known = matches!(before, Health::Down(known) if known.reason() == failure.reason());
        if !known {
            warn!(reason = %chain(&*failure), "the store is down");
        }
        if !repeats {
            for waiter in self.sent.drain() {
                answer(waiter, Err(CounterError::Store(Arc::clone(&failure))));
            }
        }
        for waiter in refused.drain() {
            answer(waiter, Err(CounterError::Store(Arc::clone(&failure))));
        }
    }

    /// Waits for `pause`, or until the store has a reason to retry. Returns true early when the counter closes. Waiters
    /// that expire in the meantime get an error.
    async fn closes_during(&mut self, pause: Duration) -> bool {
        let Self { store, sent, queue, .. } = self;
        let pending = !sent.is_empty();
        let wait = async {
            let mut pause = pin!(sleep(pause));
            let mut hint = pin!(store.retry_hint());
            loop {
                {
                    let state = queue.lock();
                    // Hits that are waiting for an attempt get one.
                    if state.closing && state.open.is_empty() && !pending {
                        return true;
                    }
                }
                tokio::select! {
                    biased;
                    () = &mut pause => return false,
                    () = &mut hint => return false,
                    () = queue.work.notified() => {}
                }
            }
        };
        bounded(wait, sent, queue, Instant::now() + pause + MAX_PAUSE).await.unwrap_or(false)
    }
}

/// Drives `work` until it completes, or returns `None` at `limit`. Waiters of the batch under way and of the open
/// one that expire meanwhile get an error.
///
/// One timer suffices: hits expire in order, and one that arrives later expires later.
async fn bounded<T>(
    work: impl Future<Output = T>,
    sent: &mut Batch<Waiter>,
    queue: &Queue,
    limit: Instant,
) -> Option<T> {
    let mut work = pin!(work);
    loop {
        let first_expiry = sent
            .next_expiry()
            .or_else(|| queue.lock().open.next_expiry())
            .unwrap_or_else(|| Instant::now() + queue.limits.deadline);
        if let Ok(done) = timeout_at(first_expiry.min(limit), work.as_mut()).await {
            return Some(done);
        }
        let now = Instant::now();
        for waiter in sent.expire(now) {
            answer(waiter, Err(CounterError::Late));
        }
        for waiter in queue.lock().open.expire(now) {
            answer(waiter, Err(CounterError::Late));
        }
        if now >= limit {
            return None;
        }
    }
}

fn answer(waiter: Waiter, answer: Result<u64, CounterError>) {
    // An error means that the client disconnected first.
    drop(waiter.send(answer));
}

#[cfg(test)]
mod tests;
