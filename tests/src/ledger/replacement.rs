//! An edge is replaced by another one again and again, by a takeover of its sockets, while clients of all kinds send
//! numbered requests and a load balancer asks for its readiness.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use http::StatusCode;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::endpoint::Endpoint;
use super::service::Service;
use super::totals::Totals;
use super::{Ended, Ledger, exchange};
use crate::client::tls::Offer;
use crate::client::{Connection, Error, get};
use crate::port;
use crate::process::Process;
use crate::wait::{SOON, eventually, pause};

/// The clients of each kind: 40 in all.
const CLIENTS: [(Kind, u32); 6] = [
    (Kind { tls: None, keeps: true }, 12),
    (Kind { tls: None, keeps: false }, 12),
    (Kind { tls: Some(&["http/1.1"]), keeps: true }, 6),
    (Kind { tls: Some(&["http/1.1"]), keeps: false }, 4),
    (Kind { tls: Some(&["h2"]), keeps: true }, 4),
    (Kind { tls: Some(&["h2"]), keeps: false }, 2),
];
/// The time between two questions for readiness.
const PROBE: Duration = Duration::from_millis(20);

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Replacement {
    /// How often the edge is replaced.
    pub times: usize,
    /// The requests in a second, as long as every response comes at once.
    pub rate: u32,
    /// The requests between two replacements.
    pub between: usize,
}

/// What became of it.
#[derive(Debug)]
pub struct Outcome {
    /// What became of the requests.
    pub totals: Totals,
    /// How many connections the clients opened.
    pub connections: usize,
    /// How many requests with HTTP/2 were sent again because of a GOAWAY.
    pub sent_again: usize,
    /// How often the edge was asked whether it is ready.
    pub probes: usize,
    /// Why it was not, each time.
    pub not_ready: Vec<String>,
    /// How long the whole took.
    pub took: Duration,
    /// How long each takeover took: from the start of the new process until it served.
    pub takeovers: Vec<Duration>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = self.takeovers.iter().max().copied().unwrap_or_default();
        write!(
            f,
            "{} replacements in {:.1} s, the slowest within {} ms\n\
             {} requests, {} of them sent again after a GOAWAY; {} connections; {} probes, {} not ready\n\
             failed: {} GETs, {} POSTs; {} POSTs executed twice; the slowest request took {} ms",
            self.takeovers.len(),
            self.took.as_secs_f64(),
            longest.as_millis(),
            self.totals.requests,
            self.sent_again,
            self.connections,
            self.probes,
            self.not_ready.len(),
            self.totals.failed_gets,
            self.totals.failed_posts,
            self.totals.posts_twice,
            self.totals.slowest
        )
    }
}

impl Replacement {
    /// Runs it. Each edge has another number of workers than the one before.
    ///
    /// # Panics
    /// If an edge does not start, or does not end with 0 after it was replaced.
    pub async fn run(self) -> Outcome {
        let ledger = Arc::new(Ledger::default());
        let service = Service::start(&ledger, 2, false).await;
        let endpoints: Vec<SocketAddr> = service.endpoints.iter().map(Endpoint::address).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let [plain, secure, admin] = [(); 3].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, port::free())));
        let config = config(plain, secure, admin, &endpoints);
        std::fs::write(folder.path().join("edge.toml"), config).expect("a file can be written");

        let mut edge = start(folder.path(), 2);
        edge.line("status page").await;
        let (began, load) = (Instant::now(), self.load(plain, secure, admin, &ledger));
        let mut takeovers = Vec::new();
        for workers in [1, 3, 2].into_iter().cycle().take(self.times) {
            load.go_on(&ledger, self.between).await;
            let started = Instant::now();
            let mut successor = start(folder.path(), workers);
            successor.line("has taken over").await;
            takeovers.push(started.elapsed());
            assert_eq!(edge.exit(SOON).await.code(), Some(0), "{:#?}", edge.lines());
            edge = successor;
        }
        load.go_on(&ledger, self.between).await;
        let Shared { connections, probes, sent_again, .. } = &*load.shared;
        load.shared.stop.store(true, Relaxed);
        let [connections, probes, sent_again] = [connections, probes, sent_again].map(Arc::clone);
        let not_ready = load.tasks.join_all().await.concat();
        service.end().await;
        Outcome {
            totals: ledger.totals(),
            connections: connections.load(Relaxed),
            sent_again: sent_again.load(Relaxed),
            probes: probes.load(Relaxed),
            not_ready,
            took: began.elapsed(),
            takeovers,
        }
    }

    fn load(self, plain: SocketAddr, secure: SocketAddr, admin: SocketAddr, ledger: &Arc<Ledger>) -> Load {
        let all: u32 = CLIENTS.iter().map(|(_, count)| count).sum();
        let pace = Duration::from_secs(1) * all / self.rate.max(1);
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        for kind in CLIENTS.iter().flat_map(|(kind, count)| (0..*count).map(|_| *kind)) {
            let address = if kind.tls.is_some() { secure } else { plain };
            let (ledger, shared) = (Arc::clone(ledger), Arc::clone(&shared));
            tasks.spawn(Client { kind, address, pace, ledger, shared }.run());
        }
        tasks.spawn(probe(admin, Arc::clone(&shared)));
        Load { shared, tasks }
    }
}

fn config(plain: SocketAddr, secure: SocketAddr, admin: SocketAddr, endpoints: &[SocketAddr]) -> String {
    let endpoints: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{endpoint}\"")).collect();
    let endpoints = endpoints.join(", ");
    format!(
        "takeover = \"takeover.sock\"\nadmin = \"{admin}\"\n[[listener]]\naddress = \"{plain}\"\n\
         [[listener]]\naddress = \"{secure}\"\n[listener.tls]\n\
         [pool.web]\nendpoints = [{endpoints}]\n[pool.web.health]\npath = \"/healthz\"\n"
    )
}

fn start(folder: &Path, workers: usize) -> Process {
    let config = folder.join("edge.toml");
    let plan = Process::ours("edge").args(["run", "--access-log", "off", "--workers", &workers.to_string()]);
    plan.arg("--config").arg(config).start()
}

/// How a client connects.
#[derive(Clone, Copy, Debug)]
struct Kind {
    /// The protocols that it offers over TLS; `None` without TLS.
    tls: Option<&'static [&'static str]>,
    /// Whether it keeps its connection open.
    keeps: bool,
}

/// Running clients.
struct Load {
    shared: Arc<Shared>,
    /// Each returns why the edge was not ready.
    tasks: JoinSet<Vec<String>>,
}

impl Load {
    async fn go_on(&self, ledger: &Ledger, requests: usize) {
        let before = ledger.requests();
        eventually("requests", SOON * 3, async || ledger.requests() >= before + requests).await;
    }
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    connections: Arc<AtomicUsize>,
    sent_again: Arc<AtomicUsize>,
    probes: Arc<AtomicUsize>,
}

struct Client {
    kind: Kind,
    address: SocketAddr,
    pace: Duration,
    ledger: Arc<Ledger>,
    shared: Arc<Shared>,
}

impl Client {
    async fn run(self) -> Vec<String> {
        let mut connection = None;
        while !self.shared.stop.load(Relaxed) {
            let next = Instant::now() + self.pace;
            self.exchange(&mut connection).await;
            sleep_until(next).await;
        }
        Vec::new()
    }

    async fn exchange(&self, connection: &mut Option<Connection>) {
        let (number, is_post) = self.ledger.begin(self.kind.tls.is_some_and(|alpn| alpn.contains(&"h2")));
        let began = Instant::now();
        let mut outcome = timeout(SOON, self.send(connection, number, is_post)).await.unwrap_or(Err(Error::Timeout));
        if outcome.as_ref().is_err_and(exchange::is_unprocessed) {
            self.shared.sent_again.fetch_add(1, Relaxed);
            *connection = None;
            outcome = timeout(SOON, self.send(connection, number, is_post)).await.unwrap_or(Err(Error::Timeout));
        }
        if outcome.is_err() || !self.kind.keeps {
            *connection = None;
        }
        let (is_ok, text) = match outcome {
            Ok(status) => (status == StatusCode::OK, status.as_str().to_owned()),
            Err(error) => (false, format!("{:?}, {error:?}", self.kind)),
        };
        self.ledger.ended(number, Ended { is_ok, took: began.elapsed(), text });
    }

    async fn send(
        &self,
        connection: &mut Option<Connection>,
        number: usize,
        is_post: bool,
    ) -> Result<StatusCode, Error> {
        let connect = async || {
            self.shared.connections.fetch_add(1, Relaxed);
            match self.kind.tls {
                None => Connection::http1(self.address).await,
                Some(alpn) => {
                    let offer = Offer::accepting_any_certificate().alpn(alpn);
                    Connection::https(self.address, "www.example.com", offer).await
                }
            }
        };
        exchange::send(connection, connect, number, is_post).await
    }
}

/// Asks for readiness on a new connection each time. Returns every answer but 200.
async fn probe(admin: SocketAddr, shared: Arc<Shared>) -> Vec<String> {
    let mut failures = Vec::new();
    while !shared.stop.load(Relaxed) {
        shared.probes.fetch_add(1, Relaxed);
        match get(admin, "/readyz").await {
            Ok(reply) if reply.status == StatusCode::OK => {}
            outcome => failures.push(format!("{outcome:?}")),
        }
        pause(PROBE).await;
    }
    failures
}
