//! The clients: many of them at a modest rate, each of which records what it observes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fastrand::Rng;
use http::StatusCode;
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};
use tokio::task::JoinSet;

use super::history::{Hit, Outcome};
use crate::client::{Connection, Error, Reply, request};
use crate::wait::pause;

/// The number of clients in chaos runs.
const CLIENTS: usize = 20;

/// A client's mean pause after a visit. Together the clients make about 450 visits a second.
const THINK: Duration = Duration::from_millis(40);

/// The time limit of a client. It is well above the limit for a visit, so that a hang is recognised.
const TIMEOUT: Duration = Duration::from_secs(8);

/// The servers that a client visits.
#[derive(Clone, Debug)]
pub enum Target {
    /// These addresses; the history identifies hosts by their index here.
    Addresses(Vec<SocketAddr>),
    /// The addresses of a name, resolved by the system whenever a connection is opened, and a port. The history
    /// identifies hosts by their index in the sorted addresses.
    Name(String, u16),
}

/// The configuration of a client.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The servers that it visits.
    pub target: Target,
    /// The index of its first address. After a failure it uses the next one.
    pub first: usize,
    /// The mean pause after a visit. Pauses vary between half and one and a half times this.
    pub think: Duration,
    /// The time limit for opening a connection.
    pub connect: Duration,
    /// The time limit for an attempt, including opening the connection.
    pub timeout: Duration,
    /// How many addresses it tries in a row before it gives up a visit. A request that failed after it was sent is sent
    /// again; the history contains it as another attempt.
    pub attempts: usize,
}

/// A visit whose last attempt failed.
#[derive(Clone, Debug)]
pub struct FailedVisit {
    /// The index of the client.
    pub client: usize,
    /// When the first attempt started.
    pub started: Duration,
    /// The outcome of each attempt.
    pub attempts: Vec<Outcome>,
}

/// Running clients. Dropping them ends them.
#[derive(Debug)]
pub struct Clients {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

/// While this exists, no visit is in progress.
#[derive(Debug)]
pub struct Stopped {
    _gate: OwnedRwLockWriteGuard<()>,
}

#[derive(Debug)]
struct Shared {
    zero: Instant,
    hits: Mutex<Vec<Hit>>,
    failed_visits: Mutex<Vec<FailedVisit>>,
    /// Read-locked by every visit in progress.
    gate: Arc<RwLock<()>>,
    /// How often [`Clients::reset`] was called.
    resets: AtomicUsize,
}

impl Clients {
    /// Creates clients of the counters at `apps`, which start when the returned [`Stopped`] is dropped. `zero` is the
    /// start of the run.
    pub async fn stopped(apps: &[SocketAddr], zero: Instant, rng: &mut Rng) -> (Self, Stopped) {
        let visitor = |client: usize| Visitor {
            target: Target::Addresses(apps.to_vec()),
            first: client,
            think: THINK,
            connect: TIMEOUT,
            timeout: TIMEOUT,
            attempts: 1,
        };
        Self::of((0..CLIENTS).map(visitor), zero, rng).await
    }

    /// Creates clients for any `visitors`; the history identifies them by their index there.
    pub async fn of(visitors: impl IntoIterator<Item = Visitor>, zero: Instant, rng: &mut Rng) -> (Self, Stopped) {
        let shared = Arc::new(Shared {
            zero,
            hits: Mutex::default(),
            failed_visits: Mutex::default(),
            gate: Arc::default(),
            resets: AtomicUsize::new(0),
        });
        let mut clients = Self { shared: shared.clone(), tasks: JoinSet::new() };
        let stopped = clients.stop().await;
        for (number, visitor) in visitors.into_iter().enumerate() {
            let client = Client { number, host: visitor.first, visitor, open: None };
            clients.tasks.spawn(client.visits(shared.clone(), rng.fork()));
        }
        (clients, stopped)
    }

    /// Waits for the visits in progress to end, and prevents new ones.
    pub async fn stop(&self) -> Stopped {
        Stopped { _gate: self.shared.gate.clone().write_owned().await }
    }

    /// Makes all clients continue at their first address with a new connection.
    pub fn reset(&self) {
        self.shared.resets.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the attempts since the last call. For a client with one attempt per visit, each is a visit.
    pub fn take(&self) -> Vec<Hit> {
        std::mem::take(&mut self.shared.hits.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the visits since the last call whose last attempt failed.
    pub fn take_failed_visits(&self) -> Vec<FailedVisit> {
        std::mem::take(&mut self.shared.failed_visits.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Client {
    number: usize,
    visitor: Visitor,
    /// The index of the address that it uses.
    host: usize,
    open: Option<Connection>,
}

impl Client {
    async fn visits(mut self, shared: Arc<Shared>, mut rng: Rng) {
        let mut resets = 0;
        loop {
            pause(self.visitor.think.mul_f64(0.5 + rng.f64())).await;
            let gate = shared.gate.read().await;
            let reset_count = shared.resets.load(Ordering::Relaxed);
            if std::mem::replace(&mut resets, reset_count) != reset_count {
                self.open = None;
                self.host = self.visitor.first;
            }
            self.visit(&shared).await;
            drop(gate);
        }
    }

    /// Makes one visit, with up to the configured number of attempts.
    async fn visit(&mut self, shared: &Shared) {
        let begun = shared.zero.elapsed();
        let mut failures = Vec::new();
        while failures.len() < self.visitor.attempts {
            let started = shared.zero.elapsed();
            let mut host = self.host;
            let answer = tokio::time::timeout(self.visitor.timeout, self.ask(&mut host)).await;
            let ended = shared.zero.elapsed();
            let outcome = outcome(answer.unwrap_or(Err(Error::Timeout)));
            let hit = Hit { client: self.number, host, started, ended, outcome: outcome.clone() };
            shared.hits.lock().unwrap_or_else(PoisonError::into_inner).push(hit);
            if matches!(outcome, Outcome::Counted(_)) {
                return;
            }
            self.open = None;
            self.host += 1;
            failures.push(outcome);
        }
        let failed_visits = FailedVisit { client: self.number, started: begun, attempts: failures };
        shared.failed_visits.lock().unwrap_or_else(PoisonError::into_inner).push(failed_visits);
    }

    /// Makes one attempt, and stores the index of its address in `host`.
    async fn ask(&mut self, host: &mut usize) -> Result<Reply, Error> {
        let name = match &self.visitor.target {
            Target::Addresses(addresses) => {
                *host %= addresses.len();
                addresses[*host].to_string()
            }
            Target::Name(name, _) => name.clone(),
        };
        let connection = match &mut self.open {
            Some(connection) if !connection.is_closed() => connection,
            _ => {
                let address = match &self.visitor.target {
                    Target::Addresses(addresses) => addresses[*host],
                    Target::Name(name, port) => {
                        let mut found: Vec<SocketAddr> =
                            tokio::net::lookup_host((name.as_str(), *port)).await.map_err(Error::Connect)?.collect();
                        found.sort_unstable();
                        *host %= found.len().max(1);
                        *found.get(*host).ok_or_else(|| Error::Connect(std::io::ErrorKind::NotFound.into()))?
                    }
                };
                let opened = tokio::time::timeout(self.visitor.connect, Connection::http1(address)).await;
                let late = |_elapsed| Err(Error::Connect(std::io::ErrorKind::TimedOut.into()));
                self.open.insert(opened.unwrap_or_else(late)?)
            }
        };
        connection.send(request(&name, "/")).await
    }
}

fn outcome(answer: Result<Reply, Error>) -> Outcome {
    match answer {
        Ok(reply) => {
            let text = reply.text();
            let number = text.strip_prefix("Hello World! I have been seen ").and_then(|rest| rest.split(' ').next());
            match number.and_then(|number| number.parse().ok()) {
                Some(number) if reply.status == StatusCode::OK => Outcome::Counted(number),
                _ => Outcome::Unknown(format!("{} {}", reply.status.as_u16(), text.trim_end())),
            }
        }
        Err(Error::Connect(_)) => Outcome::Unsent,
        Err(error) => Outcome::Unknown(error.to_string()),
    }
}
