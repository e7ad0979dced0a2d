//! The queues between the workers and the writer.

use std::{
    sync::{Arc, OnceLock, atomic::AtomicBool},
    time::Duration,
};

use crossbeam_queue::ArrayQueue;

use super::record::Record;
use crate::observe::stats::{Counter, PerWorker, WorkerStats};

/// The maximum number of records in a worker's queue. Polled every 50 ms, a queue absorbs bursts of 160,000 requests
/// per second.
pub(super) const QUEUE_CAPACITY: usize = 8192;

/// The initial capacity of a record's text, in bytes.
pub(super) const INITIAL_TEXT_CAPACITY: usize = 128;
/// The largest capacity of a text that is kept for reuse, in bytes.
const MAX_KEPT_TEXT_CAPACITY: usize = 512;

/// How long the writer sleeps while all queues are empty.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// One worker's records for the writer.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) records: ArrayQueue<Record>,
    /// The memory of written texts, for reuse by the worker.
    pub(super) spare: ArrayQueue<Vec<u8>>,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self { records: ArrayQueue::new(QUEUE_CAPACITY), spare: ArrayQueue::new(QUEUE_CAPACITY) }
    }

    /// Returns the memory of a written record to the worker, unless its text was long.
    pub(super) fn recycle(&self, record: Record) {
        let memory = record.text.into_memory();
        if memory.capacity() <= MAX_KEPT_TEXT_CAPACITY {
            // A full queue frees it.
            self.spare.push(memory).ok();
        }
    }
}

/// Counts written and lost lines. Only the writer updates it.
#[derive(Debug, Default)]
pub struct LogStats {
    /// Lines written.
    pub written: Counter,
    /// Lines lost because a write failed. [`WorkerStats::log_dropped`] counts records that a full queue rejected.
    pub lost: Counter,
    /// Failed writes.
    pub errors: Counter,
}

/// The state that the log, the sinks and the writer share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Whether the log is on; while it is off, workers create no records.
    pub(super) on: AtomicBool,
    /// One queue for each worker, created when the log is first switched on.
    pub(super) queues: OnceLock<Box<[Queue]>>,
    pub(super) workers: usize,
    /// The counters of dropped records.
    pub(super) worker_stats: Arc<PerWorker<WorkerStats>>,
    pub(super) stats: Arc<LogStats>,
}
