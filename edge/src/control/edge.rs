//! An edge from start to end: it binds addresses, starts threads, and executes commands on the control thread.

use std::{
    net::SocketAddr,
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
        running::Running,
        start_error::StartError,
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
    inherited: Inherited,
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

    /// Does the same, but takes each address that has an inherited socket from there.
    ///
    /// # Errors
    /// The first step that fails, or a socket that the configuration does not use.
    pub fn inherit(config: Config, inherited: Inherited) -> Result<Self, StartError> {
        inherited.check(&config)?;
        let workers = config.workers.get();
        let now = SystemTime::now();
        let tls = config.listeners.iter().map(|listener| tls(listener, now)).collect::<Result<Vec<_>, _>>()?;
        secrets(&config)?;
        let stats: Arc<PerWorker<WorkerStats>> = Arc::new(PerWorker::new(workers));
        let log = AccessLog::start(&config.access_log, workers, Arc::clone(&stats)).map_err(StartError::AccessLog)?;
        let admin = config.admin.map(|address| AdminListener::new(address, &inherited)).transpose()?;
        let (mut bound, mut own) = (Vec::new(), Vec::new());
        for (listener, tls) in config.listeners.iter().zip(tls) {
            let next = Bound::new(listener, tls, workers, &own, &inherited)?;
            own.push(next.listener.address);
            bound.push(next);
        }
        Ok(Self { config, workers, bound, admin, inherited, log, stats })
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

    /// Serves until it receives a command to drain, or until all senders are dropped. Then open requests may finish
    /// within [`Config::drain`]. Blocks: the calling thread is the control thread.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn run(self, commands: mpsc::UnboundedReceiver<Command>) -> Result<(), StartError> {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        runtime.map_err(StartError::Thread)?.block_on(self.control(commands))
    }

    async fn control(self, mut commands: mpsc::UnboundedReceiver<Command>) -> Result<(), StartError> {
        let Self { config, workers, bound, admin, inherited, log, stats } = self;
        let mut manager = Manager::new(workers);
        let pools = manager.apply(&config);
        let memory = Arc::new(Budget::new(config.limits.memory, workers));
        let shared = Arc::new(Shared {
            snapshot: Arc::new(ArcSwap::from_pointee(Snapshot::new(Arc::new(config), pools))),
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
        if let Some(listener) = admin {
            tokio::task::spawn_local(admin_listener::serve(listener, Arc::clone(&admin_state), ended));
        }
        let workers = WorkerThreads::start(workers, &shared, &log).map_err(StartError::Thread)?;
        let mut running =
            Running { shared, manager, workers, bound, inherited, log, admin_state, admin_address, admin_end };
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
                        running.report(outcome);
                    }
                    Some(Command::ReloadFailed(error)) => running.report(Err(error)),
                    Some(Command::Drain) | None => break,
                },
                Some(order) = ordered.recv() => running.order(order),
                _ = certificates.tick() => running.reload_certificates(),
            }
        }
        // An edge that drains obeys no orders.
        drop(ordered);
        running.drain().await;
        Ok(())
    }
}
