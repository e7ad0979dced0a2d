//! Starts the pools of an edge, replaces them on a reload and stops them.
//!
//! All of it runs on the control thread. A pool's task owns the tasks that look up its sources and check its endpoints;
//! the [`Manager`] owns the pools' tasks, so dropping it stops everything.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    mem,
    net::SocketAddr,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use rustls::pki_types::CertificateDer;
use tokio::{
    task::{AbortHandle, JoinHandle, JoinSet, spawn_local},
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    discovery::{
        dns::Resolvers,
        file,
        poll::{follow, poll},
        srv,
        swarm::client::Client,
    },
    endpoint::Endpoint,
    health::{
        Health,
        permits::ProbePermits,
        probe::{self, Failure, Tls, authorities},
        watch::watch,
    },
    order::Order,
    pool_state::{PoolState, Timestamp, WatchedEndpoint, with},
    snapshot::PoolHandle,
    traffic::LastRequest,
};
use crate::config::{self, Config, Dns, Expect, HealthCheck, Source, Swarm};

/// The interval between two comparisons of the endpoints' statuses, and between two steps of a slow start. An endpoint
/// that only gives errors is ejected after ten of them, or after those of this time.
const TICK: Duration = Duration::from_millis(250);

/// The interval between two looks at what workers decided.
const NOTICES: Duration = Duration::from_secs(1);

/// Keeps the pools of the current configuration up to date.
#[derive(Debug)]
pub struct Manager {
    workers: usize,
    /// The settings for lookups of the current configuration.
    lookup_settings: Option<(Dns, BTreeMap<String, Dns>, Swarm)>,
    pools: Vec<RunningPool>,
}

/// What an order of the operator names, but does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// The pool.
    Pool,
    /// The endpoint.
    Endpoint,
}

/// One pool and its task. Dropping it stops the task.
#[derive(Debug)]
struct RunningPool {
    /// The only strong reference: the tasks hold weak ones.
    state: Rc<RefCell<PoolState>>,
    /// The authorities that its checks trust, as their file was when the pool started.
    authorities: Authorities,
    task: JoinHandle<()>,
}

/// The certificates in the file of a pool's checks, or why there are none.
type Authorities = Result<Vec<CertificateDer<'static>>, String>;

impl Drop for RunningPool {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Manager {
    /// Creates a manager without pools. Endpoints have separate counters for each of `workers`.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self { workers, lookup_settings: None, pools: Vec::new() }
    }

    /// Applies a configuration and returns its pools in order, each with a snapshot of the endpoints known so far: at
    /// least the fixed addresses.
    ///
    /// An unchanged pool keeps its handle. A pool with other settings, with other authorities in the file of its checks,
    /// or with sources to look up when the settings for lookups changed, gets a new handle with the same counters;
    /// endpoints that stay are the same objects in the same state. A pool that is no longer configured stops.
    ///
    /// Must be called inside a [`LocalRuntime`](tokio::runtime::LocalRuntime) or a `LocalSet`; all tasks run there.
    pub fn apply(&mut self, config: &Config) -> Vec<Arc<PoolHandle>> {
        let lookup_settings = Some((config.dns.clone(), config.resolvers.clone(), config.swarm.clone()));
        let changed = self.lookup_settings != lookup_settings;
        self.lookup_settings = lookup_settings;
        let resolvers = Resolvers::new(config);
        let mut before = mem::take(&mut self.pools);
        for pool in &config.pools {
            let same_name = |running: &RunningPool| running.config().name == pool.name;
            let trusted = pool.health.as_ref().map_or_else(|| Ok(Vec::new()), authorities);
            let trusted = trusted.map_err(|error| error.to_string());
            let old = before.iter().position(same_name).map(|index| before.swap_remove(index));
            let running = match old {
                Some(old) if old.config() == *pool && !(changed && has_lookups(pool)) && old.trusts(&trusted) => old,
                old => self.start(pool, old.as_ref(), &resolvers, &config.swarm, trusted),
            };
            self.pools.push(running);
        }
        self.pools.iter().map(|running| Arc::clone(running.state.borrow().handle())).collect()
    }

    /// Applies an order of the operator to an endpoint, and returns the previous order. `client` is the operator's
    /// address, for the log.
    ///
    /// # Errors
    /// There is no such pool, or it has no such endpoint.
    pub fn order(
        &self,
        pool: &str,
        endpoint: SocketAddr,
        order: Order,
        client: Option<SocketAddr>,
    ) -> Result<Order, NotFound> {
        let mut states = self.pools.iter().map(|running| &running.state);
        let state = states.find(|state| state.borrow().handle().config.name == pool).ok_or(NotFound::Pool)?;
        state.borrow_mut().order(endpoint, order, client, Timestamp::now()).ok_or(NotFound::Endpoint)
    }

    fn start(
        &self,
        pool: &Arc<config::Pool>,
        old: Option<&RunningPool>,
        resolvers: &Resolvers,
        swarm: &Swarm,
        authorities: Authorities,
    ) -> RunningPool {
        let before = old.map(|old| old.state.borrow());
        let state = PoolState::new(pool, self.workers, before.as_deref(), Timestamp::now());
        let state = Rc::new(RefCell::new(state));
        let weak = Rc::downgrade(&state);
        let lookups = lookups(&weak, pool, resolvers, swarm);
        let last_request = LastRequest::new(Arc::clone(&state.borrow().handle().traffic), Instant::now());
        let task = spawn_local(run(weak, Arc::clone(pool), lookups, tls(pool, &authorities), last_request));
        RunningPool { state, authorities, task }
    }
}

impl RunningPool {
    fn config(&self) -> Arc<config::Pool> {
        Arc::clone(&self.state.borrow().handle().config)
    }

    /// Whether its checks trust these authorities. If their file is unusable, those from before stay.
    fn trusts(&self, authorities: &Authorities) -> bool {
        authorities.is_err() || self.authorities == *authorities
    }
}

/// Prepares the TLS handshakes of a pool's checks; `None` if they make none.
///
/// # Errors
/// Why they cannot make any.
fn tls(pool: &config::Pool, authorities: &Authorities) -> Result<Option<Tls>, String> {
    let Some(check) = &pool.health else { return Ok(None) };
    let listed = authorities.as_ref().map_err(String::clone)?;
    Tls::new(check, listed).map_err(|error| error.to_string())
}

fn has_lookups(pool: &config::Pool) -> bool {
    pool.sources.iter().any(Source::is_looked_up)
}

/// Starts a task for each source of a pool that is looked up. The tasks hold the pool weakly: once it is dropped,
/// nothing writes to it any more.
fn lookups(
    pool: &Weak<RefCell<PoolState>>,
    config: &config::Pool,
    resolvers: &Resolvers,
    swarm: &Swarm,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (index, source) in config.sources.iter().enumerate() {
        let pool = Weak::clone(pool);
        let resolver = resolvers.of(config.discovery.resolver_of(source));
        let interval = config.discovery.interval.unwrap_or_else(|| resolver.interval());
        let apply_listing = |pool: Weak<RefCell<PoolState>>| {
            move |answer: &_| with(&pool, |pool| pool.apply_listing(index, answer, Timestamp::now()))
        };
        match source {
            Source::Address(_) => {}
            Source::Name { host, .. } => {
                let host = host.clone();
                let query = async move || resolver.resolve(&host).await;
                let apply = move |answer: &_| with(&pool, |pool| pool.apply_answer(index, answer, Timestamp::now()));
                tasks.spawn_local(poll(interval, query, apply));
            }
            Source::Services { name } => {
                let mut client = srv::client::Client::new(resolver, name);
                let query = async move || client.query().await;
                tasks.spawn_local(poll(interval, query, apply_listing(pool)));
            }
            Source::File(path) => {
                let mut client = file::client::Client::new(path);
                let query = async move || (client.query().await, None);
                tasks.spawn_local(poll(interval, query, apply_listing(pool)));
            }
            Source::Swarm { host, host_port, .. } => {
                let mut client = Client::new(resolver, host, *host_port, swarm.token_file.clone());
                let query = async move || client.query().await;
                let apply = move |answer: &_| with(&pool, |pool| pool.apply_nodes(index, answer, Timestamp::now()));
                tasks.spawn_local(follow(query, apply));
            }
        }
    }
    tasks
}

/// Runs one pool: `_lookups`, which end with it, and one task per endpoint while it is in the pool and not in
/// maintenance. Its checks make their handshakes with `tls`.
async fn run(
    pool: Weak<RefCell<PoolState>>,
    config: Arc<config::Pool>,
    _lookups: JoinSet<()>,
    tls: Result<Option<Tls>, String>,
    last_request: LastRequest,
) {
    let permits = Rc::new(ProbePermits::default());
    let (tls, last_request) = (Rc::new(tls), Rc::new(last_request));
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let has_ticks = (config.ejection.is_by_status() && !config.mesh) || config.slow_start.is_some();
    let mut notices = interval(NOTICES);
    notices.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tasks = EndpointTasks::default();
    loop {
        let Some((endpoints, changed)) = with(&pool, |pool| (pool.watched(), pool.changed())) else { return };
        tasks.sync(&endpoints, |endpoint| {
            let (permits, tls, last_request) = (Rc::clone(&permits), Rc::clone(&tls), Rc::clone(&last_request));
            let probe = async move |check: &HealthCheck, endpoint: &Endpoint, health: &Health| {
                let tls = tls.as_ref().as_ref().map_err(|error| Failure::NoTls(error.clone()))?;
                let _permit = permits.acquire(health).await;
                probe::probe(check, tls.as_ref(), endpoint.address, &endpoint.authority()).await
            };
            let mut check = config.health.clone();
            if let Some(check) = check.as_mut().filter(|_| config.mesh) {
                // The response is that of some replica, and says nothing about the node.
                (check.expect, check.body) = (Expect::Any, None);
            }
            let observer = WatchedEndpoint::new(Weak::clone(&pool), Arc::clone(&endpoint));
            async move { watch(&endpoint, check, probe, observer, &last_request).await }
        });
        loop {
            tokio::select! {
                () = changed.notified() => break,
                _ = notices.tick() => if with(&pool, PoolState::notice).is_none() { return },
                _ = ticks.tick(), if has_ticks => {
                    if with(&pool, |pool| pool.tick(Timestamp::now())).is_none() {
                        return;
                    }
                }
            }
        }
    }
}

/// The tasks of a pool's endpoints, by id. Dropping it stops them.
#[derive(Default)]
struct EndpointTasks {
    tasks: JoinSet<()>,
    running: HashMap<u64, AbortHandle>,
}

impl EndpointTasks {
    /// Starts a task for each endpoint without one, and stops the tasks of the others.
    fn sync<F: Future<Output = ()> + 'static>(
        &mut self,
        endpoints: &[Arc<Endpoint>],
        task: impl Fn(Arc<Endpoint>) -> F,
    ) {
        let mut before = mem::take(&mut self.running);
        for endpoint in endpoints {
            let running = before.remove(&endpoint.id);
            let running = running.unwrap_or_else(|| self.tasks.spawn_local(task(Arc::clone(endpoint))));
            self.running.insert(endpoint.id, running);
        }
        for removed in before.into_values() {
            removed.abort();
        }
        // Reap tasks that have ended.
        while self.tasks.try_join_next().is_some() {}
    }
}
