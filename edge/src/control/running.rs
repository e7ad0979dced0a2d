//! A running edge as the control thread sees it: reloads, renewed certificates, drain.

use std::{
    convert::Infallible,
    future::pending,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, SystemTime},
};

use settings::address::overlap;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, interval},
};

use crate::{
    admin::{AdminState, BoundListener, EndpointOrder, Reload},
    config::Config,
    control::{
        bound::{Bound, tls},
        check::secrets,
        command::Command,
        inherited::Inherited,
        start_error::StartError,
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
    /// The admin listener ends when this is dropped.
    pub(super) admin_end: oneshot::Sender<Infallible>,
}

impl Running {
    /// Waits until every pool has a usable endpoint. Clients that connect in the meantime wait as well; otherwise, an
    /// edge that replaces another one under load would answer them with 503. The wait is limited, because a pool may
    /// stay empty, and a command ends it.
    pub(super) async fn find_endpoints(&self, commands: &mpsc::UnboundedReceiver<Command>) {
        let pools = self.shared.snapshot.load_full();
        let is_found = || pools.pools.iter().all(|pool| !pool.snapshot.load().usable().is_empty());
        let end = Instant::now() + FIND_ENDPOINTS;
        let mut look = interval(FIND_INTERVAL);
        while !is_found() && Instant::now() < end && commands.is_empty() && !commands.is_closed() {
            look.tick().await;
        }
    }

    /// Applies a configuration. Every step that can fail comes first, so that a failure changes nothing.
    pub(super) fn reload(&mut self, config: Config) -> Result<(), StartError> {
        let old = self.shared.snapshot.load_full();
        if config.workers != old.config.workers || config.admin != old.config.admin {
            tracing::warn!("changes of `workers` and `admin` take effect only after a restart");
        }
        secrets(&config)?;
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
        self.shared.snapshot.store(Arc::new(Snapshot::new(Arc::new(config), pools)));
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

    /// Stops the workers; the edge ends with the last one.
    pub(super) async fn drain(self) {
        let Self { shared, manager: _manager, workers, bound, inherited, log, admin_state, admin_end, .. } = self;
        admin_state.draining.store(true, Relaxed);
        // The workers have sockets of their own, and nothing else may keep a port open.
        drop(inherited);
        let longest = shared.snapshot.load().config.drain;
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
        if let Err(error) = log.close(LOG_FLUSH) {
            tracing::warn!(%error, "the last lines of the access log are lost");
        }
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
