//! When an endpoint is checked, and when it is ejected.
//!
//! Requests make checks sooner than their interval. A failed one triggers a check at once, and one that waits long for
//! its response triggers one, too, but at most once per interval: a URL that is always slow must not multiply the
//! checks. If that check connects and gets no answer either, and no request got a response meanwhile, the endpoint
//! hangs, and is unhealthy at once (HAProxy's `on-error sudden-death`). A check that only connects cannot see that,
//! because the kernel accepts connections for a program that hangs.
//!
//! [`watch`] runs both for one endpoint. It gets the check as an argument, so that its timing is tested without a
//! socket, and reports to an [`Observer`]. It ends by itself when the endpoint has left its pool or the pool no longer
//! exists.

use std::time::Duration;

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{
    Health, delay, initial_delay,
    probe::{Failure, Outcome},
};
use crate::{config::HealthCheck, upstream::endpoint::Endpoint};

/// Receives what happens to one endpoint. Every method returns `None` once the endpoint has left its pool.
pub(in crate::upstream) trait Observer {
    /// Records the outcome of a check that completed at `now`, and returns the endpoint's new health.
    fn check_completed(&self, outcome: &Outcome, now: Instant) -> Option<Health>;

    /// Records that a request failed.
    fn request_failed(&self) -> Option<()>;

    /// Records that the time of the endpoint's ejection is over.
    fn ejection_expired(&self) -> Option<()>;

    /// Returns the endpoint's current health.
    fn health(&self) -> Option<Health>;

    /// Returns when the time of the endpoint's ejection is over; the inner `None` if there is nothing to wait for.
    fn ejected_until(&self) -> Option<Option<Instant>>;
}

/// Checks an endpoint and ejects it when requests fail, while it is in its pool. A probe must end by itself.
pub(in crate::upstream) async fn watch(
    endpoint: &Endpoint,
    check: Option<HealthCheck>,
    probe: impl AsyncFn(&HealthCheck, &Endpoint, &Health) -> Outcome,
    observer: impl Observer,
) {
    // A failed request triggers a check at once, also if it fails during a check.
    let check_now = Notify::new();
    tokio::join!(observe_requests(endpoint, check.as_ref(), &observer, &check_now), async {
        if let Some(check) = &check {
            check_repeatedly(endpoint, check, &check_now, probe, &observer).await;
        }
    });
}

async fn observe_requests(
    endpoint: &Endpoint,
    check: Option<&HealthCheck>,
    observer: &impl Observer,
    check_now: &Notify,
) {
    // When a request that waits last hurried a check.
    let mut hurried = None;
    while let Some(until) = observer.ejected_until() {
        let expired = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let recorded = tokio::select! {
            () = endpoint.wait_for_failure() => observer.request_failed(),
            () = expired => observer.ejection_expired(),
            () = endpoint.wait_until_overdue() => {
                let now = Instant::now();
                if check.is_some_and(|check| may_hurry(check, hurried, now)) {
                    hurried = Some(now);
                    check_now.notify_one();
                }
                continue;
            }
        };
        if recorded.is_none() {
            return;
        }
        check_now.notify_one();
    }
}

/// Whether a request that waits may hurry the next check, if one last did so at `hurried`.
fn may_hurry(check: &HealthCheck, hurried: Option<Instant>, now: Instant) -> bool {
    hurried.is_none_or(|hurried| now.saturating_duration_since(hurried) >= check.interval)
}

async fn check_repeatedly(
    endpoint: &Endpoint,
    check: &HealthCheck,
    check_now: &Notify,
    probe: impl AsyncFn(&HealthCheck, &Endpoint, &Health) -> Outcome,
    observer: &impl Observer,
) {
    let Some(mut health) = observer.health() else { return };
    let mut due = Instant::now() + first_delay(check, &health, fastrand::f64());
    let mut first = health == Health::unchecked();
    let mut last = None;
    loop {
        tokio::select! {
            () = sleep_until(due) => {}
            () = check_now.notified() => {
                let soonest = last.map_or_else(Instant::now, |last: Instant| last + check.fast_interval);
                sleep_until(due.min(soonest)).await;
            }
        }
        let outcome = probe_and_compare(check, endpoint, &health, &probe).await;
        let now = Instant::now();
        let Some(after) = observer.check_completed(&outcome, now) else { return };
        health = after;
        let delay = if first { initial_delay(check, fastrand::f64()) } else { delay(check, &health, fastrand::f64()) };
        (due, last, first) = (now + delay, Some(now), false);
    }
}

/// Checks once, and compares the outcome with what requests see meanwhile.
async fn probe_and_compare(
    check: &HealthCheck,
    endpoint: &Endpoint,
    health: &Health,
    probe: &impl AsyncFn(&HealthCheck, &Endpoint, &Health) -> Outcome,
) -> Outcome {
    let responses = endpoint.responses();
    // Requests that still wait say so again within the next second.
    endpoint.take_overdue();
    let outcome = probe(check, endpoint, health).await;
    let is_silent = endpoint.take_overdue() && endpoint.responses() == responses;
    match outcome {
        Err(Failure::Timeout(timeout)) if is_silent => Err(Failure::Hung(timeout)),
        // A single lost segment delays a connection for a second. Two in a row show a full backlog or a dead machine.
        Err(Failure::ConnectTimeout(timeout)) if is_silent && health.is_changing() => Err(Failure::Hung(timeout)),
        outcome => outcome,
    }
}

/// Returns zero for an endpoint whose health is unknown or changing, and a random delay for one that a reload kept.
fn first_delay(check: &HealthCheck, health: &Health, chance: f64) -> Duration {
    if health.is_changing() { Duration::ZERO } else { initial_delay(check, chance) }
}

#[cfg(test)]
mod tests {
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
            let task = spawn_local(async move { watch(&watched, check, probe, observer).await });
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
    async fn ejected_endpoint_returns_when_its_time_is_over() {
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
                let took = bench.until(EndpointState::Healthy).await;
                let most = Duration::from_secs(5) + Duration::from_millis(502);
                assert!(took >= Duration::from_millis(4998) && took <= most, "{took:?} with {health:?}");
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
}
