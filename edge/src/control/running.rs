//! A running edge as the control thread sees it: reloads, renewed certificates, drain.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::pending,
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, SystemTime},
};

use settings::address::overlap;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, interval, sleep_until, timeout},
};

use crate::{
    admin::{AdminState, BoundListener, EndpointOrder, Reload},
    config::Config,
    control::{
        bound::{Bound, tls},
        check::secrets,
        command::{Command, receive_waiting},
        inherited::Inherited,
        rule_files,
        start_error::StartError,
        takeover::{Event, Offer},
        workers::WorkerThreads,
    },
    observe::access_log::AccessLog,
    upstream::manager::Manager,
    worker::{Shared, snapshot::Snapshot},
};

/// How long the edge waits at its start until every pool has a usable endpoint.
const FIND_ENDPOINTS: Duration = Duration::from_secs(2);
/// The interval between two checks of whether every pool has one.
const FIND_INTERVAL: Duration = Duration::from_millis(10);
/// The interval between two checks of whether a successor listens, while the edge drains.
const FIND_SUCCESSOR: Duration = Duration::from_millis(250);
/// How long the admin listener may take to answer the connections that it has accepted.
const ADMIN_END: Duration = Duration::from_secs(2);
/// How long the access log may take to write its last lines.
const LOG_FLUSH: Duration = Duration::from_secs(2);

/// The state of the control thread while the edge runs.
pub(super) struct Running {
    pub(super) shared: Arc<Shared>,
    pub(super) manager: Manager,
    pub(super) workers: WorkerThreads,
    pub(super) bound: Vec<Bound>,
    pub(super) inherited: Inherited,
    pub(super) log: AccessLog,
    pub(super) admin_state: Arc<AdminState>,
    /// The address of the admin listener, which stays. Another process may still use it.
    pub(super) admin_address: Option<SocketAddr>,
    /// A copy of the admin listener's socket, for a successor.
    pub(super) admin_socket: Option<TcpListener>,
    /// The admin listener ends when this is dropped.
    pub(super) admin_end: oneshot::Sender<Infallible>,
}

impl Running {
    /// Waits until every pool has a usable endpoint. Clients that connect in the meantime wait as well; otherwise, an
    /// edge that replaces another one under load would answer them with 503. The wait is limited, because a pool may
    /// stay empty, and a stop ends it. Returns the commands that came meanwhile; a stop is the last.
    pub(super) async fn find_endpoints(&self, commands: &mut mpsc::UnboundedReceiver<Command>) -> VecDeque<Command> {
        let pools = self.shared.snapshot.load_full();
        let is_found = || pools.pools.iter().all(|pool| !pool.snapshot.load().usable().is_empty());
        let end = Instant::now() + FIND_ENDPOINTS;
        let mut look = interval(FIND_INTERVAL);
        let mut early = VecDeque::new();
        loop {
            let is_stopped = receive_waiting(commands, &mut early);
            if is_stopped || is_found() || Instant::now() >= end {
                return early;
            }
            look.tick().await;
        }
    }

    /// Applies a configuration. Every step that can fail comes first, so that a failure changes nothing.
    pub(super) fn reload(&mut self, config: Config) -> Result<(), StartError> {
        let old = self.shared.snapshot.load_full();
        if config.workers != old.config.workers
            || config.admin != old.config.admin
            || config.takeover != old.config.takeover
        {
            tracing::warn!("changes of `workers`, `admin` and `takeover` take effect only after a restart");
        }
        secrets(&config)?;
        let files = rule_files::load(&config)?;
        let now = SystemTime::now();
        let mut kept = Vec::new();
        let mut new = Vec::new();
        let mut own: Vec<_> = self.bound.iter().map(|bound| bound.listener.address).collect();
        for listener in &config.listeners {
            let tls = tls(listener, now)?;
            let same = |bound: &Bound| bound.is_at(listener);
            match self.bound.iter().position(same) {
                Some(index) => kept.push((index, listener, tls)),
                None if self.admin_address.is_some_and(|admin| overlap(admin, listener.address)) => {
                    return Err(StartError::AdminAddress(listener.address));
                }
                None => {
                    let bound = Bound::new(listener, tls, self.workers.size(), &own, &self.inherited)?;
                    own.push(bound.listener.address);
                    new.push(bound);
                }
            }
        }
        if config.access_log != old.config.access_log {
            self.log.reconfigure(&config.access_log).map_err(StartError::AccessLog)?;
        } else if let Err(error) = self.log.reopen() {
            tracing::warn!(%error, "cannot reopen the access log; it continues in the old file");
        }

        let mut before: Vec<Option<Bound>> = self.bound.drain(..).map(Some).collect();
        for (index, listener, tls) in kept {
            if let Some(mut bound) = before.get_mut(index).and_then(Option::take) {
                bound.change(listener, tls, now);
                self.bound.push(bound);
            }
        }
        if let Err(unused) = self.inherited.check(&config) {
            tracing::warn!("{unused}; until then, clients that connect there wait");
        }
        let pools = self.manager.apply(&config);
        self.shared.memory.set_limit(config.limits.memory);
        self.shared.snapshot.store(Arc::new(Snapshot::new(Arc::new(config), pools, files)));
        for mut bound in new {
            bound.open(&self.workers);
            self.bound.push(bound);
        }
        for removed in before.into_iter().flatten() {
            self.workers.unlisten(&removed.listener);
        }
        self.show_listeners();
        Ok(())
    }

    /// Executes an order of the operator.
    pub(super) fn order(&self, order: EndpointOrder) {
        let EndpointOrder { pool, endpoint, order, client, answer } = order;
        let outcome = self.manager.order(&pool, endpoint, order, client);
        // The client may have gone.
        answer.send(outcome).ok();
    }

    /// Reports the outcome of a reload, in the log and on the status page.
    pub(super) fn report(&self, outcome: Result<(), String>) {
        match &outcome {
            Ok(()) => tracing::info!("the new configuration is in use"),
            Err(error) => tracing::error!(error, "cannot reload; the old configuration stays in use"),
        }
        self.admin_state.reload.store(Some(Arc::new(Reload { at: SystemTime::now(), error: outcome.err() })));
    }

    /// Shows the bound addresses and their certificates on the status page.
    pub(super) fn show_listeners(&self) {
        let listeners = self.bound.iter();
        let listeners =
            listeners.map(|bound| BoundListener { address: bound.listener.address, tls: bound.tls.clone() });
        self.admin_state.listeners.store(Arc::new(listeners.collect()));
    }

    /// Presents certificates whose files have changed.
    pub(super) fn reload_certificates(&self) {
        for tls in self.bound.iter().filter_map(|bound| bound.tls.as_ref()) {
            for outcome in tls.reload_if_changed() {
                match &outcome.result {
                    Ok(info) => {
                        tracing::info!("{outcome}");
                        if let Some(warning) = info.warning(SystemTime::now()) {
                            tracing::warn!(names = info.names.join(","), warning, "certificate");
                        }
                    }
                    Err(_) => tracing::error!("{outcome}"),
                }
            }
        }
    }

    /// The addresses that this edge serves, with that of the admin listener.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let admin = self.admin_socket.as_ref().and_then(|socket| socket.local_addr().ok());
        self.bound.iter().map(|bound| bound.listener.address).chain(admin).collect()
    }

    /// Reacts to what a new edge does. Returns the addresses that it serves, once it has taken over.
    pub(super) fn offer(&self, event: Event) -> Option<Vec<SocketAddr>> {
        match event {
            Event::Asked(answer) => match self.sockets() {
                // The new edge may have gone; it will be noticed.
                Ok(sockets) => drop(answer.send(sockets)),
                Err(error) => tracing::error!(%error, "cannot give the sockets to a new edge"),
            },
            Event::Failed => self.bound.iter().for_each(Bound::keep),
            Event::Serves(addresses) => return Some(addresses),
        }
        None
    }

    /// Returns copies of all sockets for a new edge.
    fn sockets(&self) -> io::Result<Vec<(SocketAddr, TcpListener)>> {
        let mut sockets = Vec::new();
        for bound in &self.bound {
            sockets.extend(bound.offer()?);
        }
        if let Some(admin) = &self.admin_socket {
            sockets.push((admin.local_addr()?, admin.try_clone()?));
        }
        Ok(sockets)
    }

    /// Reports that this edge is about to drain, and accepts connections for as long as [`Config::drain_delay`], so that
    /// a load balancer can notice before they are refused. Meanwhile clients are told to connect anew, perhaps elsewhere:
    /// the fewer are left, the sooner the edge ends after it has closed its sockets. Returns the addresses of an edge
    /// that takes over meanwhile.
    pub(super) async fn announce_drain(&self, offer: &mut Option<Offer>) -> Option<Vec<SocketAddr>> {
        self.admin_state.draining.store(true, Relaxed);
        let delay = self.shared.snapshot.load().config.drain_delay;
        if !delay.is_zero() {
            tracing::info!(delay = %humantime::format_duration(delay), "not ready any more; the drain begins after the delay");
            self.workers.wind_down();
        }
        let end = Instant::now() + delay;
        let Some(offer) = offer else {
            sleep_until(end).await;
            return None;
        };
        while let Some(event) = offer.next_until(end).await {
            if let Some(addresses) = self.offer(event) {
                return Some(addresses);
            }
        }
        None
    }

    /// Leaves the sockets of these addresses to a successor that serves them, and drains.
    pub(super) async fn hand_over(mut self, addresses: &[SocketAddr], admin: Option<JoinHandle<()>>) {
        for bound in &mut self.bound {
            bound.hand_over(addresses);
            bound.close();
        }
        let Self { shared, manager: _manager, workers, log, admin_state, admin_end, admin_socket, .. } = self;
        // First of all the admin listener: a readiness that is asked for from now on is the successor's.
        drop((admin_socket, admin_end));
        tracing::info!("another edge serves now; this one finishes open requests");
        let longest = shared.snapshot.load().config.drain;
        let admin_ends = async {
            if let Some(admin) = admin {
                drop(timeout(ADMIN_END, admin).await);
            }
        };
        tokio::join!(workers.drain(longest), admin_ends);
        admin_state.draining.store(true, Relaxed);
        close(log);
    }

    /// Stops the workers; the edge ends with the last one.
    pub(super) async fn drain(mut self) {
        // The workers have sockets of their own, and nothing else may keep a port open.
        self.bound.iter_mut().for_each(Bound::close);
        let Self { shared, manager: _manager, workers, bound, inherited, log, admin_end, admin_socket, .. } = self;
        drop((inherited, admin_socket));
        let longest = shared.snapshot.load().config.drain;
        tracing::info!(drain = %humantime::format_duration(longest), "no more connections are accepted; open requests may finish");
        let hand_over = async {
            successor(&bound).await;
            tracing::info!("another process serves now; the status page, metrics and health are left to it");
            drop(admin_end);
            pending::<()>().await;
        };
        tokio::select! {
            () = workers.drain(longest) => {}
            () = hand_over => {}
        }
        close(log);
    }
}

/// Waits for the next event of an offer to new edges; for ever without one.
pub(super) async fn next(offer: &mut Option<Offer>) -> Event {
    match offer {
        Some(offer) => offer.next().await,
        None => pending().await,
    }
}

/// Writes the last lines of the access log.
fn close(log: AccessLog) {
    if let Err(error) = log.close(LOG_FLUSH) {
        tracing::warn!(%error, "the last lines of the access log are lost");
    }
}

/// Completes when this edge has closed its sockets and another process listens on one of their addresses.
async fn successor(bound: &[Bound]) {
    let mut look = interval(FIND_SUCCESSOR);
    loop {
        look.tick().await;
        if bound.iter().all(Bound::is_closed) && bound.iter().any(|bound| bound.listener.is_taken()) {
            return;
        }
    }
}
