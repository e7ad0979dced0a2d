//! The visitors: many clients at a modest pace, each of which records what it saw.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fastrand::Rng;
use http::StatusCode;
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};
use tokio::task::JoinSet;

use super::history::{Hit, Outcome};
use crate::client::{Connection, Error, Reply};
use crate::wait::pause;

/// How many clients.
const CLIENTS: usize = 20;

/// A client's pause after an answer, half to one and a half times; so all together make some 450 visits a
/// second.
const THINK: Duration = Duration::from_millis(40);

/// After this a client gives up. Well above what a visit may take, so that a hang is seen as one.
const PATIENCE: Duration = Duration::from_secs(8);

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
    apps: Vec<SocketAddr>,
    zero: Instant,
    hits: Mutex<Vec<Hit>>,
    /// Read-locked by every visit that is under way.
    gate: Arc<RwLock<()>>,
}

impl Clients {
    /// Clients of the counters at `apps`, which go when what is returned beside them is dropped. `zero` is
    /// when the run began.
    pub async fn stopped(apps: &[SocketAddr], zero: Instant, rng: &mut Rng) -> (Self, Stopped) {
        let shared = Arc::new(Shared { apps: apps.to_vec(), zero, hits: Mutex::default(), gate: Arc::default() });
        let mut clients = Self { shared: shared.clone(), tasks: JoinSet::new() };
        let stopped = clients.stop().await;
        for client in 0..CLIENTS {
            clients.tasks.spawn(visits(client, shared.clone(), rng.fork()));
        }
        (clients, stopped)
    }

    /// Lets every visit that is under way end, and no other begin.
    pub async fn stop(&self) -> Stopped {
        Stopped { _gate: self.shared.gate.clone().write_owned().await }
    }

    /// The visits since the last call.
    pub fn take(&self) -> Vec<Hit> {
        std::mem::take(&mut self.shared.hits.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One client's visits: at the same counter as long as that answers, else at the next.
async fn visits(client: usize, shared: Arc<Shared>, mut rng: Rng) {
    let mut host = client % shared.apps.len();
    let mut open = None;
    loop {
        pause(THINK.mul_f64(0.5 + rng.f64())).await;
        let gate = shared.gate.read().await;
        let started = shared.zero.elapsed();
        let answer = tokio::time::timeout(PATIENCE, visit(shared.apps[host], &mut open)).await;
        let ended = shared.zero.elapsed();
        let outcome = outcome(answer.unwrap_or(Err(Error::Timeout)));
        let counted = matches!(outcome, Outcome::Counted(_));
        let hit = Hit { client, host, started, ended, outcome };
        shared.hits.lock().unwrap_or_else(PoisonError::into_inner).push(hit);
        drop(gate);
        if !counted {
            open = None;
            host = (host + 1) % shared.apps.len();
        }
    }
}

async fn visit(app: SocketAddr, open: &mut Option<Connection>) -> Result<Reply, Error> {
    let connection = match open {
        Some(connection) if !connection.is_closed() => connection,
        _ => open.insert(Connection::http1(app).await?),
    };
    connection.get("/").await
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
