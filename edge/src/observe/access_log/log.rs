//! The access log of one edge: it starts the writer, and redirects it when the configuration changes.

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

/// The access log of one edge. When it is dropped, the writer writes the queued records and ends.
#[derive(Debug)]
pub struct AccessLog {
    config: config::AccessLog,
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

impl AccessLog {
    /// Opens the log and starts its writer, even if the log is off: a reload may switch it on.
    ///
    /// # Errors
    /// The file cannot be opened for appending, or the thread cannot be started.
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

    /// Returns the sink for the records of worker `worker`.
    #[must_use]
    pub fn sink(&self, worker: usize) -> Sink {
        Sink::new(self.shared.clone(), worker % self.shared.workers)
    }

    /// Writes to the output of a new configuration from now on. Records that were pushed before go to the old output.
    ///
    /// # Errors
    /// The new file cannot be opened. Then the log does not change.
    pub fn reconfigure(&mut self, config: &config::AccessLog) -> io::Result<()> {
        if *config == self.config { Ok(()) } else { self.switch(config, open(config)?) }
    }

    /// Opens the file again, after log rotation has renamed it.
    ///
    /// # Errors
    /// The file cannot be opened. Then the log continues in the old file.
    pub fn reopen(&mut self) -> io::Result<()> {
        let config = self.config.clone();
        self.switch(&config, open(&config)?)
    }

    /// Returns the counters of written and lost lines.
    #[must_use]
    pub fn stats(&self) -> Arc<LogStats> {
        self.shared.stats.clone()
    }

    /// Writes all queued records and ends the writer, or gives up after `within`, so that a disk that hangs does not
    /// keep the process from exiting. Blocks. Must be called after the workers have ended.
    ///
    /// # Errors
    /// Not all records were written in time, or the writer has already ended.
    pub fn close(self, within: Duration) -> io::Result<()> {
        self.shared.on.store(false, Relaxed);
        let (done, ended) = mpsc::channel();
        self.commands.send(Command::Close(done)).map_err(|_| writer_ended())?;
        ended.recv_timeout(within).map_err(|_| io::Error::from(io::ErrorKind::TimedOut))
    }

    fn switch(&mut self, config: &config::AccessLog, output: Option<File>) -> io::Result<()> {
        let on = output.is_some();
        if on {
            let queues = || (0..self.shared.workers).map(|_| Queue::new()).collect();
            self.shared.queues.get_or_init(queues);
        }
        self.shared.on.store(on, Relaxed);
        self.commands.send(Command::Write(output)).map_err(|_| writer_ended())?;
        self.config = config.clone();
        Ok(())
    }
}

/// Opens the output, unbuffered: the writer has a buffer of its own.
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

fn writer_ended() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the access log's writer has ended")
}
