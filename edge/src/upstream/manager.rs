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
    members::{Members, Moment},
    probe,
    resolver::Resolver,
    watch,
};
use crate::config::{self, Config, Dns, HealthCheck, Source};

/// Checks under way at one time, over all pools: a bound on what a start with many endpoints costs
/// this thread and the network.
const MAX_PROBES: usize = 128;

/// Keeps the pools of the configuration in force up to date.
#[derive(Debug)]
pub struct Manager {
    workers: usize,
    dns: Option<Dns>,
    pools: Vec<Running>,
    probes: Rc<Semaphore>,
}

/// One pool and its task, which dies with it.
#[derive(Debug)]
struct Running {
    /// The only strong reference: the tasks hold weak ones.
    members: Rc<RefCell<Members>>,
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
        Self { workers, dns: None, pools: Vec::new(), probes: Rc::new(Semaphore::new(MAX_PROBES)) }
    }

    /// Puts a configuration in force and returns its pools in their order, each with a snapshot that
    /// holds what is known already: fixed addresses at least.
    ///
    /// A pool that is the same as before keeps its handle. One with other settings, or with names to
    /// resolve when the settings of DNS are others, gets a new handle with the same counters, and the
    /// endpoints that stay are the same objects in the same state. A pool that is gone stops.
    ///
    /// To be called inside a [`LocalRuntime`](tokio::runtime::LocalRuntime) or a `LocalSet`; all tasks
    /// run there.
    pub fn apply(&mut self, config: &Config) -> Vec<Arc<PoolHandle>> {
        let dns_changed = self.dns.as_ref() != Some(&config.dns);
        self.dns = Some(config.dns.clone());
        let resolver = Rc::new(Resolver::new(config.dns.clone()));
        let mut before = mem::take(&mut self.pools);
        for pool in &config.pools {
            let same_name = |running: &Running| running.config().name == pool.name;
            let old = before.iter().position(same_name).map(|index| before.swap_remove(index));
            let running = match old {
                Some(old) if old.config() == *pool && !(dns_changed && has_names(pool)) => old,
                old => self.start(pool, old.as_ref(), &resolver),
            };
            self.pools.push(running);
        }
        self.pools.iter().map(|running| Arc::clone(running.members.borrow().handle())).collect()
    }

    fn start(&self, pool: &Arc<config::Pool>, old: Option<&Running>, resolver: &Rc<Resolver>) -> Running {
        let before = old.map(|old| old.members.borrow());
        let members = Members::new(pool, self.workers, before.as_deref(), Moment::now());
        let members = Rc::new(RefCell::new(members));
        let weak = Rc::downgrade(&members);
        let task = spawn_local(run(weak, Arc::clone(pool), Rc::clone(resolver), Rc::clone(&self.probes)));
        Running { members, task }
    }
}

impl Running {
    fn config(&self) -> Arc<config::Pool> {
        Arc::clone(&self.members.borrow().handle().config)
    }
}

fn has_names(pool: &config::Pool) -> bool {
    pool.sources.iter().any(|source| matches!(source, Source::Name { .. }))
}

/// The task of one pool: a task for each name, and one for each endpoint while it is in the pool.
async fn run(pool: Weak<RefCell<Members>>, config: Arc<config::Pool>, resolver: Rc<Resolver>, probes: Rc<Semaphore>) {
    let mut pollers = JoinSet::new();
    for (index, source) in config.sources.iter().enumerate() {
        let Source::Name { host, .. } = source else { continue };
        let (resolver, host) = (Rc::clone(&resolver), host.clone());
        let interval = resolver.interval();
        let question = async move || resolver.resolve(&host).await;
        pollers.spawn_local(watch::poll(Weak::clone(&pool), index, interval, question));
    }
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
                probe::probe(check, endpoint.address, &endpoint.source).await
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
