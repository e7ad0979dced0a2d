//! The thread that empties the queues into the file.

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
    line,
    queue::{PAUSE, QUEUE, Queue, Shared},
};

/// Bytes gathered before they are written: many lines, few calls.
const BATCH: usize = 64 * 1024;

/// Records taken from one queue before the next has its turn.
const TURN: usize = 64;

/// What the writer is told.
#[derive(Debug)]
pub(super) enum Command {
    /// Write what is queued to where it belongs, then write there from now on; `None` is off.
    Write(Option<File>),
    /// Write what is queued, confirm, end.
    Close(Sender<()>),
}

/// Owns the output; generic so that tests can let it fail.
#[derive(Debug)]
pub(super) struct Writer<W = File> {
    shared: Arc<Shared>,
    output: Option<W>,
    buffer: String,
    format: line::Format,
    /// Lines in `buffer`.
    lines: u64,
    /// The last write broke off inside a line, which the next one has to end first.
    torn: bool,
    /// The last write failed; a change is logged, the same again is not.
    failing: bool,
}

impl Writer<File> {
    /// Runs until told to close or until the log is dropped.
    pub(super) fn run(mut self, commands: &Receiver<Command>) {
        loop {
            let command = if self.output.is_none() {
                commands.recv().map_err(RecvTimeoutError::from)
            } else {
                let pause = if self.drain() { PAUSE } else { Duration::ZERO };
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
                    // Whoever asked may have stopped waiting.
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
            format: line::Format::default(),
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

    /// Writes about one batch. True when the queues were empty at the end.
    pub(super) fn drain(&mut self) -> bool {
        let shared = self.shared.clone();
        let queues = shared.queues.get().map(AsRef::as_ref).unwrap_or_default();
        let mut empty = false;
        while !empty && self.buffer.len() < BATCH {
            empty = true;
            for queue in queues {
                empty &= self.take_turn(queue);
            }
        }
        self.flush();
        empty
    }

    /// Formats some records of one queue. True when it was empty.
    fn take_turn(&mut self, queue: &Queue) -> bool {
        for taken in 0..TURN {
            let Some(record) = queue.records.pop() else { return taken == 0 };
            self.format.append(&mut self.buffer, &record);
            queue.recycle(record);
            self.lines += 1;
            if self.buffer.len() >= BATCH {
                break;
            }
        }
        false
    }

    /// Writes at least what is queued at this moment, and is bounded though workers go on pushing. While
    /// the log is off records stay queued: they were pushed after it was switched on again.
    fn drain_all(&mut self) {
        if self.output.is_none() {
            return;
        }
        let rounds = self.shared.workers * QUEUE / TURN;
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
                    tracing::info!(lost = stats.lost.value(), "access log is written again");
                }
                self.failing = false;
            }
            // Not tried again: a disk stays full for long, and what comes next is worth as much.
            Err(error) => {
                stats.lost.add(self.lines);
                stats.errors.add(1);
                if !self.failing {
                    tracing::warn!(%error, "cannot write the access log, lines are lost");
                }
                self.failing = true;
            }
        }
        self.buffer.clear();
        self.lines = 0;
    }
}

/// Writes all of `lines`; normally one call. `torn` tells whether the output ends inside a line.
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
