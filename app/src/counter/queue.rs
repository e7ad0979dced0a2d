//! What the counter's handles share with the task that owns the store: the open batch and the store's health.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::{
    batch::{Batch, Kind},
    error::{CounterError, StoreError},
    limits::Limits,
    metrics::CounterMetrics,
};

/// Receives the number of one hit.
pub(super) type Waiter = oneshot::Sender<Result<u64, CounterError>>;

/// The hits that wait to be sent, and what decides whether more may wait.
pub(super) struct Queue {
    /// Held for a few instructions at a time, never across an await.
    state: Mutex<State>,
    /// Wakes the task: the first hit arrived while it was idle, or the counter closes.
    pub(super) work: Notify,
    pub(super) limits: Limits,
    pub(super) metrics: CounterMetrics,
}

/// What the queue's lock guards.
pub(super) struct State {
    /// The batch that the next round trip will take.
    pub(super) open: Batch<Waiter>,
    pub(super) health: Health,
    /// The task sleeps and wants to be woken. Hits that arrive while it works need not wake it.
    pub(super) idle: bool,
    pub(super) closing: bool,
    /// When the store last counted.
    pub(super) last_answer: Option<Instant>,
}

/// Whether hits may wait for the store.
pub(super) enum Health {
    /// The first attempt to connect, after the start or after a loss: hits wait for it.
    Starting,
    /// The store counts.
    Up,
    /// Attempts fail. Hits are refused at once, for this reason.
    Down(Arc<StoreError>),
}

impl Queue {
    pub(super) fn new(limits: Limits, metrics: CounterMetrics) -> Self {
        Self {
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
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // No code under the lock panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a hit or a probe to the open batch. The receiver gets its number.
    pub(super) fn join(&self, kind: Kind) -> Result<oneshot::Receiver<Result<u64, CounterError>>, CounterError> {
        let (waiter, answer) = oneshot::channel();
        let wake = {
            let mut state = self.lock();
            if state.closing {
                return Err(CounterError::Closed);
            }
            if let Health::Down(reason) = &state.health {
                return Err(CounterError::Store(Arc::clone(reason)));
            }
            if state.open.len() >= self.limits.max_waiting {
                return Err(CounterError::Busy);
            }
            // Read under the lock, so that the batch is in order of expiry.
            let expires = Instant::now() + self.limits.deadline;
            state.open.push(waiter, kind, expires);
            std::mem::take(&mut state.idle)
        };
        if wake {
            self.work.notify_one();
        }
        Ok(answer)
    }

    /// When the store last counted, if nothing has failed since.
    pub(super) fn last_answer(&self) -> Option<Instant> {
        let state = self.lock();
        match state.health {
            Health::Up if !state.closing => state.last_answer,
            _ => None,
        }
    }

    /// Completes when the counter closes and no hit waits. Only the task may call it.
    pub(super) async fn finished(&self) {
        loop {
            {
                let state = self.lock();
                if state.closing && state.open.is_empty() {
                    return;
                }
            }
            self.work.notified().await;
        }
    }

    /// Refuses further hits and makes the task end.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.work.notify_one();
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("limits", &self.limits).finish_non_exhaustive()
    }
}
