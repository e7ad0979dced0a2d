//! The tasks that keep one pool's knowledge up to date: when to ask, when to check.
//!
//! [`poll`] asks for a name again and again, [`follow`] for the nodes of a swarm, [`watch`] looks after one endpoint. Both are given what
//! does the asking or checking, so that their timing is tested without a socket, and both end by
//! themselves when their pool or endpoint is gone: they hold the pool weakly, so a replaced pool can no
//! longer be written to from the moment it is dropped.

use std::{
    cell::RefCell,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};

use super::{Health, probe::Outcome};
use crate::config::HealthCheck;
use crate::upstream::{
    Endpoint,
    discovery::{
        self, Answer,
        swarm::{self, Nodes},
    },
    pool_state::{Moment, PoolState},
};

/// Asks for the source at `index` of the configuration, for as long as the pool lives. A question must
/// come to an end by itself.
pub(crate) async fn poll(
    pool: Weak<RefCell<PoolState>>,
    index: usize,
    interval: Duration,
    question: impl AsyncFn() -> Answer,
) {
    loop {
        let answer = question().await;
        let Some(pool) = pool.upgrade() else { return };
        pool.borrow_mut().answered(index, &answer, Moment::now());
        drop(pool);
        sleep(discovery::pause(interval, fastrand::f64())).await;
    }
}

/// Asks for the nodes of the swarm that is the source at `index` of the configuration, for as long as the pool
/// lives. A question may be held for a while by whom it is put to, but must come to an end by itself.
pub(crate) async fn follow(
    pool: Weak<RefCell<PoolState>>,
    index: usize,
    mut question: impl AsyncFnMut() -> Result<Nodes, String>,
) {
    let mut failures = 0_u32;
    loop {
        let began = Instant::now();
        let answer = question().await;
        failures = if answer.is_ok() { 0 } else { failures.saturating_add(1) };
        let Some(pool) = pool.upgrade() else { return };
        pool.borrow_mut().listed(index, &answer, Moment::now());
        drop(pool);
        sleep(swarm::pause(failures, began.elapsed(), fastrand::f64())).await;
    }
}

/// Checks an endpoint and ejects it when real requests fail, for as long as it is in the pool. A probe
/// must come to an end by itself.
pub(crate) async fn watch(
    pool: Weak<RefCell<PoolState>>,
    endpoint: Arc<Endpoint>,
    check: Option<HealthCheck>,
    probe: impl AsyncFn(&HealthCheck, &Endpoint) -> Outcome,
) {
    // A failed request is a reason to check at once, also while a check is under way.
    let hurry = Notify::new();
    tokio::join!(judge_requests(&pool, &endpoint, &hurry), async {
        if let Some(check) = &check {
            check_again_and_again(&pool, &endpoint, check, &hurry, probe).await;
        }
    });
}

async fn judge_requests(pool: &Weak<RefCell<PoolState>>, endpoint: &Endpoint, hurry: &Notify) {
    while let Some(until) = with(pool, |members| members.ejected_until(endpoint)) {
        let served = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let judged = tokio::select! {
            () = endpoint.alarmed() => with(pool, |members| {
                members.failed(endpoint, Moment::now());
                Some(())
            }),
            () = served => with(pool, |members| {
                members.served(endpoint, Moment::now());
                Some(())
            }),
        };
        if judged.is_none() {
            return;
        }
        hurry.notify_one();
    }
}

async fn check_again_and_again(
    pool: &Weak<RefCell<PoolState>>,
    endpoint: &Endpoint,
    check: &HealthCheck,
    hurry: &Notify,
    probe: impl AsyncFn(&HealthCheck, &Endpoint) -> Outcome,
) {
    let Some(health) = with(pool, |members| members.health(endpoint)) else { return };
    let mut due = Instant::now() + first_pause(check, &health, fastrand::f64());
    let mut first = health == Health::unchecked();
    let mut last = None;
    loop {
        tokio::select! {
            () = sleep_until(due) => {}
            () = hurry.notified() => {
                let soonest = last.map_or_else(Instant::now, |last: Instant| last + check.fast_interval);
                sleep_until(due.min(soonest)).await;
            }
        }
        let outcome = probe(check, endpoint).await;
        let now = Moment::now();
        let Some(health) = with(pool, |members| members.checked(endpoint, &outcome, now)) else { return };
        let pause =
            if first { super::spread(check, fastrand::f64()) } else { super::pause(check, &health, fastrand::f64()) };
        (due, last, first) = (now.tick + pause, Some(now.tick), false);
    }
}

/// At once for an endpoint that nothing is known of; later for one that a reload kept.
fn first_pause(check: &HealthCheck, health: &Health, chance: f64) -> Duration {
    if health.changing() { Duration::ZERO } else { super::spread(check, chance) }
}

/// Calls into the pool if it still exists; no borrow outlives the call.
fn with<T>(pool: &Weak<RefCell<PoolState>>, call: impl FnOnce(&mut PoolState) -> Option<T>) -> Option<T> {
    let pool: Rc<_> = pool.upgrade()?;
    let mut members = pool.borrow_mut();
    call(&mut members)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::task::{JoinHandle, LocalSet, spawn_local};

    use super::*;
    use crate::{
        config::Pool,
        upstream::{
            EndpointState,
            discovery::Failure,
            health::tests::check,
            pool_state::tests::{bad, good, members, pool},
        },
    };

    /// A pool of two whose first endpoint is watched.
    struct Bench {
        pool: Rc<RefCell<PoolState>>,
        endpoint: Arc<Endpoint>,
        /// Whether probes pass.
        passes: Rc<Cell<bool>>,
        /// When probes were made, since the start.
        probes: Rc<RefCell<Vec<Duration>>>,
        started: Instant,
        task: JoinHandle<()>,
    }

    impl Bench {
        fn start(settings: &Arc<Pool>) -> Self {
            let pool = Rc::new(RefCell::new(members(settings)));
            let endpoint = pool.borrow().endpoints().swap_remove(0);
            let (passes, probes, started) = (Rc::new(Cell::new(true)), Rc::default(), Instant::now());
            let (its_passes, its_probes) = (Rc::clone(&passes), Rc::clone(&probes));
            let probe = async move |_: &HealthCheck, _: &Endpoint| {
                let probes: &RefCell<Vec<Duration>> = &its_probes;
                probes.borrow_mut().push(started.elapsed());
                if its_passes.get() { good() } else { bad() }
            };
            let watching = watch(Rc::downgrade(&pool), Arc::clone(&endpoint), settings.health.clone(), probe);
            let task = spawn_local(watching);
            Self { pool, endpoint, passes, probes, started, task }
        }

        fn state(&self) -> EndpointState {
            self.endpoint.status().state
        }

        /// Lets time pass until the endpoint is in `state`, and returns how much that was.
        async fn until(&self, state: EndpointState) -> Duration {
            let began = Instant::now();
            while self.state() != state {
                assert!(began.elapsed() < Duration::from_secs(600), "still {:?}", self.state());
                sleep(Duration::from_millis(1)).await;
            }
            began.elapsed()
        }

        fn probes_since(&self, since: Duration) -> Vec<Duration> {
            self.probes.borrow().iter().copied().filter(|at| *at >= since).collect()
        }
    }

    fn two(health: Option<HealthCheck>) -> Arc<Pool> {
        pool(&["10.0.0.1:80", "10.0.0.2:80"], health)
    }

    async fn local(test: impl Future<Output = ()>) {
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_check_is_made_at_once_and_decides() {
        local(async {
            let bench = Bench::start(&two(Some(check(2, 3))));
            assert!(bench.until(EndpointState::Healthy).await <= Duration::from_millis(1));
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn checks_come_at_the_interval_and_faster_while_the_state_changes() {
        local(async {
            let check = check(2, 3);
            let bench = Bench::start(&two(Some(check.clone())));
            bench.until(EndpointState::Healthy).await;
            sleep(Duration::from_secs(20)).await;
            let probes = bench.probes_since(Duration::from_millis(1));
            for pair in probes.windows(2) {
                let pause = (pair[1] - pair[0]).as_millis();
                assert!((1799..=2202).contains(&pause), "{probes:?}");
            }
            bench.passes.set(false);
            let since = bench.started.elapsed();
            bench.until(EndpointState::Unhealthy).await;
            let failed = bench.probes_since(since);
            assert_eq!(failed.len(), 3);
            assert_eq!((failed[2] - failed[0]).as_millis() / 10, check.fast_interval.as_millis() * 2 / 10);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn failed_requests_bring_checks_forward_but_no_closer_than_the_fast_interval() {
        local(async {
            let check = HealthCheck { interval: Duration::from_secs(3600), ..check(2, 1) };
            let bench = Bench::start(&two(Some(check.clone())));
            bench.until(EndpointState::Healthy).await;
            bench.passes.set(false);
            let since = bench.started.elapsed();
            bench.endpoint.failed();
            let took = bench.until(EndpointState::Unhealthy).await;
            assert!(took <= check.fast_interval + Duration::from_millis(2), "{took:?}");
            for _ in 0..1000 {
                bench.endpoint.failed();
                sleep(Duration::from_millis(2)).await;
            }
            let probes = bench.probes_since(since);
            assert!(probes.len() >= 4);
            for pair in probes.windows(2) {
                assert!(pair[1] - pair[0] >= check.fast_interval, "{probes:?}");
            }
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_ejected_endpoint_comes_back_when_its_time_is_over() {
        for health in [None, Some(check(2, 3))] {
            local(async {
                let bench = Bench::start(&two(health.clone()));
                let other = Arc::clone(&bench.pool.borrow().endpoints()[1]);
                bench.pool.borrow_mut().checked(&other, &good(), Moment::now());
                bench.until(EndpointState::Healthy).await;
                for _ in 0..5 {
                    bench.endpoint.failed();
                }
                bench.until(EndpointState::Ejected).await;
                let took = bench.until(EndpointState::Healthy).await;
                let most = Duration::from_secs(5) + Duration::from_millis(502);
                assert!(took >= Duration::from_millis(4998) && took <= most, "{took:?} with {health:?}");
            })
            .await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_tasks_end_when_the_pool_is_gone() {
        local(async {
            let Bench { pool, endpoint, task, .. } = Bench::start(&two(Some(check(2, 3))));
            let polling = poll(Rc::downgrade(&pool), 0, Duration::from_secs(1), async || Answer {
                v4: Err(Failure::NoSuchName),
                v6: Err(Failure::NoSuchName),
            });
            let polling = spawn_local(polling);
            sleep(Duration::from_secs(5)).await;
            drop(pool);
            endpoint.failed();
            tokio::time::timeout(Duration::from_secs(10), async { tokio::join!(task, polling) })
                .await
                .unwrap()
                .0
                .unwrap();
        })
        .await;
    }

    /// Follows a swarm for ten minutes. `question` is given its number, from 0. Returns when each was asked.
    async fn followed(question: impl AsyncFn(usize) -> Result<Nodes, String> + 'static) -> Vec<Duration> {
        let pool = Rc::new(RefCell::new(members(&pool(&["swarm"], None))));
        let (asked, started) = (Rc::new(RefCell::new(Vec::new())), Instant::now());
        let its_asked = Rc::clone(&asked);
        let question = async move || {
            let asked: &RefCell<Vec<Duration>> = &its_asked;
            let number = asked.borrow().len();
            asked.borrow_mut().push(started.elapsed());
            question(number).await
        };
        let following = spawn_local(follow(Rc::downgrade(&pool), 0, question));
        sleep(Duration::from_secs(600)).await;
        drop(pool);
        following.abort();
        asked.take()
    }

    fn nodes() -> Result<Nodes, String> {
        Ok(Nodes { known: discovery::Known::of([[10, 0, 0, 1].into()]), complaint: None })
    }

    #[tokio::test(start_paused = true)]
    async fn a_swarm_is_asked_again_as_soon_as_it_has_answered_but_not_over_and_over() {
        local(async {
            let held = followed(async |_| {
                sleep(Duration::from_secs(5)).await;
                nodes()
            });
            let held = held.await;
            assert!(held.windows(2).all(|pair| (pair[1] - pair[0]).as_secs() == 5), "{held:?}");
            let at_once = followed(async |_| nodes()).await;
            assert!((1400..=1600).contains(&at_once.len()), "{}", at_once.len());
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_swarm_that_nobody_knows_is_asked_for_less_often_until_somebody_does() {
        local(async {
            let asked = followed(async |number| if number == 8 { nodes() } else { Err("gone".to_owned()) }).await;
            let pauses: Vec<_> = asked.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
            for (number, most) in [(0, 500), (1, 1000), (2, 2000), (3, 4000), (7, 4000), (9, 500), (12, 4000)] {
                assert!((most / 2..=most + 1).contains(&pauses[number]), "{number}: {pauses:?}");
            }
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_asked_again_after_the_interval_whether_it_was_answered_or_not() {
        local(async {
            let pool = Rc::new(RefCell::new(members(&pool(&["web"], None))));
            let asked = Rc::new(Cell::new(0_usize));
            let counter = Rc::clone(&asked);
            let question = async move || {
                counter.set(counter.get() + 1);
                let even = counter.get().is_multiple_of(2);
                let v4 = if even { Ok(vec![[10, 0, 0, 1].into()]) } else { Err(Failure::NoSuchName) };
                Answer { v4, v6: Ok(Vec::new()) }
            };
            spawn_local(poll(Rc::downgrade(&pool), 0, Duration::from_secs(1), question));
            sleep(Duration::from_secs(100)).await;
            assert!((90..=112).contains(&asked.get()), "{}", asked.get());
            assert_eq!(pool.borrow().endpoints().len(), 1);
        })
        .await;
    }
}
