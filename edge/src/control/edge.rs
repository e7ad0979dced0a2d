//! An edge from start to end: it binds addresses, starts threads, and executes commands on the control thread.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize},
    },
    time::{Duration, SystemTime},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::{
    runtime::{Builder, LocalOptions},
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval},
};

use crate::{
    admin::AdminState,
    config::Config,
    control::{
        admin_listener::{self, AdminListener},
        bound::{Bound, tls},
        check::secrets,
        command::Command,
        inherited::Inherited,
        rule_files,
        running::{Running, next},
        start_error::StartError,
        takeover::{Offer, Start},
        workers::WorkerThreads,
    },
    io::memory::Budget,
    observe::{
        access_log::AccessLog,
        stats::{PerWorker, WorkerStats},
    },
    upstream::manager::Manager,
    worker::{Shared, snapshot::Snapshot},
};

/// The interval between two checks of the certificate files.
const CERTIFICATES: Duration = Duration::from_secs(10);

/// The orders of the operator that may wait; the connections of more wait for them.
const ORDERS: usize = 16;

/// An edge that has bound its addresses but does not serve yet.
#[derive(Debug)]
pub struct Edge {
    config: Config,
    workers: usize,
    bound: Vec<Bound>,
    admin: Option<AdminListener>,
    /// A copy of the admin listener's socket, for a successor.
    admin_socket: Option<TcpListener>,
    inherited: Inherited,
    /// With [`Config::takeover`]. Keeps other edges from starting until this one serves.
    takeover: Option<Start>,
    log: AccessLog,
    stats: Arc<PerWorker<WorkerStats>>,
}

impl Edge {
    /// Reads the certificates and the tokens, opens the access log, and binds every address. When it returns, clients
    /// can connect; they wait until [`run`](Self::run). Only the admin listener may be in use by another process, such
    /// as an edge that drains: it is bound as soon as it is free.
    ///
    /// # Errors
    /// The first step that fails. Nothing stays bound then.
    pub fn bind(config: Config) -> Result<Self, StartError> {
        Self::inherit(config, Inherited::default())
    }

    /// Does the same, but takes each address that has an inherited socket from there. With [`Config::takeover`], the
    /// sockets of the edge that runs are used, too, and that edge serves until this one does.
    ///
    /// # Errors
    /// The first step that fails, or a socket that the configuration does not use. An edge that runs goes on then.
    pub fn inherit(config: Config, mut inherited: Inherited) -> Result<Self, StartError> {
        inherited.check(&config)?;
        let workers = config.workers.get();
        let now = SystemTime::now();
        let tls = config.listeners.iter().map(|listener| tls(listener, now)).collect::<Result<Vec<_>, _>>()?;
        secrets(&config)?;
        let stats: Arc<PerWorker<WorkerStats>> = Arc::new(PerWorker::new(workers));
        let log = AccessLog::start(&config.access_log, workers, Arc::clone(&stats)).map_err(StartError::AccessLog)?;
        let (mut takeover, taken) = match config.takeover.as_deref().map(Start::begin).transpose()? {
            Some((start, sockets)) => (Some(start), sockets),
            None => (None, Vec::new()),
        };
        // The edge that runs listens there as well, but not any more once this one serves.
        let mut own = inherited.add_predecessors(taken).map_err(StartError::Inherit)?;
        let admin = config.admin.map(|address| AdminListener::new(address, &inherited)).transpose()?;
        let admin_socket = admin.as_ref().map(AdminListener::copy).transpose().map_err(StartError::Inherit)?.flatten();
        let mut bound = Vec::new();
        for (listener, tls) in config.listeners.iter().zip(tls) {
            let next = Bound::new(listener, tls, workers, &own, &inherited)?;
            own.push(next.listener.address);
            bound.push(next);
        }
        inherited.forget_predecessors();
        takeover.as_mut().map(Start::listen).transpose()?;
        Ok(Self { config, workers, bound, admin, admin_socket, inherited, takeover, log, stats })
    }

    /// The addresses that clients connect to, in the order of the configuration, with the ports that the kernel chose.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.bound.iter().map(|bound| bound.listener.address).collect()
    }

    /// The address of the admin listener; `None` without one, and while another process uses its address.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref()?.bound_address()
    }

    /// Serves until it receives a command to drain, until all senders are dropped, or until another edge has taken over.
    /// Then open requests may finish within [`Config::drain`]. Blocks: the calling thread is the control thread.
    ///
    /// # Errors
    /// A thread cannot be started, or the edge that runs does not let this one take over.
    pub fn run(self, commands: mpsc::UnboundedReceiver<Command>) -> Result<(), StartError> {
        self.run_then(commands, || {})
    }

    /// Does the same, and calls `serving` when the workers begin to accept connections.
    ///
    /// # Errors
    /// As above.
    pub fn run_then(
        self,
        commands: mpsc::UnboundedReceiver<Command>,
        serving: impl FnOnce(),
    ) -> Result<(), StartError> {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        runtime.map_err(StartError::Thread)?.block_on(self.control(commands, serving))
    }

    async fn control(
        self,
        mut commands: mpsc::UnboundedReceiver<Command>,
        serving: impl FnOnce(),
    ) -> Result<(), StartError> {
        let Self { config, workers, bound, admin, admin_socket, inherited, takeover, log, stats } = self;
        let files = rule_files::load(&config)?;
        let mut manager = Manager::new(workers);
        let pools = manager.apply(&config);
        let memory = Arc::new(Budget::new(config.limits.memory, workers));
        let shared = Arc::new(Shared {
            snapshot: Arc::new(ArcSwap::from_pointee(Snapshot::new(Arc::new(config), pools, files))),
            stats,
            heartbeats: Arc::new(PerWorker::new(workers)),
            idle_wanted: PerWorker::new(workers),
            open: AtomicUsize::new(0),
            clients: Arc::default(),
            memory,
        });
        let (orders, mut ordered) = mpsc::channel(ORDERS);
        let admin_state = Arc::new(AdminState {
            snapshot: Arc::clone(&shared.snapshot),
            workers: Arc::clone(&shared.stats),
            heartbeats: Arc::clone(&shared.heartbeats),
            listeners: ArcSwap::default(),
            access_log: log.stats(),
            memory: Arc::clone(&shared.memory),
            draining: Arc::new(AtomicBool::new(false)),
            orders,
            refused_orders: Mutex::default(),
            reload: ArcSwapOption::empty(),
            started: SystemTime::now(),
        });
        let admin_address = admin.as_ref().and_then(AdminListener::address);
        let (admin_end, ended) = oneshot::channel();
        let mut admin_task = admin.map(|listener| admin_listener::serve(listener, Arc::clone(&admin_state), ended));
        let mut admin_running = None;
        if !takeover.as_ref().is_some_and(Start::is_takeover) {
            admin_running = admin_task.take().map(tokio::task::spawn_local);
        }
        let workers = WorkerThreads::start(workers, &shared, &log).map_err(StartError::Thread)?;
        let mut running = Running {
            shared,
            manager,
            workers,
            bound,
            inherited,
            log,
            admin_state,
            admin_address,
            admin_socket,
            admin_end,
        };
        let mut early = running.find_endpoints(&mut commands).await;
        let mut offer = None;
        if let Some(start) = takeover {
            if start.is_takeover() && matches!(early.back(), Some(Command::Drain)) {
                tracing::info!("stopped before this edge took over; the other one goes on");
                return Ok(());
            }
            offer =
                start.finish(&running.addresses()).await?.map(Offer::start).transpose().map_err(StartError::Thread)?;
        }
        for bound in &mut running.bound {
            bound.open(&running.workers);
        }
        running.show_listeners();
        // While another edge served, its state was the one that counted.
        admin_running = admin_task.map(tokio::task::spawn_local).or(admin_running);
        serving();

        let mut certificates = interval(CERTIFICATES);
        certificates.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let successor = loop {
            let command = async {
                match early.pop_front() {
                    Some(command) => Some(command),
                    None => commands.recv().await,
                }
            };
            tokio::select! {
                command = command => match command {
                    Some(Command::Reload(config)) => {
                        let outcome = running.reload(*config).map_err(|error| error.to_string());
                        running.report(outcome);
                    }
                    Some(Command::ReloadFailed(error)) => running.report(Err(error)),
                    Some(Command::Drain) | None => break None,
                },
                Some(order) = ordered.recv() => running.order(order),
                _ = certificates.tick() => running.reload_certificates(),
                event = next(&mut offer) => if let Some(addresses) = running.offer(event) {
                    break Some(addresses);
                },
            }
        };
        // An edge that drains obeys no orders.
        drop(ordered);
        let successor = match successor {
            None => running.announce_drain(&mut offer).await,
            successor => successor,
        };
        match (successor, offer) {
            (Some(addresses), _) => running.hand_over(&addresses, admin_running).await,
            (None, Some(offer)) => {
                offer.withdraw();
                running.drain().await;
            }
            (None, None) => running.drain().await,
        }
        Ok(())
    }
}
