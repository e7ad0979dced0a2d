//! The queues between the workers and the writer.

use std::{
    sync::{Arc, OnceLock, atomic::AtomicBool},
    time::Duration,
};

use crossbeam_queue::ArrayQueue;

use super::record::Record;
use crate::observe::stats::{Counter, PerWorker, WorkerStats};

/// Records each worker may have waiting. With a look every 50 ms this takes bursts of 160,000
/// requests a second and worker.
pub(super) const QUEUE: usize = 8192;

/// Memory for the text of a record at first, and what is kept of it at most. Bytes.
pub(super) const USUAL: usize = 128;
const LONGEST_KEPT: usize = 512;

/// How long the writer rests when all queues are empty.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// One worker's records on their way to the writer.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) records: ArrayQueue<Record>,
    /// Memory of the texts that are written, on its way back.
    pub(super) spare: ArrayQueue<Vec<u8>>,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self { records: ArrayQueue::new(QUEUE), spare: ArrayQueue::new(QUEUE) }
    }

    /// The record is written. Memory that a long one took is not kept.
    pub(super) fn recycle(&self, record: Record) {
        let memory = record.text.into_memory();
        if memory.capacity() <= LONGEST_KEPT {
            // With enough of it there, this is freed.
            self.spare.push(memory).ok();
        }
    }
}

/// What became of the lines. Written by the writer alone.
#[derive(Debug, Default)]
pub struct LogStats {
    /// Lines written.
    pub written: Counter,
    /// Lines lost because they could not be written. Those that a full queue refused are in
    /// [`WorkerStats::log_dropped`].
    pub lost: Counter,
    /// Failed writes.
    pub errors: Counter,
}

/// The state that the log, its workers' sinks and the writer share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Whether records are wanted; lets workers skip making them.
    pub(super) on: AtomicBool,
    /// A queue for each worker, made when the log is first switched on.
    pub(super) queues: OnceLock<Box<[Queue]>>,
    pub(super) workers: usize,
    /// Where dropped records are counted.
    pub(super) worker_stats: Arc<PerWorker<WorkerStats>>,
    pub(super) stats: Arc<LogStats>,
}
