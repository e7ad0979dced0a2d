//! One JSON line for each request, written off the hot path.
//!
//! A worker moves a [`Record`] into a bounded queue of its own and goes on: no formatting, no system
//! call, no lock. One thread empties all queues, formats, and writes many lines with one call. While
//! there is nothing to do it looks every 50 ms: being woken would cost a system call per request,
//! looking costs an idle edge twenty wake-ups a second. When it cannot keep up (a slow disk) the queues
//! fill and records are dropped and counted; requests never wait.
//!
//! Lines of one worker are in order; those of different workers may be up to a pause apart.

mod line;
mod queue;
mod record;
#[cfg(test)]
mod tests;
mod text;
mod writer;

use std::{
    fs::{File, OpenOptions},
    io,
    os::fd::AsFd,
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};

pub use self::{queue::LogStats, record::Record, text::Text};
use self::{
    queue::{Queue, Shared, USUAL},
    writer::{Command, Writer},
};
use crate::{
    config,
    observe::stats::{PerWorker, WorkerStats},
};

/// The access log of one edge. Dropping it lets the writer write what it has and end.
#[derive(Debug)]
pub struct AccessLog {
    config: config::AccessLog,
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

impl AccessLog {
    /// Opens the log and starts its writer, also while it is off: a reload may switch it on.
    ///
    /// # Errors
    /// When the file cannot be opened for appending or no thread can be started.
    pub fn start(
        config: &config::AccessLog,
        workers: usize,
        worker_stats: Arc<PerWorker<WorkerStats>>,
    ) -> io::Result<Self> {
        let output = open(config)?;
        let (commands, inbox) = mpsc::channel();
        let shared = Arc::new(Shared {
            on: AtomicBool::new(false),
            queues: OnceLock::new(),
            workers: workers.max(1),
            worker_stats,
            stats: Arc::default(),
        });
        let writer = Writer::new(shared.clone());
        thread::Builder::new().name("access-log".into()).spawn(move || writer.run(&inbox))?;
        let mut log = Self { config: config::AccessLog::Off, shared, commands };
        log.switch(config, output)?;
        Ok(log)
    }

    /// Where worker `worker` puts its records, for as long as the process lives.
    #[must_use]
    pub fn sink(&self, worker: usize) -> Sink {
        Sink { shared: self.shared.clone(), worker: worker % self.shared.workers }
    }

    /// Writes to where a new configuration says. Nothing that was pushed before is lost.
    ///
    /// # Errors
    /// When the new file cannot be opened; then the log stays as it was.
    pub fn reconfigure(&mut self, config: &config::AccessLog) -> io::Result<()> {
        if *config == self.config { Ok(()) } else { self.switch(config, open(config)?) }
    }

    /// Opens the file anew, after it was renamed by log rotation.
    ///
    /// # Errors
    /// When it cannot be opened; then the old one is written on.
    pub fn reopen(&mut self) -> io::Result<()> {
        let config = self.config.clone();
        self.switch(&config, open(&config)?)
    }

    /// What became of the lines so far.
    #[must_use]
    pub fn stats(&self) -> Arc<LogStats> {
        self.shared.stats.clone()
    }

    /// Writes all that was pushed and ends, or gives up after `within`: a disk that hangs does not hold
    /// up the end of the process. Blocks; to be called after the workers have ended.
    ///
    /// # Errors
    /// When not all was handed to the system in time.
    pub fn close(self, within: Duration) -> io::Result<()> {
        self.shared.on.store(false, Relaxed);
        let (done, ended) = mpsc::channel();
        self.commands.send(Command::Close(done)).map_err(|_| gone())?;
        ended.recv_timeout(within).map_err(|_| io::Error::from(io::ErrorKind::TimedOut))
    }

    fn switch(&mut self, config: &config::AccessLog, output: Option<File>) -> io::Result<()> {
        let on = output.is_some();
        if on {
            let queues = || (0..self.shared.workers).map(|_| Queue::new()).collect();
            self.shared.queues.get_or_init(queues);
        }
        self.shared.on.store(on, Relaxed);
        self.commands.send(Command::Write(output)).map_err(|_| gone())?;
        self.config = config.clone();
        Ok(())
    }
}

/// One worker's end of the log.
#[derive(Clone, Debug)]
pub struct Sink {
    shared: Arc<Shared>,
    worker: usize,
}

impl Sink {
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
    /// [`WorkerStats::log_dropped`], when the log is off just dropped. To be called by the owning worker
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

/// Both kinds of output are written to directly: the buffer is the writer's own.
fn open(config: &config::AccessLog) -> io::Result<Option<File>> {
    let append = |path: &Path| {
        let opened = OpenOptions::new().append(true).create(true).open(path);
        opened.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot open the access log {}: {error}", path.display()))
        })
    };
    Ok(match config {
        config::AccessLog::Off => None,
        config::AccessLog::Stdout => Some(File::from(io::stdout().as_fd().try_clone_to_owned()?)),
        config::AccessLog::File(path) => Some(append(path)?),
    })
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the access log's writer has ended")
}
