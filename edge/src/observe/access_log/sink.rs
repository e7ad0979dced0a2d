//! A worker's access to the log.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{
    queue::{INITIAL_TEXT_CAPACITY, Queue, Shared},
    record::Record,
    request_text::RequestText,
};

/// Takes the records of one worker.
#[derive(Clone, Debug)]
pub struct Sink {
    shared: Arc<Shared>,
    worker: usize,
}

impl Sink {
    pub(super) fn new(shared: Arc<Shared>, worker: usize) -> Self {
        Self { shared, worker }
    }

    /// Whether the log is on. Costs one atomic load.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.shared.on.load(Relaxed)
    }

    /// Creates the text of a record, in memory of an earlier record if some is available.
    #[must_use]
    pub fn text(&self, method: &str, target: &str, user_agent: Option<&[u8]>) -> RequestText {
        let spare = self.queue().and_then(|queue| queue.spare.pop());
        RequestText::new(spare.unwrap_or_else(|| Vec::with_capacity(INITIAL_TEXT_CAPACITY)), method, target, user_agent)
    }

    /// Queues a record without waiting. If the queue is full, the record is dropped and counted in
    /// [`log_dropped`](crate::observe::stats::WorkerStats::log_dropped); while the log is off, it is only dropped. Only
    /// the owning worker may call this, because the counter has a single writer.
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
