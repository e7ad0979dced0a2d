//! Drains and maintenance: by order of the operator, and announced by the endpoint.

use super::*;

fn drains() -> Outcome {
    Ok(Passed::Draining)
}

/// Three endpoints whose checks pass.
fn healthy() -> (PoolState, Vec<Arc<Endpoint>>) {
    let mut pool = three();
    let endpoints = pool.endpoints();
    for endpoint in &endpoints {
        pool.check_completed(endpoint, &good(), Timestamp::now());
    }
    (pool, endpoints)
}

fn order(pool: &mut PoolState, endpoint: &Endpoint, order: Order) -> Option<Order> {
    pool.order(endpoint.address, order, None, Timestamp::now())
}

fn state(endpoint: &Endpoint) -> (EndpointState, String) {
    let status = endpoint.status();
    (status.state, status.reason)
}

#[test]
fn ordered_drain_lasts_until_the_operator_ends_it() {
    let (mut pool, endpoints) = healthy();
    assert_eq!(order(&mut pool, &endpoints[1], Order::Drain), Some(Order::Ready));
    assert_eq!(usable(&pool), [1, 3]);
    assert_eq!(snapshot(&pool).draining.len(), 1);
    pool.check_completed(&endpoints[1], &good(), Timestamp::now());
    assert_eq!(state(&endpoints[1]), (EndpointState::Draining, "drained by the operator".to_owned()));
    assert!(!snapshot(&pool).panic && !snapshot(&pool).uses_draining);
    assert_eq!(order(&mut pool, &endpoints[1], Order::Drain), Some(Order::Drain));
    assert_eq!(endpoints[1].checks.ordered_drains.value(), 1, "the same order again is no news");
    assert_eq!(order(&mut pool, &endpoints[1], Order::Ready), Some(Order::Drain));
    assert_eq!(usable(&pool), [1, 2, 3]);
    assert_eq!(state(&endpoints[1]).0, EndpointState::Healthy);
}

#[test]
fn replica_that_drains_behind_a_mesh_says_nothing_about_its_node() {
    let settings = settings(&["10.0.0.1:80", "10.0.0.2:80"], Some(check(2, 3)));
    let mut pool = pool_state(&Arc::new(Pool { mesh: true, ..Pool::clone(&settings) }));
    for endpoint in &pool.endpoints() {
        pool.check_completed(endpoint, &drains(), Timestamp::now());
    }
    assert_eq!(usable(&pool), [1, 2]);
    assert!(!snapshot(&pool).uses_draining);
}

#[test]
fn drained_endpoint_that_fails_is_shown_and_returns_only_by_checks() {
    let (mut pool, endpoints) = healthy();
    order(&mut pool, &endpoints[1], Order::Drain);
    for _ in 0..3 {
        pool.check_completed(&endpoints[1], &bad(), Timestamp::now());
    }
    assert_eq!(state(&endpoints[1]), (EndpointState::Unhealthy, "status 503".to_owned()));
    order(&mut pool, &endpoints[1], Order::Ready);
    assert_eq!(state(&endpoints[1]), (EndpointState::Unhealthy, "status 503".to_owned()));
    assert_eq!(usable(&pool), [1, 3]);
    order(&mut pool, &endpoints[1], Order::Drain);
    for _ in 0..2 {
        pool.check_completed(&endpoints[1], &good(), Timestamp::now());
    }
    assert_eq!(state(&endpoints[1]), (EndpointState::Draining, "drained by the operator".to_owned()));
}

#[test]
fn endpoint_in_maintenance_is_not_checked_and_begins_anew_afterwards() {
    let (mut pool, endpoints) = healthy();
    fail_requests(&mut pool, &endpoints[1], 5, Timestamp::now());
    let watched = |pool: &PoolState| pool.watched().len();
    order(&mut pool, &endpoints[1], Order::Maintenance);
    assert_eq!((usable(&pool), watched(&pool)), (vec![1, 3], 2));
    assert_eq!(state(&endpoints[1]), (EndpointState::Maintenance, "taken out of use by the operator".to_owned()));
    assert!(!endpoints[1].allows_reuse(), "its connections are not kept");
    // A check that was under way, and a response.
    pool.check_completed(&endpoints[1], &good(), Timestamp::now());
    pool.drain_announced(&endpoints[1], Timestamp::now());
    assert_eq!((usable(&pool), endpoints[1].checks.done.value()), (vec![1, 3], 1));
    order(&mut pool, &endpoints[1], Order::Ready);
    assert_eq!((usable(&pool), watched(&pool)), (vec![1, 3], 3), "it waits for its first check");
    assert_eq!(state(&endpoints[1]), (EndpointState::Unchecked, "not checked".to_owned()));
    assert!(endpoints[1].allows_reuse());
    pool.check_completed(&endpoints[1], &good(), Timestamp::now());
    assert_eq!(usable(&pool), [1, 2, 3], "the ejection is over as well");
}

#[test]
fn endpoint_whose_checks_begin_during_maintenance_waits_for_the_first_one() {
    let with_checks = settings(&["10.0.0.1:80", "10.0.0.2:80"], Some(check(2, 3)));
    let mut pool = pool_state(&Arc::new(Pool { health: None, ..(*with_checks).clone() }));
    let endpoints = pool.endpoints();
    order(&mut pool, &endpoints[1], Order::Maintenance);
    let mut pool = PoolState::new(&with_checks, 1, Some(&pool), Timestamp::now());
    order(&mut pool, &endpoints[1], Order::Ready);
    assert_eq!((usable(&pool), state(&endpoints[1]).0), (vec![1], EndpointState::Unchecked));
}

#[test]
fn maintenance_of_all_endpoints_leaves_none_to_use_and_drain_leaves_all() {
    for health in [None, Some(check(2, 3))] {
        let mut pool = pool_state(&settings(&["10.0.0.1:80", "10.0.0.2:80"], health));
        let endpoints = pool.endpoints();
        for endpoint in &endpoints {
            order(&mut pool, endpoint, Order::Drain);
        }
        assert_eq!((usable(&pool), snapshot(&pool).uses_draining), (vec![1, 2], true));
        order(&mut pool, &endpoints[0], Order::Maintenance);
        assert_eq!((usable(&pool), snapshot(&pool).uses_draining), (vec![2], true));
        order(&mut pool, &endpoints[1], Order::Maintenance);
        assert_eq!((usable(&pool), snapshot(&pool).uses_draining), (vec![], false));
        assert!(!snapshot(&pool).panic);
    }
}

#[test]
fn order_survives_a_reload_and_the_absence_of_its_address() {
    let mut pool = pool_state(&settings(&["web"], Some(check(2, 3))));
    let mut now = Timestamp::now();
    pool.apply_answer(0, &says("10.0.0.1 10.0.0.2"), now);
    for endpoint in pool.endpoints() {
        pool.check_completed(&endpoint, &good(), now);
    }
    let drained = pool.endpoints()[0].clone();
    order(&mut pool, &drained, Order::Drain);
    let mut settings = (*pool.handle().config).clone();
    settings.max_idle = 7;
    let mut pool = PoolState::new(&Arc::new(settings), 1, Some(&pool), now);
    assert_eq!((usable(&pool), drained.status().order), (vec![2], Order::Drain));
    pool.apply_answer(0, &says("10.0.0.2"), now);
    pool.apply_answer(0, &says("10.0.0.1 10.0.0.2"), now);
    assert_eq!(usable(&pool), [2], "the new endpoint drains as well");
    assert_eq!(state(&pool.endpoints()[0]).0, EndpointState::Draining);
    // It is absent for an hour: another program may have its address.
    pool.apply_answer(0, &says("10.0.0.2"), now);
    now.instant += Duration::from_secs(3600);
    pool.apply_answer(0, &says("10.0.0.1 10.0.0.2"), now);
    pool.check_completed(&pool.endpoints()[0], &good(), now);
    assert_eq!(usable(&pool), [1, 2]);
}

#[test]
fn order_for_an_unknown_address_is_refused_unless_one_is_kept() {
    let mut pool = pool_state(&settings(&["web"], None));
    let now = Timestamp::now();
    let address = "10.0.0.1:80".parse().unwrap();
    assert_eq!(pool.order(address, Order::Drain, None, now), None);
    pool.apply_answer(0, &says("10.0.0.1 10.0.0.2"), now);
    assert_eq!(pool.order(address, Order::Maintenance, None, now), Some(Order::Ready));
    pool.apply_answer(0, &says("10.0.0.2"), now);
    assert_eq!(pool.order(address, Order::Ready, None, now), Some(Order::Maintenance));
    assert_eq!(pool.order(address, Order::Ready, None, now), None);
    pool.apply_answer(0, &says("10.0.0.1 10.0.0.2"), now);
    assert_eq!(usable(&pool), [1, 2]);
}

#[test]
fn check_that_announces_a_drain_counts_at_once_and_is_no_failure() {
    let (mut pool, endpoints) = healthy();
    pool.check_completed(&endpoints[1], &drains(), Timestamp::now());
    assert_eq!(usable(&pool), [1, 3]);
    assert_eq!(state(&endpoints[1]), (EndpointState::Draining, "status 503 with Retry-After".to_owned()));
    pool.check_completed(&endpoints[1], &drains(), Timestamp::now());
    let checks = &endpoints[1].checks;
    assert_eq!((checks.done.value(), checks.failed.value(), checks.announced_drains.value()), (3, 0, 1));
    assert!(!endpoints[1].is_down(), "requests to it may end");
    pool.check_completed(&endpoints[1], &good(), Timestamp::now());
    assert_eq!(usable(&pool), [1, 3]);
    pool.check_completed(&endpoints[1], &good(), Timestamp::now());
    assert_eq!(usable(&pool), [1, 2, 3]);
    // It stops after a drain.
    pool.check_completed(&endpoints[1], &drains(), Timestamp::now());
    for _ in 0..3 {
        assert_eq!(state(&endpoints[1]).0, EndpointState::Draining);
        pool.check_completed(&endpoints[1], &bad(), Timestamp::now());
    }
    assert_eq!(state(&endpoints[1]), (EndpointState::Unhealthy, "status 503".to_owned()));
}

#[test]
fn first_check_may_announce_a_drain() {
    let mut pool = three();
    let endpoints = pool.endpoints();
    pool.check_completed(&endpoints[0], &drains(), Timestamp::now());
    assert_eq!((usable(&pool), snapshot(&pool).uses_draining), (vec![1], true), "the others are unknown");
    pool.check_completed(&endpoints[1], &good(), Timestamp::now());
    assert_eq!((usable(&pool), snapshot(&pool).uses_draining), (vec![2], false));
}

#[test]
fn response_that_announces_a_drain_counts_until_checks_pass() {
    let (mut pool, endpoints) = healthy();
    endpoints[1].announce_drain();
    pool.drain_announced(&endpoints[1], Timestamp::now());
    assert_eq!((usable(&pool), pool.drains_until(&endpoints[1])), (vec![1, 3], Some(None)));
    assert_eq!((state(&endpoints[1]).0, endpoints[1].checks.announced_drains.value()), (EndpointState::Draining, 1));
    for _ in 0..2 {
        pool.check_completed(&endpoints[1], &good(), Timestamp::now());
    }
    assert_eq!(usable(&pool), [1, 2, 3]);
}

#[test]
fn response_of_an_unhealthy_endpoint_does_not_make_it_better() {
    let (mut pool, endpoints) = healthy();
    for _ in 0..3 {
        pool.check_completed(&endpoints[1], &bad(), Timestamp::now());
    }
    pool.drain_announced(&endpoints[1], Timestamp::now());
    assert_eq!(state(&endpoints[1]).0, EndpointState::Unhealthy);
}

#[test]
fn response_that_announces_a_drain_counts_for_a_time_without_checks() {
    let mut pool = pool_state(&settings(&["10.0.0.1:80", "10.0.0.2:80"], None));
    let (endpoints, now) = (pool.endpoints(), Timestamp::now());
    pool.drain_announced(&endpoints[1], now);
    assert_eq!(usable(&pool), [1]);
    assert_eq!(pool.drains_until(&endpoints[1]), Some(Some(now.instant + Duration::from_secs(30))));
    pool.drain_expired(&endpoints[1], now);
    assert_eq!((usable(&pool), pool.drains_until(&endpoints[1])), (vec![1, 2], Some(None)));
    assert_eq!(state(&endpoints[1]), (EndpointState::Healthy, "the time of its drain is over".to_owned()));
}

#[test]
fn order_to_drain_hides_the_end_of_an_announced_drain() {
    let mut pool = pool_state(&settings(&["10.0.0.1:80", "10.0.0.2:80"], None));
    let (endpoints, now) = (pool.endpoints(), Timestamp::now());
    pool.drain_announced(&endpoints[1], now);
    order(&mut pool, &endpoints[1], Order::Drain);
    pool.drain_expired(&endpoints[1], now);
    assert_eq!(usable(&pool), [1]);
    pool.drain_announced(&endpoints[1], now);
    order(&mut pool, &endpoints[1], Order::Ready);
    assert_eq!(state(&endpoints[1]), (EndpointState::Draining, "announced by the endpoint".to_owned()));
    pool.drain_expired(&endpoints[1], now);
    assert_eq!(usable(&pool), [1, 2]);
}

#[test]
fn announced_drain_survives_a_reload_that_turns_checks_off_or_on() {
    let (mut pool, endpoints) = healthy();
    pool.check_completed(&endpoints[1], &drains(), Timestamp::now());
    let with_checks = Arc::clone(&pool.handle().config);
    let without = Arc::new(Pool { health: None, ..(*with_checks).clone() });
    let now = Timestamp::now();
    let pool = PoolState::new(&without, 1, Some(&pool), now);
    let end = Some(Some(now.instant + Duration::from_secs(30)));
    assert_eq!((usable(&pool), pool.drains_until(&endpoints[1])), (vec![1, 3], end));
    let pool = PoolState::new(&with_checks, 1, Some(&pool), now);
    assert_eq!((usable(&pool), pool.drains_until(&endpoints[1])), (vec![1, 3], Some(None)));
}

#[test]
fn last_endpoint_that_does_not_drain_is_not_ejected() {
    let (mut pool, endpoints) = healthy();
    order(&mut pool, &endpoints[0], Order::Drain);
    pool.check_completed(&endpoints[1], &drains(), Timestamp::now());
    fail_requests(&mut pool, &endpoints[2], 5, Timestamp::now());
    assert_eq!((usable(&pool), state(&endpoints[2]).0), (vec![3], EndpointState::Healthy));
}
