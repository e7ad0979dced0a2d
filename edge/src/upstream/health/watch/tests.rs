use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use tokio::{
    task::{JoinHandle, LocalSet, spawn_local},
    time::sleep,
};

use super::*;
use crate::{
    config::Pool,
    upstream::{
        EndpointState,
        health::state::tests::check,
        pool_state::{
            PoolState, Timestamp, WatchedEndpoint,
            tests::{bad, good, pool_state, settings},
        },
        probation::Admission,
        trial::Trial,
    },
};

/// How probes fail after their timeout, if they do.
type Silence = Option<fn(Duration) -> Failure>;

/// A pool of two endpoints; the first one is watched.
struct Bench {
    pool: Rc<RefCell<PoolState>>,
    endpoint: Arc<Endpoint>,
    /// Whether probes pass.
    passes: Rc<Cell<bool>>,
    /// Makes probes take their whole timeout and fail.
    silence: Rc<Cell<Silence>>,
    /// The time of each probe since the start.
    probes: Rc<RefCell<Vec<Duration>>>,
    started: Instant,
    task: JoinHandle<()>,
}

impl Bench {
    fn start(settings: &Arc<Pool>) -> Self {
        let pool = Rc::new(RefCell::new(pool_state(settings)));
        let endpoint = pool.borrow().endpoints().swap_remove(0);
        let (passes, probes, started) = (Rc::new(Cell::new(true)), Rc::default(), Instant::now());
        let silence = Rc::new(Cell::new(Silence::None));
        let (its_passes, its_probes, its_silence) = (Rc::clone(&passes), Rc::clone(&probes), Rc::clone(&silence));
        let probe = async move |check: &HealthCheck, _: &Endpoint, _: &Health| {
            let probes: &RefCell<Vec<Duration>> = &its_probes;
            probes.borrow_mut().push(started.elapsed());
            if let Some(failure) = its_silence.get() {
                sleep(check.timeout).await;
                return Err(failure(check.timeout));
            }
            if its_passes.get() { good() } else { bad() }
        };
        let (watched, check) = (Arc::clone(&endpoint), settings.health.clone());
        let observer = WatchedEndpoint::new(Rc::downgrade(&pool), Arc::clone(&endpoint));
        let last_request = LastRequest::new(Arc::clone(&pool.borrow().handle().traffic), started);
        let task = spawn_local(async move { watch(&watched, check, probe, observer, &last_request).await });
        Self { pool, endpoint, passes, silence, probes, started, task }
    }

    fn state(&self) -> EndpointState {
        self.endpoint.status().state
    }

    /// Waits until the endpoint is in `state` and returns how long that took.
    async fn until(&self, state: EndpointState) -> Duration {
        let started = Instant::now();
        while self.state() != state {
            assert!(started.elapsed() < Duration::from_secs(600), "still {:?}", self.state());
            sleep(Duration::from_millis(1)).await;
        }
        started.elapsed()
    }

    fn probes_since(&self, since: Duration) -> Vec<Duration> {
        self.probes.borrow().iter().copied().filter(|at| *at >= since).collect()
    }
}

fn two(health: Option<HealthCheck>) -> Arc<Pool> {
    settings(&["10.0.0.1:80", "10.0.0.2:80"], health)
}

async fn local(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn first_check_runs_at_once_and_decides() {
    local(async {
        let bench = Bench::start(&two(Some(check(2, 3))));
        assert!(bench.until(EndpointState::Healthy).await <= Duration::from_millis(1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn checks_run_at_the_interval_and_faster_while_the_state_changes() {
    local(async {
        let check = check(2, 3);
        let bench = Bench::start(&two(Some(check.clone())));
        bench.until(EndpointState::Healthy).await;
        sleep(Duration::from_secs(20)).await;
        let probes = bench.probes_since(Duration::from_millis(1));
        for pair in probes.windows(2) {
            let delay = (pair[1] - pair[0]).as_millis();
            assert!((1799..=2202).contains(&delay), "{probes:?}");
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

fn rarely_if_idle() -> HealthCheck {
    HealthCheck { idle_interval: Some(Duration::from_secs(60)), ..check(2, 3) }
}

#[tokio::test(start_paused = true)]
async fn checks_are_rare_once_the_pool_has_had_no_request_for_that_long() {
    local(async {
        let bench = Bench::start(&two(Some(rarely_if_idle())));
        sleep(Duration::from_secs(55)).await;
        assert!(bench.probes.borrow().len() >= 25, "a new pool is not idle");
        sleep(Duration::from_secs(10)).await;
        let since = bench.started.elapsed();
        sleep(Duration::from_secs(600)).await;
        let probes = bench.probes_since(since);
        assert!((9..=11).contains(&probes.len()), "{probes:?}");
        for pair in probes.windows(2) {
            let delay = (pair[1] - pair[0]).as_millis();
            assert!((53_999..=66_002).contains(&delay), "{probes:?}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_first_request_brings_the_interval_back_at_once() {
    local(async {
        let bench = Bench::start(&two(Some(rarely_if_idle())));
        let traffic = Arc::clone(&bench.pool.borrow().handle().traffic);
        for _ in 0..3 {
            sleep(Duration::from_secs(200)).await;
            // So that the last check is longer ago than the interval.
            let checked = bench.probes.borrow().len();
            while bench.probes.borrow().len() == checked {
                sleep(Duration::from_secs(1)).await;
            }
            sleep(Duration::from_secs(5)).await;
            assert!(traffic.is_quiet());
            let since = bench.started.elapsed();
            traffic.note();
            assert!(!traffic.is_quiet());
            sleep(Duration::from_millis(1)).await;
            assert_eq!(bench.probes_since(since).len(), 1);
            // More requests are no reason for more checks.
            for _ in 0..200 {
                traffic.note();
                sleep(Duration::from_millis(100)).await;
            }
            assert!((9..=12).contains(&bench.probes_since(since).len()), "{:?}", bench.probes_since(since));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_pool_is_checked_fast_while_its_state_changes() {
    local(async {
        let bench = Bench::start(&two(Some(rarely_if_idle())));
        sleep(Duration::from_secs(300)).await;
        bench.passes.set(false);
        let took = bench.until(EndpointState::Unhealthy).await;
        assert!(took <= Duration::from_secs(68), "{took:?}");
        let failed = bench.probes.borrow().iter().rev().take(3).copied().collect::<Vec<_>>();
        assert!(failed[0] - failed[2] <= Duration::from_millis(1002), "{failed:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_works_on_a_request_is_checked_at_the_interval() {
    local(async {
        let bench = Bench::start(&two(Some(rarely_if_idle())));
        bench.endpoint.stats.of(0).in_flight.add(1);
        sleep(Duration::from_secs(300)).await;
        let since = bench.started.elapsed();
        sleep(Duration::from_secs(60)).await;
        assert!(bench.probes_since(since).len() >= 25);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn failed_requests_trigger_checks_no_closer_than_the_fast_interval() {
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

/// Does what requests do that wait for a response for `time`: they say so every 250 ms.
async fn wait_for_response(endpoint: &Endpoint, time: Duration) {
    for _ in 0..time.as_millis() / 250 {
        endpoint.note_overdue();
        sleep(Duration::from_millis(250)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_hurry_one_check_per_interval() {
    local(async {
        let check = HealthCheck { interval: Duration::from_secs(10), ..check(2, 3) };
        let bench = Bench::start(&two(Some(check.clone())));
        bench.until(EndpointState::Healthy).await;
        // The first interval is a random part of one.
        sleep(check.interval).await;
        let since = bench.started.elapsed();
        bench.endpoint.note_overdue();
        sleep(check.fast_interval).await;
        assert!(!bench.probes_since(since).is_empty());
        let (since, time) = (bench.started.elapsed(), 50 * check.interval);
        wait_for_response(&bench.endpoint, time).await;
        let probes = bench.probes_since(since).len();
        // The regular ones, and as many that were hurried.
        assert!((45..=2 * 56).contains(&probes), "{probes}");
        assert_eq!(bench.state(), EndpointState::Healthy);
    })
    .await;
}

/// The time until an endpoint is unhealthy whose checks fail with `failure` after their timeout while requests wait,
/// and while it gives `responses` to others.
async fn time_to_notice(failure: fn(Duration) -> Failure, responses: bool) -> Duration {
    let check = HealthCheck { interval: Duration::from_secs(3600), ..check(2, 3) };
    let bench = Bench::start(&two(Some(check)));
    bench.until(EndpointState::Healthy).await;
    // An hour at most: the next check is not due before.
    sleep(Duration::from_secs(3600)).await;
    bench.silence.set(Some(failure));
    let endpoint = Arc::clone(&bench.endpoint);
    let requests = spawn_local(async move {
        for _ in 0..40 {
            if responses {
                endpoint.stats.of(0).responses[1].add(1);
            }
            wait_for_response(&endpoint, Duration::from_millis(250)).await;
        }
    });
    let took = bench.until(EndpointState::Unhealthy).await;
    requests.abort();
    took
}

#[tokio::test(start_paused = true)]
async fn hung_endpoint_is_unhealthy_after_one_check_without_answer() {
    local(async {
        let took = time_to_notice(Failure::Timeout, false).await;
        assert!(took <= Duration::from_millis(1510), "{took:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn slow_url_does_not_make_a_failed_check_count_for_more() {
    local(async {
        let took = time_to_notice(Failure::Timeout, true).await;
        assert!(took >= Duration::from_secs(4), "{took:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn lost_segment_does_not_make_an_endpoint_hung_but_two_do() {
    local(async {
        let took = time_to_notice(Failure::ConnectTimeout, false).await;
        assert!((2490..=3010).contains(&took.as_millis()), "{took:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn ejected_endpoint_is_on_probation_when_its_time_is_over_and_returns_when_a_request_succeeds() {
    for health in [None, Some(check(2, 3))] {
        local(async {
            let bench = Bench::start(&two(health.clone()));
            let other = Arc::clone(&bench.pool.borrow().endpoints()[1]);
            bench.pool.borrow_mut().check_completed(&other, &good(), Timestamp::now());
            bench.until(EndpointState::Healthy).await;
            for _ in 0..5 {
                bench.endpoint.failed();
            }
            bench.until(EndpointState::Ejected).await;
            let took = bench.until(EndpointState::Probation).await;
            let most = Duration::from_secs(5) + Duration::from_millis(502);
            assert!(took >= Duration::from_millis(4998) && took <= most, "{took:?} with {health:?}");
            let Admission::Trial(trial) = Trial::begin(&bench.endpoint, Duration::ZERO) else { panic!("no trial") };
            sleep(Duration::from_secs(60)).await;
            assert_eq!(bench.state(), EndpointState::Probation, "no check decides");
            trial.responded(false);
            bench.until(EndpointState::Healthy).await;
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn announced_drain_ends_after_its_time_without_checks_and_by_checks_otherwise() {
    for (health, shortest, longest) in [(None, 29_998, 30_002), (Some(check(2, 3)), 500, 2702)] {
        local(async {
            let bench = Bench::start(&two(health.clone()));
            bench.until(EndpointState::Healthy).await;
            sleep(Duration::from_secs(5)).await;
            bench.endpoint.announce_drain();
            bench.until(EndpointState::Draining).await;
            // More responses, of requests that were under way, change nothing.
            bench.endpoint.announce_drain();
            let took = bench.until(EndpointState::Healthy).await.as_millis();
            assert!((shortest..=longest).contains(&took), "{took} ms with {health:?}");
            // The next drain is noticed as well.
            bench.endpoint.announce_drain();
            bench.until(EndpointState::Draining).await;
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn watching_ends_when_the_pool_is_gone() {
    local(async {
        let Bench { pool, endpoint, task, .. } = Bench::start(&two(Some(check(2, 3))));
        sleep(Duration::from_secs(5)).await;
        drop(pool);
        endpoint.failed();
        tokio::time::timeout(Duration::from_secs(10), task).await.unwrap().unwrap();
    })
    .await;
}
