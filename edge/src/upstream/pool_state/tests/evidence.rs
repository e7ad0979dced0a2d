//! What checks and responses prove about an endpoint, and what they do not.

use std::io;

use super::*;

/// Three healthy endpoints.
fn three_healthy() -> (PoolState, Vec<Arc<Endpoint>>) {
    let mut pool = three();
    let endpoints = pool.endpoints();
    for endpoint in &endpoints {
        pool.check_completed(endpoint, &good(), Timestamp::now());
    }
    (pool, endpoints)
}

/// Gives `errors` server errors and `others` other responses.
fn respond(endpoint: &Endpoint, errors: u64, others: u64) {
    let stats = endpoint.stats.of(0);
    stats.responses[4].add(errors);
    stats.server_errors.add(errors);
    stats.responses[1].add(others);
}

#[test]
fn lack_of_resources_for_checks_changes_nothing() {
    let (mut pool, endpoints) = three_healthy();
    let before = snapshot(&pool);
    for _ in 0..100 {
        for endpoint in &endpoints {
            let outcome = Err(probe::Failure::NoResources(io::Error::from_raw_os_error(24)));
            let health = pool.check_completed(endpoint, &outcome, Timestamp::now());
            assert_eq!(health, pool.health(endpoint));
        }
    }
    assert!(Arc::ptr_eq(&before, &snapshot(&pool)));
    assert_eq!((endpoints[0].checks.done.value(), endpoints[0].checks.failed.value()), (1, 0));
}

#[test]
fn one_check_suffices_for_an_endpoint_that_hangs() {
    let (mut pool, endpoints) = three_healthy();
    let hung = Err(probe::Failure::Hung(Duration::from_secs(1)));
    pool.check_completed(&endpoints[0], &hung, Timestamp::now());
    assert_eq!(usable(&pool), [2, 3]);
    assert!(endpoints[0].is_down());
    assert_eq!(endpoints[0].status().reason, "no answer within 1s, and none to requests");
    for expected in [vec![2, 3], vec![1, 2, 3]] {
        pool.check_completed(&endpoints[0], &good(), Timestamp::now());
        assert_eq!(usable(&pool), expected);
    }
}

#[test]
fn endpoint_that_alone_gives_server_errors_is_ejected_for_its_time() {
    let (mut pool, endpoints) = three_healthy();
    let now = Timestamp::now();
    respond(&endpoints[0], 10, 0);
    respond(&endpoints[1], 0, 10);
    respond(&endpoints[2], 0, 10);
    pool.compare_responses(now);
    assert_eq!(usable(&pool), [2, 3]);
    let status = endpoints[0].status();
    assert_eq!(status.state, EndpointState::Ejected);
    assert_eq!(status.reason, "10 of 10 responses were server errors, ejected for 5s");
    assert_eq!(pool.ejected_until(&endpoints[0]), Some(Some(now.instant + Duration::from_secs(5))));
    pool.check_completed(&endpoints[0], &good(), now);
    assert_eq!(usable(&pool), [2, 3], "a check refutes a failure to connect, not a status");
    pool.ejection_expired(&endpoints[0], now);
    pool.check_completed(&endpoints[0], &good(), now);
    assert_eq!(usable(&pool), [1, 2, 3]);
    assert_eq!(endpoints[0].checks.ejections.value(), 1);
}

#[test]
fn fault_of_the_whole_site_ejects_no_endpoint() {
    let (mut pool, endpoints) = three_healthy();
    for _ in 0..100 {
        for endpoint in &endpoints {
            respond(endpoint, 90, 10);
        }
        pool.compare_responses(Timestamp::now());
    }
    assert_eq!(usable(&pool), [1, 2, 3]);
}

#[test]
fn worst_endpoint_is_ejected_first_and_no_more_than_the_share_allows() {
    let (mut pool, endpoints) = three_healthy();
    respond(&endpoints[0], 70, 30);
    respond(&endpoints[1], 100, 0);
    respond(&endpoints[2], 0, 1000);
    pool.compare_responses(Timestamp::now());
    assert_eq!(usable(&pool), [1, 3]);
}

#[test]
fn responses_during_an_ejection_do_not_count_after_it() {
    let (mut pool, endpoints) = three_healthy();
    let now = Timestamp::now();
    respond(&endpoints[0], 10, 0);
    respond(&endpoints[1], 0, 10);
    respond(&endpoints[2], 0, 10);
    pool.compare_responses(now);
    respond(&endpoints[0], 9, 0);
    pool.compare_responses(now);
    pool.ejection_expired(&endpoints[0], now);
    pool.check_completed(&endpoints[0], &good(), now);
    respond(&endpoints[0], 1, 0);
    respond(&endpoints[1], 0, 20);
    pool.compare_responses(now);
    assert_eq!(usable(&pool), [1, 2, 3]);
}
