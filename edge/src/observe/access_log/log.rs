//! The access log of one edge: starts the writer, and tells it where to write.

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

use super::{
    queue::{LogStats, Queue, Shared},
    sink::Sink,
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
        Sink::new(self.shared.clone(), worker % self.shared.workers)
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
