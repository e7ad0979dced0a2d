use std::{
    io::{self, Write},
    sync::{Arc, OnceLock, atomic::AtomicBool},
};

use crossbeam_queue::ArrayQueue;

use super::{numbered, parse};
use crate::observe::{
    access_log::{
        Sink,
        queue::{Queue, Shared},
        writer::Writer,
    },
    stats::{PerWorker, WorkerStats},
};

/// The shared state of a log without a writer thread.
fn without_writer(stats: &Arc<PerWorker<WorkerStats>>) -> Arc<Shared> {
    let queues = OnceLock::new();
    queues.get_or_init(|| [Queue { records: ArrayQueue::new(4), spare: ArrayQueue::new(4) }].into());
    Arc::new(Shared {
        on: AtomicBool::new(true),
        queues,
        workers: 1,
        worker_stats: stats.clone(),
        stats: Arc::default(),
    })
}

#[test]
fn a_full_queue_drops_the_newest_records_and_counts_them() {
    let stats = Arc::new(PerWorker::<WorkerStats>::new(1));
    let shared = without_writer(&stats);
    let sink = Sink::new(shared.clone(), 0);
    (0..6).for_each(|number| sink.push(numbered(number)));
    assert_eq!(stats.of(0).log_dropped.value(), 2);
    let mut out = Vec::new();
    assert!(Writer::with_output(shared, &mut out).drain());
    assert_eq!(String::from_utf8(out).unwrap().lines().count(), 4);
}

/// Accepts bytes until `room` is exhausted, like a disk that fills up.
#[derive(Default)]
struct Disk {
    room: usize,
    bytes: Vec<u8>,
    calls: usize,
}

impl Write for &mut Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.calls += 1;
        let taken = bytes.len().min(self.room);
        if taken == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room -= taken;
        self.bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn many_lines_are_written_with_one_call() {
    let shared = without_writer(&Arc::new(PerWorker::new(1)));
    let sink = Sink::new(shared.clone(), 0);
    (0..4).for_each(|number| sink.push(numbered(number)));
    let mut disk = Disk { room: usize::MAX, ..Disk::default() };
    Writer::with_output(shared, &mut disk).drain();
    assert_eq!(disk.calls, 1);
}

#[test]
fn a_full_disk_loses_lines_but_breaks_no_later_line() {
    let shared = without_writer(&Arc::new(PerWorker::new(1)));
    let sink = Sink::new(shared.clone(), 0);
    let mut disk = Disk { room: 20, ..Disk::default() };
    sink.push(numbered(1));
    let mut writer = Writer::with_output(shared.clone(), &mut disk);
    writer.drain();
    sink.push(numbered(2));
    writer.drain();
    assert_eq!((shared.stats.errors.value(), shared.stats.lost.value()), (2, 2));

    writer.output().room = usize::MAX;
    sink.push(numbered(3));
    writer.drain();
    assert_eq!((shared.stats.errors.value(), shared.stats.written.value()), (2, 1));
    let text = String::from_utf8(disk.bytes).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(parse(lines[1])["status"], 3);
}
