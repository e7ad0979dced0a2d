//! All pools of an edge: starts them, replaces them on a reload, stops them.
//!
//! Everything runs on the control thread. A pool's task owns the tasks that ask for its names and
//! check its endpoints, the [`Manager`] owns the pools' tasks: dropping it stops everything.

use std::{
    cell::RefCell,
    collections::HashMap,
    mem,
    rc::{Rc, Weak},
    sync::Arc,
};

use tokio::{
    sync::Semaphore,
    task::{AbortHandle, JoinHandle, JoinSet, spawn_local},
};

use super::{
    Endpoint, PoolHandle,
    discovery::{dns::Resolver, swarm::client::Client},
    health::{probe, watch},
    pool_state::{Moment, PoolState},
};
use crate::config::{self, Config, Dns, HealthCheck, Source, Swarm};

/// Checks under way at one time, over all pools: a bound on what a start with many endpoints costs
/// this thread and the network.
const MAX_PROBES: usize = 128;

/// Keeps the pools of the configuration in force up to date.
#[derive(Debug)]
pub struct Manager {
    workers: usize,
    /// How sources are looked up.
    looking_up: Option<(Dns, Swarm)>,
    pools: Vec<Running>,
    probes: Rc<Semaphore>,
}

/// One pool and its task, which dies with it.
#[derive(Debug)]
struct Running {
    /// The only strong reference: the tasks hold weak ones.
    members: Rc<RefCell<PoolState>>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Manager {
    /// A manager without pools. Endpoints count apart for each of `workers`.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self { workers, looking_up: None, pools: Vec::new(), probes: Rc::new(Semaphore::new(MAX_PROBES)) }
    }

    /// Puts a configuration in force and returns its pools in their order, each with a snapshot that
    /// holds what is known already: fixed addresses at least.
    ///
    /// A pool that is the same as before keeps its handle. One with other settings, or with sources to look
    /// up when the settings for that are others, gets a new handle with the same counters, and the
    /// endpoints that stay are the same objects in the same state. A pool that is gone stops.
    ///
    /// To be called inside a [`LocalRuntime`](tokio::runtime::LocalRuntime) or a `LocalSet`; all tasks
    /// run there.
    pub fn apply(&mut self, config: &Config) -> Vec<Arc<PoolHandle>> {
        let looking_up = Some((config.dns.clone(), config.swarm.clone()));
        let changed = self.looking_up != looking_up;
        self.looking_up = looking_up;
        let resolver = Rc::new(Resolver::new(config.dns.clone()));
        let mut before = mem::take(&mut self.pools);
        for pool in &config.pools {
            let same_name = |running: &Running| running.config().name == pool.name;
            let old = before.iter().position(same_name).map(|index| before.swap_remove(index));
            let running = match old {
                Some(old) if old.config() == *pool && !(changed && looks_up(pool)) => old,
                old => self.start(pool, old.as_ref(), &resolver, &config.swarm),
            };
            self.pools.push(running);
        }
        self.pools.iter().map(|running| Arc::clone(running.members.borrow().handle())).collect()
    }

    fn start(
        &self,
        pool: &Arc<config::Pool>,
        old: Option<&Running>,
        resolver: &Rc<Resolver>,
        swarm: &Swarm,
    ) -> Running {
        let before = old.map(|old| old.members.borrow());
        let members = PoolState::new(pool, self.workers, before.as_deref(), Moment::now());
        let members = Rc::new(RefCell::new(members));
        let weak = Rc::downgrade(&members);
        let look_ups = look_ups(&weak, pool, resolver, swarm);
        let task = spawn_local(run(weak, Arc::clone(pool), look_ups, Rc::clone(&self.probes)));
        Running { members, task }
    }
}

impl Running {
    fn config(&self) -> Arc<config::Pool> {
        Arc::clone(&self.members.borrow().handle().config)
    }
}

fn looks_up(pool: &config::Pool) -> bool {
    pool.sources.iter().any(Source::is_looked_up)
}

/// A task for each source of a pool that has no address of its own.
fn look_ups(
    pool: &Weak<RefCell<PoolState>>,
    config: &config::Pool,
    resolver: &Rc<Resolver>,
    swarm: &Swarm,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (index, source) in config.sources.iter().enumerate() {
        let (pool, resolver) = (Weak::clone(pool), Rc::clone(resolver));
        match source {
            Source::Address(_) => {}
            Source::Name { host, .. } => {
                let host = host.clone();
                let interval = resolver.interval();
                let question = async move || resolver.resolve(&host).await;
                tasks.spawn_local(watch::poll(pool, index, interval, question));
            }
            Source::Swarm { host, host_port, .. } => {
                let mut client = Client::new(resolver, host, *host_port, swarm.token_file.clone());
                tasks.spawn_local(watch::follow(pool, index, async move || client.ask().await));
            }
        }
    }
    tasks
}

/// The task of one pool: `_look_ups`, which end with it, and a task for each endpoint while it is in the pool.
async fn run(pool: Weak<RefCell<PoolState>>, config: Arc<config::Pool>, _look_ups: JoinSet<()>, probes: Rc<Semaphore>) {
    let mut watches = Watches::default();
    loop {
        let Some((endpoints, changed)) =
            pool.upgrade().map(|pool| (pool.borrow().endpoints(), pool.borrow().changed()))
        else {
            return;
        };
        watches.keep(&endpoints, |endpoint| {
            let probes = Rc::clone(&probes);
            let probe = async move |check: &HealthCheck, endpoint: &Endpoint| {
                // Never closed, so a permit always comes; without one the check is still worth making.
                let _permit = probes.acquire().await.ok();
                probe::probe(check, endpoint.address, &endpoint.authority()).await
            };
            watch::watch(Weak::clone(&pool), endpoint, config.health.clone(), probe)
        });
        changed.notified().await;
    }
}

/// The tasks of a pool's endpoints, by id; dropping them stops them.
#[derive(Default)]
struct Watches {
    tasks: JoinSet<()>,
    running: HashMap<u64, AbortHandle>,
}

impl Watches {
    /// Starts a task for each endpoint that has none, and stops those of endpoints that are gone.
    fn keep<F: Future<Output = ()> + 'static>(
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
        for gone in before.into_values() {
            gone.abort();
        }
        // Tasks that came to an end since the last time.
        while self.tasks.try_join_next().is_some() {}
    }
}
