//! SIGTERM and SIGINT, the two ways to ask a process to end.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Notes every SIGTERM and SIGINT from [`watch`](Self::watch) on, which then no longer end the process.
#[derive(Debug)]
pub struct Stops {
    terminate: Signal,
    interrupt: Signal,
}

impl Stops {
    /// On the current Tokio runtime, which must have its I/O enabled.
    ///
    /// # Errors
    /// The system allows no signal handlers.
    pub fn watch() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Returns when the process is asked to end.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// For while what is under way is finished: ends the process at once when it is asked again, with the
    /// exit code 1.
    pub async fn exit_on_next(mut self) {
        self.next().await;
        tracing::warn!("second signal: what is under way is cut off");
        std::process::exit(crate::CANNOT_RUN.into());
    }
}
