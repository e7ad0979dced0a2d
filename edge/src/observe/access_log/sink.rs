//! Where a worker puts its records.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{
    queue::{Queue, Shared, USUAL},
    record::Record,
    text::Text,
};

/// One worker's end of the log.
#[derive(Clone, Debug)]
pub struct Sink {
    shared: Arc<Shared>,
    worker: usize,
}

impl Sink {
    pub(super) fn new(shared: Arc<Shared>, worker: usize) -> Self {
        Self { shared, worker }
    }

    /// Whether a record is worth making. Costs one read.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.shared.on.load(Relaxed)
    }

    /// What a request says of itself, in memory of a record before where there is one.
    #[must_use]
    pub fn text(&self, method: &str, target: &str, user_agent: Option<&[u8]>) -> Text {
        let spare = self.queue().and_then(|queue| queue.spare.pop());
        Text::new(spare.unwrap_or_else(|| Vec::with_capacity(USUAL)), method, target, user_agent)
    }

    /// Hands over a record; never waits. When the queue is full it is dropped and counted in
    /// [`log_dropped`](crate::observe::stats::WorkerStats::log_dropped), when the log is off just dropped. To be called by the owning worker
    /// only, because of that counter.
    pub fn push(&self, record: Record) {
        let Some(queue) = self.queue() else { return };
        if self.is_on() && queue.records.push(record).is_err() {
            self.shared.worker_stats.of(self.worker).log_dropped.add(1);
        }
    }

    fn queue(&self) -> Option<&Queue> {
        self.shared.queues.get().and_then(|queues| queues.get(self.worker))
    }
}
