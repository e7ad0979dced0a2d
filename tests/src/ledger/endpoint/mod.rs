//! An endpoint: a process on its own address, whose way to fail a scenario chooses.
//!
//! It is a process of its own so that the kernel ends, stops and starts it as it does any other.

mod mode;
mod request;
mod server;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Blocking;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::mode::Mode;
pub use self::server::serve;
use super::Ledger;
use crate::process::Process;
use crate::wait::{SOON, deadline, pause};

/// An endpoint, which may run. Dropping it kills it.
pub(super) struct Endpoint {
    address: SocketAddr,
    ledger: Arc<Ledger>,
    running: Option<Running>,
}

struct Running {
    process: Process,
    orders: OwnedWriteHalf,
    /// How often it was ready: once when it listens, and after each order.
    ready: watch::Receiver<usize>,
    reader: JoinHandle<()>,
}

impl Endpoint {
    /// Starts an endpoint that records in `ledger`.
    pub(super) async fn start(address: SocketAddr, ledger: &Arc<Ledger>) -> Self {
        let mut endpoint = Self { address, ledger: Arc::clone(ledger), running: None };
        endpoint.start_again().await;
        endpoint
    }

    /// The address, which stays the same.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts again after its end. Returns when it listens.
    pub(super) async fn start_again(&mut self) {
        let (own, other) = Blocking::pair().expect("a pair of sockets");
        let plan = Process::ours("ledger").args(["endpoint", &self.address.to_string()]);
        let process = plan.stdin(OwnedFd::from(other)).start();
        let (from, orders) = connected(own).expect("a socket").into_split();
        let (is_ready, ready) = watch::channel(0);
        let reader = tokio::spawn(record(from, Arc::clone(&self.ledger), is_ready));
        let mut running = Running { process, orders, ready, reader };
        running.is_ready(1).await;
        self.running = Some(running);
    }

    /// Changes how it behaves. Requests under way change with it.
    pub(super) async fn set(&mut self, mode: Mode) {
        if let Some(running) = &mut self.running {
            running.order(mode).await;
        }
    }

    /// Kills it (SIGKILL). The kernel closes its connections.
    pub(super) async fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.process.kill();
            running.end().await;
        }
    }

    /// Ends it as a replaced task ends: it accepts no more connections, and ends those that it has after the request
    /// under way.
    pub(super) async fn drain(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.order(Mode::Drains).await;
            running.process.exit(SOON).await;
            running.end().await;
        }
    }

    /// Stops it (SIGSTOP). The kernel still accepts its connections and bytes.
    pub(super) fn freeze(&mut self) {
        if let Some(running) = &mut self.running {
            running.process.freeze();
        }
    }

    /// Lets it go on (SIGCONT).
    pub(super) fn thaw(&mut self) {
        if let Some(running) = &mut self.running {
            running.process.thaw();
        }
    }
}

impl Running {
    async fn is_ready(&mut self, times: usize) {
        let ready = self.ready.wait_for(|count| *count >= times);
        // An error means that it has ended.
        let _result = deadline("an endpoint's answer", SOON, ready).await.map(|_count| ());
    }

    async fn order(&mut self, mode: Mode) {
        let before = *self.ready.borrow();
        if self.orders.write_all(format!("{mode}\n").as_bytes()).await.is_ok() {
            self.is_ready(before + 1).await;
        }
    }

    /// Waits until all that it told is recorded.
    async fn end(self) {
        deadline("the end of an endpoint's records", SOON, self.reader).await.unwrap_or(());
    }
}

fn connected(stream: Blocking) -> io::Result<UnixStream> {
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

async fn record(from: OwnedReadHalf, ledger: Arc<Ledger>, is_ready: watch::Sender<usize>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match line.parse() {
            Ok(number) => ledger.received(number),
            Err(_ready) => is_ready.send_modify(|count| *count += 1),
        }
    }
}

/// Ends all, after each has read what the kernel still holds for it.
pub(super) async fn end(endpoints: &mut Vec<Endpoint>) {
    for endpoint in endpoints.iter_mut() {
        endpoint.thaw();
        endpoint.set(Mode::Serves).await;
    }
    // A process that was stopped reads its sockets now, and may find a request that was sent again elsewhere.
    pause(std::time::Duration::from_millis(100)).await;
    for endpoint in endpoints {
        endpoint.kill().await;
    }
}
