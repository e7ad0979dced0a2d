//! A TCP log receiver for HAProxy, which cannot log to a file. It counts the lines and discards them.

use std::{
    io::Read,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use anyhow::Result;

/// A receiver of log lines.
#[derive(Debug)]
pub(crate) struct Sink {
    address: SocketAddr,
    lines: Arc<AtomicU64>,
}

impl Sink {
    /// Starts a receiver on the calling thread's core. It runs until the process exits.
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let sink = Self { address: listener.local_addr()?, lines: Arc::default() };
        let lines = sink.lines.clone();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let lines = lines.clone();
                thread::spawn(move || {
                    let mut buffer = vec![0; 256 * 1024];
                    while let Ok(length @ 1..) = stream.read(&mut buffer) {
                        let ends = buffer[..length].iter().filter(|byte| **byte == b'\n').count();
                        lines.fetch_add(ends as u64, Relaxed);
                    }
                });
            }
        });
        Ok(sink)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of lines received so far.
    pub(crate) fn lines(&self) -> u64 {
        self.lines.load(Relaxed)
    }
}
