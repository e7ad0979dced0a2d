//! The visitors: many clients at a modest pace, each of which records what it saw.

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

/// A client's mean pause after an answer, which varies between half and one and a half times this. Together the clients
/// make about 450 visits a second.
const THINK: Duration = Duration::from_millis(40);

/// The time after which a client gives up. It is well above the limit for a visit, so that a hang is recognised.
const PATIENCE: Duration = Duration::from_secs(8);

/// The destination of a client.
#[derive(Clone, Debug)]
pub enum Target {
    /// These addresses; the history identifies hosts by their index here.
    Addresses(Vec<SocketAddr>),
    /// The addresses that the system's resolver returns for a name when a connection is opened; the history identifies
    /// hosts by their index in that order.
    Name(String, u16),
}

/// A client: its destination and its time limits.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Its destination.
    pub target: Target,
    /// The index of its first address. It stays there while that answers, and then moves on to the next.
    pub first: usize,
    /// Its mean pause after a visit, which varies between half and one and a half times this.
    pub think: Duration,
    /// The time limit for a connection.
    pub connect: Duration,
    /// The time limit for an attempt, including the connection.
    pub patience: Duration,
    /// The number of addresses that it tries in a row before it gives up a visit. A request that failed after it was
    /// sent is sent again; the history has it as an attempt of its own.
    pub tries: usize,
}

/// A visit whose last attempt failed.
#[derive(Clone, Debug)]
pub struct GivenUp {
    /// The index of the client.
    pub client: usize,
    /// When it started.
    pub started: Duration,
    /// The outcome of each attempt.
    pub tries: Vec<Outcome>,
}

/// The clients. Dropping them ends them.
#[derive(Debug)]
pub struct Clients {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

/// While it exists, no visit is under way.
#[derive(Debug)]
pub struct Stopped {
    _gate: OwnedRwLockWriteGuard<()>,
}

#[derive(Debug)]
struct Shared {
    zero: Instant,
    hits: Mutex<Vec<Hit>>,
    given_up: Mutex<Vec<GivenUp>>,
    /// Read-locked by every visit that is under way.
    gate: Arc<RwLock<()>>,
    /// How often all clients were sent back to their first address.
    homecomings: AtomicUsize,
}

impl Clients {
    /// Clients of the counters at `apps`, which start when the returned [`Stopped`] is dropped. `zero` is when the run
    /// began.
    pub async fn stopped(apps: &[SocketAddr], zero: Instant, rng: &mut Rng) -> (Self, Stopped) {
        let visitor = |client: usize| Visitor {
            target: Target::Addresses(apps.to_vec()),
            first: client,
            think: THINK,
            connect: PATIENCE,
            patience: PATIENCE,
            tries: 1,
        };
        Self::of((0..CLIENTS).map(visitor), zero, rng).await
    }

    /// The same for any visitors; the history identifies clients by their index here.
    pub async fn of(visitors: impl IntoIterator<Item = Visitor>, zero: Instant, rng: &mut Rng) -> (Self, Stopped) {
        let shared = Arc::new(Shared {
            zero,
            hits: Mutex::default(),
            given_up: Mutex::default(),
            gate: Arc::default(),
            homecomings: AtomicUsize::new(0),
        });
        let mut clients = Self { shared: shared.clone(), tasks: JoinSet::new() };
        let stopped = clients.stop().await;
        for (number, visitor) in visitors.into_iter().enumerate() {
            let client = Client { number, host: visitor.first, visitor, open: None };
            clients.tasks.spawn(client.visits(shared.clone(), rng.fork()));
        }
        (clients, stopped)
    }

    /// Waits for the visits in progress to end, and lets no other begin.
    pub async fn stop(&self) -> Stopped {
        Stopped { _gate: self.shared.gate.clone().write_owned().await }
    }

    /// Makes all clients start over, at their first address and with a new connection.
    pub fn send_home(&self) {
        self.shared.homecomings.fetch_add(1, Ordering::Relaxed);
    }

    /// The attempts since the last call. Where a client has one attempt, each is a visit.
    pub fn take(&self) -> Vec<Hit> {
        std::mem::take(&mut self.shared.hits.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The visits since the last call that failed in the end.
    pub fn take_given_up(&self) -> Vec<GivenUp> {
        std::mem::take(&mut self.shared.given_up.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Client {
    number: usize,
    visitor: Visitor,
    /// The address that it uses, counted from the first.
    host: usize,
    open: Option<Connection>,
}

impl Client {
    async fn visits(mut self, shared: Arc<Shared>, mut rng: Rng) {
        let mut homecomings = 0;
        loop {
            pause(self.visitor.think.mul_f64(0.5 + rng.f64())).await;
            let gate = shared.gate.read().await;
            let sent_home = shared.homecomings.load(Ordering::Relaxed);
            if std::mem::replace(&mut homecomings, sent_home) != sent_home {
                self.open = None;
                self.host = self.visitor.first;
            }
            self.visit(&shared).await;
            drop(gate);
        }
    }

    /// Makes one visit with all its attempts.
    async fn visit(&mut self, shared: &Shared) {
        let begun = shared.zero.elapsed();
        let mut failures = Vec::new();
        while failures.len() < self.visitor.tries {
            let started = shared.zero.elapsed();
            let mut host = self.host;
            let answer = tokio::time::timeout(self.visitor.patience, self.ask(&mut host)).await;
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
        let given_up = GivenUp { client: self.number, started: begun, tries: failures };
        shared.given_up.lock().unwrap_or_else(PoisonError::into_inner).push(given_up);
    }

    /// Makes one attempt; stores in `host` which address that was.
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
