//! One edge from start to end: what is bound, the threads, and the control thread's part: names, health,
//! certificates, the admin listener, reloads and the end.
//!
//! Everything that decides happens on the control thread; workers only carry out.

pub mod worker_thread;
pub mod workers;

use std::{
    convert::Infallible,
    io, mem,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::{
    runtime::{Builder, LocalOptions},
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{
    admin::{self, Admin, BoundListener, Reload},
    config::{
        self, Config,
        token::{self, TokenError},
    },
    control::workers::WorkerThreads,
    downstream::{
        listener::{self, BindError, Listening},
        tls::{TlsError, TlsListener},
    },
    observe::{
        access_log::AccessLog,
        stats::{PerWorker, WorkerStats},
    },
    upstream::manager::Manager,
    worker::{Shared, snapshot::Snapshot},
};

/// How often certificate files are looked at.
const CERTIFICATES: Duration = Duration::from_secs(10);
/// How long clients wait at the start for pools that have no endpoint yet.
const FIND_ENDPOINTS: Duration = Duration::from_secs(2);
/// How often there is a look whether they have.
const LOOK: Duration = Duration::from_millis(10);
/// How long the access log may take to write what it has at the end.
const LOG_FLUSH: Duration = Duration::from_secs(2);

/// An edge whose addresses are bound and that serves nobody yet.
#[derive(Debug)]
pub struct Edge {
    config: Config,
    workers: usize,
    bound: Vec<Bound>,
    admin: Option<std::net::TcpListener>,
    log: AccessLog,
    stats: Arc<PerWorker<WorkerStats>>,
}

/// One downstream address with what belongs to it on the control thread.
#[derive(Debug)]
struct Bound {
    listening: Arc<Listening>,
    /// A socket for each worker, until they are handed out.
    sockets: Vec<std::net::TcpListener>,
    tls: Option<Arc<TlsListener>>,
}

/// What the owner of a running edge may ask of it.
#[derive(Debug)]
pub enum Command {
    /// Put this configuration in force; on any error the old one stays.
    Reload(Box<Config>),
    /// There was to be a reload, but its file could not be read: say so on the status page.
    ReloadFailed(String),
    /// Accept no more, let open requests finish within [`Config::drain`], end.
    Drain,
}

/// Why an edge cannot start, or a reload cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The token for a swarm cannot be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// An address cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The access log cannot be written.
    #[error("{0}")]
    AccessLog(#[source] io::Error),
    /// The system refused a thread or a runtime.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

impl Edge {
    /// Reads the certificates and the token, then opens the log, then binds every address. Once it returns, clients
    /// can connect, and wait until [`run`](Self::run).
    ///
    /// # Errors
    /// The first thing that cannot be had; nothing stays bound then.
    pub fn bind(config: Config) -> Result<Self, StartError> {
        let workers = config.workers.get();
        let now = SystemTime::now();
        let tls = config.listeners.iter().map(|listener| tls(listener, now)).collect::<Result<Vec<_>, _>>()?;
        token(&config)?;
        let stats: Arc<PerWorker<WorkerStats>> = Arc::new(PerWorker::new(workers));
        let log = AccessLog::start(&config.access_log, workers, Arc::clone(&stats)).map_err(StartError::AccessLog)?;
        let admin = config.admin.map(bind_admin).transpose()?;
        let bound = config.listeners.iter().zip(tls).map(|(listener, tls)| Bound::new(listener, tls, workers));
        let bound = bound.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { config, workers, bound, admin, log, stats })
    }

    /// The addresses that clients connect to, in the order of the configuration, with the ports that
    /// the kernel chose.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.bound.iter().map(|bound| bound.listening.address).collect()
    }

    /// The address of the admin listener.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref()?.local_addr().ok()
    }

    /// Serves until told to drain, or until nobody can tell any more (all senders are gone); then lets
    /// open requests finish within [`Config::drain`]. Blocks: this thread is the control thread.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn run(self, commands: mpsc::UnboundedReceiver<Command>) -> Result<(), StartError> {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        runtime.map_err(StartError::Thread)?.block_on(self.control(commands))
    }

    async fn control(self, mut commands: mpsc::UnboundedReceiver<Command>) -> Result<(), StartError> {
        let Self { config, workers, bound, admin, log, stats } = self;
        let mut manager = Manager::new(workers);
        let pools = manager.apply(&config);
        let shared = Arc::new(Shared {
            snapshot: Arc::new(ArcSwap::from_pointee(Snapshot::new(Arc::new(config), pools))),
            stats,
            heartbeats: Arc::new(PerWorker::new(workers)),
            open: AtomicUsize::new(0),
        });
        let status = Arc::new(Admin {
            snapshot: Arc::clone(&shared.snapshot),
            workers: Arc::clone(&shared.stats),
            heartbeats: Arc::clone(&shared.heartbeats),
            listeners: ArcSwap::default(),
            access_log: log.stats(),
            draining: Arc::new(AtomicBool::new(false)),
            reload: ArcSwapOption::empty(),
            started: SystemTime::now(),
        });
        let (_running, ended) = oneshot::channel::<Infallible>();
        if let Some(listener) = admin {
            let listener = tokio::net::TcpListener::from_std(listener).map_err(StartError::Thread)?;
            let end = async { drop(ended.await) };
            tokio::task::spawn_local(admin::serve(listener, Arc::clone(&status), end));
        }
        let workers = WorkerThreads::start(workers, &shared, &log).map_err(StartError::Thread)?;
        let mut running = Running { shared, manager, workers, bound, log, status };
        running.find_endpoints(&commands).await;
        for bound in &mut running.bound {
            bound.open(&running.workers);
        }
        running.show_listeners();

        let mut certificates = interval(CERTIFICATES);
        certificates.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Reload(config)) => {
                        let outcome = running.reload(*config).map_err(|error| error.to_string());
                        running.tell(outcome);
                    }
                    Some(Command::ReloadFailed(error)) => running.tell(Err(error)),
                    Some(Command::Drain) | None => break,
                },
                _ = certificates.tick() => running.reload_certificates(),
            }
        }
        running.drain().await;
        Ok(())
    }
}

/// What the control thread holds while the edge runs.
struct Running {
    shared: Arc<Shared>,
    manager: Manager,
    workers: WorkerThreads,
    bound: Vec<Bound>,
    log: AccessLog,
    status: Arc<Admin>,
}

impl Running {
    /// Waits until every pool has somebody to send requests to: who connects meanwhile waits as well, and
    /// would get 503 otherwise, from an edge that takes the place of another one under load. Bounded, since
    /// a pool may stay empty, and cut short by a command.
    async fn find_endpoints(&self, commands: &mpsc::UnboundedReceiver<Command>) {
        let pools = self.shared.snapshot.load_full();
        let is_found = || pools.pools.iter().all(|pool| !pool.snapshot.load().usable().is_empty());
        let end = Instant::now() + FIND_ENDPOINTS;
        let mut look = interval(LOOK);
        while !is_found() && Instant::now() < end && commands.is_empty() && !commands.is_closed() {
            look.tick().await;
        }
    }

    /// Whatever can fail comes first, so that a failure changes nothing.
    fn reload(&mut self, config: Config) -> Result<(), StartError> {
        let old = self.shared.snapshot.load_full();
        if config.workers != old.config.workers || config.admin != old.config.admin {
            tracing::warn!("`workers` and `admin` change with a restart only");
        }
        token(&config)?;
        let now = SystemTime::now();
        let mut kept = Vec::new();
        let mut new = Vec::new();
        for listener in &config.listeners {
            let tls = tls(listener, now)?;
            let same = |bound: &Bound| bound.is_at(listener);
            match self.bound.iter().position(same) {
                Some(index) => kept.push((index, listener, tls)),
                None => new.push(Bound::new(listener, tls, self.workers.size())?),
            }
        }
        if config.access_log != old.config.access_log {
            self.log.reconfigure(&config.access_log).map_err(StartError::AccessLog)?;
        } else if let Err(error) = self.log.reopen() {
            tracing::warn!(%error, "the access log goes on in its old file");
        }

        let mut before: Vec<Option<Bound>> = self.bound.drain(..).map(Some).collect();
        for (index, listener, tls) in kept {
            if let Some(mut bound) = before.get_mut(index).and_then(Option::take) {
                bound.change(listener, tls, now);
                self.bound.push(bound);
            }
        }
        let pools = self.manager.apply(&config);
        self.shared.snapshot.store(Arc::new(Snapshot::new(Arc::new(config), pools)));
        for mut bound in new {
            bound.open(&self.workers);
            self.bound.push(bound);
        }
        for gone in before.into_iter().flatten() {
            self.workers.unlisten(&gone.listening);
        }
        self.show_listeners();
        Ok(())
    }

    /// Says how a reload went, in the log and on the status page.
    fn tell(&self, outcome: Result<(), String>) {
        match &outcome {
            Ok(()) => tracing::info!("new configuration in force"),
            Err(error) => tracing::error!(error, "the old configuration stays"),
        }
        self.status.reload.store(Some(Arc::new(Reload { at: SystemTime::now(), error: outcome.err() })));
    }

    fn show_listeners(&self) {
        let listeners = self.bound.iter();
        let listeners =
            listeners.map(|bound| BoundListener { address: bound.listening.address, tls: bound.tls.clone() });
        self.status.listeners.store(Arc::new(listeners.collect()));
    }

    fn reload_certificates(&self) {
        for tls in self.bound.iter().filter_map(|bound| bound.tls.as_ref()) {
            for outcome in tls.reload_if_changed() {
                match &outcome.result {
                    Ok(_) => tracing::info!("{outcome}"),
                    Err(_) => tracing::error!("{outcome}"),
                }
            }
        }
    }

    async fn drain(self) {
        self.status.draining.store(true, Relaxed);
        let longest = self.shared.snapshot.load().config.drain;
        self.workers.drain(longest).await;
        if let Err(error) = self.log.close(LOG_FLUSH) {
            tracing::warn!(%error, "the end of the access log is lost");
        }
    }
}

impl Bound {
    fn new(config: &config::Listener, tls: Option<TlsListener>, workers: usize) -> Result<Self, BindError> {
        let (sockets, address) = listener::bind(config, workers)?;
        let mut bound = Self { listening: Arc::new(Listening::new(address, config.clone())), sockets, tls: None };
        bound.present(tls);
        Ok(bound)
    }

    /// Whether it listens where this listener is to. Other socket options are of no more use to it.
    fn is_at(&self, listener: &config::Listener) -> bool {
        self.listening.config.address == listener.address
    }

    /// Presents other certificates to those who connect from now on.
    fn present(&mut self, tls: Option<TlsListener>) {
        self.listening.tls.store(tls.as_ref().map(TlsListener::server_config));
        self.tls = tls.map(Arc::new);
    }

    /// Presents what a reload says. A listener that had TLS before keeps its ticket keys, so that clients
    /// can resume their sessions; `fresh` has shown that the files can be used.
    fn change(&mut self, listener: &config::Listener, fresh: Option<TlsListener>, now: SystemTime) {
        match (&self.tls, &listener.tls) {
            (Some(tls), Some(config)) => {
                if let Err(error) = tls.reconfigure(config, now) {
                    tracing::error!(%error, "the old certificates stay");
                }
            }
            _ => self.present(fresh),
        }
    }

    /// Hands the sockets to the workers.
    fn open(&mut self, workers: &WorkerThreads) {
        workers.listen(mem::take(&mut self.sockets), &self.listening);
    }
}

fn tls(listener: &config::Listener, now: SystemTime) -> Result<Option<TlsListener>, TlsError> {
    let tls = listener.tls.as_ref().map(|tls| TlsListener::new(tls, now)).transpose()?;
    for certificate in tls.iter().flat_map(TlsListener::certificates) {
        if let Some(warning) = certificate.warning(now) {
            tracing::warn!(address = %listener.address, names = certificate.names.join(","), warning, "certificate");
        }
    }
    Ok(tls)
}

/// Finds out whether the token for a swarm, if there is to be one, can be read.
fn token(config: &Config) -> Result<(), TokenError> {
    config.swarm.token_file.as_deref().map(token::read).transpose().map(drop)
}

fn bind_admin(address: SocketAddr) -> Result<std::net::TcpListener, BindError> {
    let bind = || {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bind().map_err(|source| BindError { address, source })
}

/// Finds out whether the certificates and the token of a configuration can be used, without binding anything.
///
/// # Errors
/// The first that cannot.
pub fn check(config: &Config) -> Result<(), StartError> {
    let now = SystemTime::now();
    for listener in &config.listeners {
        tls(listener, now)?;
    }
    token(config)?;
    Ok(())
}
