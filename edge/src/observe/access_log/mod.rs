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
#[cfg(test)]
mod tests;
mod text;
mod writer;

use std::{
    fs::{File, OpenOptions},
    io,
    net::SocketAddr,
    os::fd::AsFd,
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, SystemTime},
};

use crossbeam_queue::ArrayQueue;
use http::Version;

pub use self::text::Text;
use super::access_log::writer::{Command, Writer};
use crate::{
    config,
    observe::stats::{Counter, PerWorker, WorkerStats},
};

/// Records each worker may have waiting. With a look every 50 ms this takes bursts of 160,000
/// requests a second and worker.
const QUEUE: usize = 8192;

/// Memory for the text of a record at first, and what is kept of it at most. Bytes.
const USUAL: usize = 128;
const LONGEST_KEPT: usize = 512;

/// How long the writer rests when all queues are empty.
const PAUSE: Duration = Duration::from_millis(50);

/// What one line tells.
#[derive(Clone, Debug)]
pub struct Record {
    /// When the request head had been read.
    pub start: SystemTime,
    /// Who asked.
    pub client: SocketAddr,
    /// Whether over TLS.
    pub tls: bool,
    /// As the client spoke.
    pub version: Version,
    /// What the request said of itself.
    pub text: Text,
    /// Of the answer that the client was sent.
    pub status: u16,
    /// Body bytes read from the client.
    pub request_bytes: u64,
    /// Body bytes written to the client.
    pub response_bytes: u64,
    /// From the request head being read to the last byte of the answer, or to giving up.
    pub duration: Duration,
    /// From the request head being read to the response head being at hand.
    pub head: Duration,
    /// The pool that the route named, if one matched.
    pub pool: Option<Arc<str>>,
    /// Who answered, or failed last.
    pub endpoint: Option<SocketAddr>,
    /// How often the request was sent to an endpoint.
    pub attempts: u8,
    /// Why the edge answered by itself, or cut the answer short.
    pub error: Option<&'static str>,
}

impl Record {
    /// Of a request that has just come, with nothing known of it.
    #[must_use]
    pub fn new(start: SystemTime) -> Self {
        Self {
            start,
            client: SocketAddr::from(([0, 0, 0, 0], 0)),
            tls: false,
            version: Version::HTTP_11,
            text: Text::default(),
            status: 0,
            request_bytes: 0,
            response_bytes: 0,
            duration: Duration::ZERO,
            head: Duration::ZERO,
            pool: None,
            endpoint: None,
            attempts: 0,
            error: None,
        }
    }
}

/// One worker's records on their way to the writer.
#[derive(Debug)]
struct Queue {
    records: ArrayQueue<Record>,
    /// Memory of the texts that are written, on its way back.
    spare: ArrayQueue<Vec<u8>>,
}

impl Queue {
    fn new() -> Self {
        Self { records: ArrayQueue::new(QUEUE), spare: ArrayQueue::new(QUEUE) }
    }

    /// The record is written. Memory that a long one took is not kept.
    fn give_back(&self, record: Record) {
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

/// The access log of one edge. Dropping it lets the writer write what it has and end.
#[derive(Debug)]
pub struct AccessLog {
    config: config::AccessLog,
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

#[derive(Debug)]
struct Shared {
    /// Whether records are wanted; lets workers skip making them.
    on: AtomicBool,
    /// A queue for each worker, made when the log is first switched on.
    queues: OnceLock<Box<[Queue]>>,
    workers: usize,
    /// Where dropped records are counted.
    worker_stats: Arc<PerWorker<WorkerStats>>,
    stats: Arc<LogStats>,
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
