//! What happens to an endpoint when the time of its ejection is over.

use super::*;
use crate::{
    config::Ejection,
    upstream::{probation::Admission, trial::Trial},
};

const NOW: Duration = Duration::from_secs(1);

/// A pool of two without checks, whose first endpoint is on probation.
fn on_probation(now: Timestamp) -> (PoolState, Vec<Arc<Endpoint>>) {
    let mut pool = pool_state(&settings(&["10.0.0.1:80", "10.0.0.2:80"], None));
    let endpoints = pool.endpoints();
    fail_requests(&mut pool, &endpoints[0], 5, now);
    assert_eq!(usable(&pool), [2]);
    pool.ejection_expired(&endpoints[0], now);
    assert_eq!(endpoints[0].status().state, EndpointState::Probation);
    assert!(usable(&pool) == [1, 2] && snapshot(&pool).on_probation);
    (pool, endpoints)
}

fn trial(endpoint: &Arc<Endpoint>) -> Trial {
    let Admission::Trial(trial) = Trial::begin(endpoint, NOW) else { panic!("it admits none") };
    trial
}

#[test]
fn success_of_one_request_ends_a_probation() {
    let now = Timestamp::now();
    let (mut pool, endpoints) = on_probation(now);
    let first = trial(&endpoints[0]);
    assert!(!endpoints[0].admits(NOW), "one at a time");
    pool.request_failed(&endpoints[0], now);
    assert_eq!(endpoints[0].status().state, EndpointState::Probation, "there is no verdict");
    first.responded(true);
    assert!(endpoints[0].admits(NOW), "workers need not wait for the control thread");
    pool.request_failed(&endpoints[0], now);
    let status = endpoints[0].status();
    assert_eq!((status.state, status.reason.as_str()), (EndpointState::Healthy, "a request on trial succeeded"));
    assert!(!snapshot(&pool).on_probation);
    assert_eq!((endpoints[0].checks.trials_passed.value(), endpoints[0].checks.trials_failed.value()), (1, 0));
}

#[test]
fn failure_of_one_request_ejects_again_for_longer() {
    let mut now = Timestamp::now();
    let (mut pool, endpoints) = on_probation(now);
    for (ejections, seconds) in [(2, 10), (3, 15)] {
        trial(&endpoints[0]).failed();
        pool.request_failed(&endpoints[0], now);
        assert_eq!(usable(&pool), [2]);
        let late = Trial::begin(&endpoints[0], NOW);
        assert!(matches!(late, Admission::Refused), "a worker may not have seen the ejection yet: {late:?}");
        assert_eq!(pool.ejected_until(&endpoints[0]), Some(Some(now.instant + Duration::from_secs(seconds))));
        assert_eq!(endpoints[0].checks.ejections.value(), ejections);
        now.instant += Duration::from_secs(seconds);
        pool.ejection_expired(&endpoints[0], now);
        assert_eq!(usable(&pool), [1, 2]);
    }
    assert_eq!(endpoints[0].checks.trials_failed.value(), 2);
}

#[test]
fn requests_that_were_sent_before_an_ejection_decide_nothing() {
    let now = Timestamp::now();
    let (mut pool, endpoints) = on_probation(now);
    fail_requests(&mut pool, &endpoints[0], 100, now);
    endpoints[0].succeeded();
    pool.request_failed(&endpoints[0], now);
    assert_eq!((endpoints[0].status().state, usable(&pool)), (EndpointState::Probation, vec![1, 2]));
}

#[test]
fn last_endpoint_in_use_stays_on_probation_when_a_request_on_trial_fails() {
    let now = Timestamp::now();
    let mut pool = pool_state(&settings(&["10.0.0.1:80", "10.0.0.2:80"], Some(check(1, 1))));
    let endpoints = pool.endpoints();
    for endpoint in &endpoints {
        pool.check_completed(endpoint, &good(), now);
    }
    fail_requests(&mut pool, &endpoints[0], 5, now);
    pool.ejection_expired(&endpoints[0], now);
    pool.check_completed(&endpoints[0], &good(), now);
    pool.check_completed(&endpoints[1], &bad(), now);
    assert_eq!(usable(&pool), [1]);
    trial(&endpoints[0]).failed();
    pool.request_failed(&endpoints[0], now);
    assert_eq!((usable(&pool), endpoints[0].status().state), (vec![1], EndpointState::Probation));
    assert!(endpoints[0].admits(NOW), "the next request is on trial");
}

#[test]
fn check_that_did_not_see_the_failures_leads_to_a_probation_and_one_that_did_ends_the_ejection() {
    for (unreachable, expected) in [(false, EndpointState::Probation), (true, EndpointState::Healthy)] {
        let now = Timestamp::now();
        let mut pool = three();
        let endpoints = pool.endpoints();
        for endpoint in &endpoints {
            pool.check_completed(endpoint, &good(), now);
        }
        for _ in 0..5 {
            if unreachable {
                endpoints[0].connect_failed();
            } else {
                endpoints[0].failed();
            }
            pool.request_failed(&endpoints[0], now);
        }
        pool.ejection_expired(&endpoints[0], now);
        assert_eq!(usable(&pool), [2, 3]);
        pool.check_completed(&endpoints[0], &good(), now);
        assert_eq!((usable(&pool), endpoints[0].status().state), (vec![1, 2, 3], expected));
        pool.check_completed(&endpoints[0], &good(), now);
        assert_eq!(endpoints[0].status().state, expected, "further checks do not decide");
    }
}

#[test]
fn failing_checks_and_maintenance_end_a_probation() {
    let now = Timestamp::now();
    for in_maintenance in [false, true] {
        let mut pool = three();
        let endpoints = pool.endpoints();
        for endpoint in &endpoints {
            pool.check_completed(endpoint, &good(), now);
        }
        fail_requests(&mut pool, &endpoints[0], 5, now);
        pool.ejection_expired(&endpoints[0], now);
        pool.check_completed(&endpoints[0], &good(), now);
        let late = trial(&endpoints[0]);
        if in_maintenance {
            pool.order(endpoints[0].address, Order::Maintenance, None, now);
            pool.order(endpoints[0].address, Order::Ready, None, now);
        } else {
            for _ in 0..3 {
                pool.check_completed(&endpoints[0], &bad(), now);
            }
        }
        late.failed();
        pool.request_failed(&endpoints[0], now);
        for _ in 0..2 {
            pool.check_completed(&endpoints[0], &good(), now);
        }
        assert_eq!((usable(&pool), endpoints[0].status().state), (vec![1, 2, 3], EndpointState::Healthy));
        assert!(!snapshot(&pool).on_probation && endpoints[0].checks.trials_failed.value() == 0);
    }
}

#[test]
fn endpoints_on_probation_count_for_the_ejected_share() {
    let now = Timestamp::now();
    let mut pool = pool_state(&settings(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"], None));
    let endpoints = pool.endpoints();
    fail_requests(&mut pool, &endpoints[0], 5, now);
    pool.ejection_expired(&endpoints[0], now);
    fail_requests(&mut pool, &endpoints[1], 5, now);
    assert_eq!(endpoints[1].status().state, EndpointState::Healthy, "one of three is the limit");
    let one = PoolState::new(&settings(&["10.0.0.1:80"], None), 1, Some(&pool), now);
    assert_eq!((usable(&one), endpoints[0].status().state), (vec![1], EndpointState::Healthy));
    assert!(endpoints[0].admits(NOW) && matches!(Trial::begin(&endpoints[0], NOW), Admission::Free));
}

#[test]
fn consecutive_server_errors_eject_by_choice_and_fail_a_trial() {
    for (consecutive_errors, expected) in [(0, vec![1, 2]), (3, vec![2])] {
        let now = Timestamp::now();
        let settings = settings(&["10.0.0.1:80", "10.0.0.2:80"], None);
        let ejection = Ejection { consecutive_errors, ..settings.ejection.clone() };
        let mut pool = pool_state(&Arc::new(Pool { ejection, ..Pool::clone(&settings) }));
        let endpoints = pool.endpoints();
        for is_error in [true, true, false, true, true, true] {
            assert_eq!(usable(&pool), [1, 2], "not three in a row");
            // A failure to connect between two responses does not separate them.
            endpoints[0].connect_failed();
            endpoints[0].succeeded();
            endpoints[0].responded(is_error);
            pool.request_failed(&endpoints[0], now);
        }
        assert_eq!(usable(&pool), expected);
        if consecutive_errors > 0 {
            assert_eq!(endpoints[0].status().reason, "3 consecutive responses were server errors, ejected for 5s");
            pool.ejection_expired(&endpoints[0], now);
            trial(&endpoints[0]).responded(true);
            pool.request_failed(&endpoints[0], now);
            assert_eq!(usable(&pool), [2], "it still gives errors");
            pool.ejection_expired(&endpoints[0], now);
            trial(&endpoints[0]).responded(false);
            pool.request_failed(&endpoints[0], now);
            assert_eq!(endpoints[0].status().state, EndpointState::Healthy);
        }
    }
}

#[test]
fn endpoint_that_drains_goes_on_draining_when_its_ejection_is_over() {
    let now = Timestamp::now();
    let mut pool = pool_state(&settings(&["10.0.0.1:80", "10.0.0.2:80"], None));
    let endpoints = pool.endpoints();
    fail_requests(&mut pool, &endpoints[0], 5, now);
    pool.order(endpoints[0].address, Order::Drain, None, now);
    pool.ejection_expired(&endpoints[0], now);
    let status = endpoints[0].status();
    assert_eq!((status.state, status.reason.as_str()), (EndpointState::Draining, "drained by the operator"));
    pool.order(endpoints[0].address, Order::Ready, None, now);
    assert_eq!(endpoints[0].status().state, EndpointState::Probation);
}

#[test]
fn request_that_is_on_trial_when_a_drain_begins_leaves_the_reason_of_the_drain() {
    for (works, decision) in [(true, "probation_passed"), (false, "probation_goes_on")] {
        let now = Timestamp::now();
        let (mut pool, endpoints) = on_probation(now);
        let trial = trial(&endpoints[0]);
        pool.order(endpoints[0].address, Order::Drain, None, now);
        if works {
            trial.responded(false);
        } else {
            trial.failed();
        }
        pool.request_failed(&endpoints[0], now);
        let status = endpoints[0].status();
        assert_eq!((status.state, status.reason.as_str()), (EndpointState::Draining, "drained by the operator"));
        let last = pool.handle().decisions.recent().pop().unwrap();
        assert_eq!(last.decision.label(), decision);
        assert!(!last.reason.contains("no other endpoint"), "{last:?}");
    }
}
