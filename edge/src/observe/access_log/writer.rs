//! The thread that writes queued records to the output.

use std::{
    fs::File,
    io::{self, Write},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::Duration,
};

use super::{
    line::LineFormatter,
    queue::{POLL_INTERVAL, QUEUE_CAPACITY, Queue, Shared},
};

/// The number of bytes to collect before writing them, so that one call writes many lines.
const BATCH_BYTES: usize = 64 * 1024;

/// The maximum number of records to take from one queue before the next queue.
const RECORDS_PER_TURN: usize = 64;

/// A command to the writer.
#[derive(Debug)]
pub(super) enum Command {
    /// Write the queued records to the current output, then change to this one; `None` switches the log off.
    Write(Option<File>),
    /// Write the queued records, confirm, and end.
    Close(Sender<()>),
}

/// Owns the output, which is generic so that tests can make it fail.
#[derive(Debug)]
pub(super) struct Writer<W = File> {
    shared: Arc<Shared>,
    output: Option<W>,
    buffer: String,
    formatter: LineFormatter,
    /// The number of lines in `buffer`.
    lines: u64,
    /// Whether the output ends within a line; then the next write begins with a line feed.
    torn: bool,
    /// Whether the last write failed; only changes of this are logged.
    failing: bool,
}

impl Writer<File> {
    /// Runs until [`Command::Close`], or until the log is dropped.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        loop {
            let command = if self.output.is_none() {
                commands.recv().map_err(RecvTimeoutError::from)
            } else {
                let pause = if self.drain() { POLL_INTERVAL } else { Duration::ZERO };
                commands.recv_timeout(pause)
            };
            match command {
                Ok(Command::Write(output)) => {
                    self.drain_all();
                    self.output = output;
                    (self.torn, self.failing) = (false, false);
                }
                Ok(Command::Close(done)) => {
                    self.drain_all();
                    // The caller may have given up.
                    done.send(()).ok();
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.drain_all(),
            }
        }
    }
}

impl<W: Write> Writer<W> {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            output: None,
            buffer: String::new(),
            formatter: LineFormatter::default(),
            lines: 0,
            torn: false,
            failing: false,
        }
    }

    #[cfg(test)]
    pub(super) fn with_output(shared: Arc<Shared>, output: W) -> Self {
        Self { output: Some(output), ..Self::new(shared) }
    }

    #[cfg(test)]
    pub(super) fn output(&mut self) -> &mut W {
        self.output.as_mut().unwrap()
    }

    /// Writes about one batch. Returns whether all queues are empty.
    pub(super) fn drain(&mut self) -> bool {
        let shared = self.shared.clone();
        let queues = shared.queues.get().map(AsRef::as_ref).unwrap_or_default();
        let mut empty = false;
        while !empty && self.buffer.len() < BATCH_BYTES {
            empty = true;
            for queue in queues {
                empty &= self.take_turn(queue);
            }
        }
        self.flush();
        empty
    }

    /// Formats some records of one queue. Returns whether the queue was empty.
    fn take_turn(&mut self, queue: &Queue) -> bool {
        for taken in 0..RECORDS_PER_TURN {
            let Some(record) = queue.records.pop() else { return taken == 0 };
            self.formatter.append(&mut self.buffer, &record);
            queue.recycle(record);
            self.lines += 1;
            if self.buffer.len() >= BATCH_BYTES {
                break;
            }
        }
        false
    }

    /// Writes at least the records that are queued now. Bounded, although workers may push more meanwhile. While the
    /// log is off it does nothing: queued records then were pushed after the log was switched on again, for its next
    /// output.
    fn drain_all(&mut self) {
        if self.output.is_none() {
            return;
        }
        let rounds = self.shared.workers * QUEUE_CAPACITY / RECORDS_PER_TURN;
        for _ in 0..=rounds {
            if self.drain() {
                return;
            }
        }
    }

    fn flush(&mut self) {
        let (Some(output), false) = (self.output.as_mut(), self.buffer.is_empty()) else { return };
        let stats = &self.shared.stats;
        match write(output, &self.buffer, &mut self.torn) {
            Ok(()) => {
                stats.written.add(self.lines);
                if self.failing {
                    tracing::info!(lost = stats.lost.value(), "the access log is being written again");
                }
                self.failing = false;
            }
            // There is no retry: a full disk usually stays full for a while, and newer lines matter just as much.
            Err(error) => {
                stats.lost.add(self.lines);
                stats.errors.add(1);
                if !self.failing {
                    tracing::warn!(%error, "cannot write the access log; lines are lost");
                }
                self.failing = true;
            }
        }
        self.buffer.clear();
        self.lines = 0;
    }
}

/// Writes all of `lines`, usually with one call. `torn` is whether the output ends within a line.
fn write(output: &mut impl Write, lines: &str, torn: &mut bool) -> io::Result<()> {
    if *torn {
        output.write_all(b"\n")?;
        *torn = false;
    }
    let mut rest = lines.as_bytes();
    while !rest.is_empty() {
        match output.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                *torn = rest.get(written.saturating_sub(1)) != Some(&b'\n');
                rest = rest.get(written..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
