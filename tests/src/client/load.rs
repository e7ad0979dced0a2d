//! Steady load over keep-alive connections, with a record of every answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{Connection, Error, Reply, request};
use crate::wait::{SOON, pause};

/// The pause before a client retries a failed connection.
const AFTER_AN_ERROR: Duration = Duration::from_millis(10);

/// One request and its outcome.
#[derive(Debug)]
pub struct Record {
    /// The index of the connection that sent it.
    pub connection: usize,
    /// When it started, including the time to connect where that was necessary.
    pub started: Instant,
    /// When the response's last byte, or the error, arrived.
    pub ended: Instant,
    /// The answer.
    pub outcome: Result<Reply, Error>,
}

impl Record {
    /// The time from start to end.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.ended - self.started
    }

    /// Whether the answer is a 200.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        matches!(&self.outcome, Ok(reply) if reply.status == http::StatusCode::OK)
    }
}

/// Load to run. By default four connections send requests for `/` as fast as they are answered.
#[derive(Clone, Debug)]
pub struct Load {
    addresses: Vec<SocketAddr>,
    connections: usize,
    host: String,
    path: String,
    timeout: Duration,
    pace: Duration,
}

impl Load {
    /// Load on `addresses`, as DNS would give them: connection *n* starts with the *n*th, and tries the
    /// next when it is refused, as browsers do (RFC 8305). It is an error only when all refuse.
    #[must_use]
    pub fn on(addresses: &[SocketAddr]) -> Self {
        Self {
            addresses: addresses.to_vec(),
            connections: 4,
            host: "www.example.com".to_owned(),
            path: "/".to_owned(),
            timeout: SOON,
            pace: Duration::ZERO,
        }
    }

    /// The number of connections; four by default.
    #[must_use]
    pub fn connections(mut self, count: usize) -> Self {
        self.connections = count;
        self
    }

    /// The path; `/` by default.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The time limit for one request, including the connection; [`SOON`] by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The pause of each connection after a response; none by default.
    #[must_use]
    pub fn pace(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }

    /// Starts the load.
    #[must_use]
    pub fn start(self) -> Running {
        let shared = Arc::new(Shared::default());
        let mut workers = JoinSet::new();
        for connection in 0..self.connections {
            workers.spawn(work(connection, self.clone(), shared.clone()));
        }
        Running { shared, workers }
    }

    async fn open(&self, connection: usize) -> Result<Connection, Error> {
        let mut refused = Error::Timeout;
        for attempt in 0..self.addresses.len() {
            let address = self.addresses[(connection + attempt) % self.addresses.len()];
            match Connection::http1(address).await {
                Ok(connection) => return Ok(connection),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    async fn send(&self, number: usize, open: &mut Option<Connection>) -> Result<Reply, Error> {
        let connection = match open {
            // Otherwise the server announced the close with its last response, or closed the idle connection.
            Some(connection) if !connection.is_closed() => connection,
            _ => open.insert(self.open(number).await?),
        };
        connection.send(request(&self.host, &self.path)).await
    }
}

/// Running load. Dropping it ends it and discards its records.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Shared>,
    workers: JoinSet<Vec<Record>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    done: AtomicUsize,
}

impl Running {
    /// The number of requests that have ended so far, with a response or an error.
    #[must_use]
    pub fn done(&self) -> usize {
        self.shared.done.load(Ordering::Relaxed)
    }

    /// Lets every connection finish its request and returns all records in the order of their starts.
    ///
    /// # Panics
    /// If a worker panicked.
    pub async fn stop(self) -> Vec<Record> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut records: Vec<Record> = self.workers.join_all().await.into_iter().flatten().collect();
        records.sort_by_key(|record| record.started);
        records
    }
}

async fn work(connection: usize, load: Load, shared: Arc<Shared>) -> Vec<Record> {
    let mut records = Vec::new();
    let mut open = None;
    while !shared.stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        let answer = tokio::time::timeout(load.timeout, load.send(connection, &mut open)).await;
        let outcome = answer.unwrap_or(Err(Error::Timeout));
        let failed = outcome.is_err();
        records.push(Record { connection, started, ended: Instant::now(), outcome });
        shared.done.fetch_add(1, Ordering::Relaxed);
        if failed {
            open = None;
            pause(AFTER_AN_ERROR).await;
        } else if !load.pace.is_zero() {
            pause(load.pace).await;
        }
    }
    records
}
