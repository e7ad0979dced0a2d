//! SIGTERM and SIGINT, the two signals that ask a process to stop.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Receives every SIGTERM and SIGINT from [`listen`](Self::listen) on; they no longer end the process then.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Starts to receive, on the current Tokio runtime, which must have its I/O enabled.
    ///
    /// # Errors
    /// The system refuses a signal handler.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Completes at the next signal.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Ends the process at the next signal, with the exit code 1. Run it while the program drains.
    pub async fn exit_on_next(mut self) {
        self.next().await;
        tracing::warn!("second signal: stopping at once");
        std::process::exit(crate::CANNOT_RUN.into());
    }
}
