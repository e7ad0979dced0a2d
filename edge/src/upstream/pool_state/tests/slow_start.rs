//! Which endpoints start slowly, and what their weights are meanwhile.

use super::*;

const TEN_SECONDS: Duration = Duration::from_secs(10);

/// A pool with checks of a name that resolves to these addresses.
fn pool(addresses: &str, now: Timestamp) -> PoolState {
    let settings = Pool { slow_start: Some(TEN_SECONDS), ..Pool::clone(&settings(&["web"], Some(check(1, 1)))) };
    let mut pool = PoolState::new(&Arc::new(settings), 1, None, now);
    pool.apply_answer(0, &says(addresses), now);
    pool
}

fn after(now: Timestamp, seconds: u64) -> Timestamp {
    Timestamp { instant: now.instant + Duration::from_secs(seconds), ..now }
}

fn weights(pool: &PoolState) -> Vec<u32> {
    pool.endpoints().iter().map(|endpoint| endpoint.current_weight()).collect()
}

fn all_pass(pool: &mut PoolState, now: Timestamp) {
    for endpoint in pool.endpoints() {
        pool.check_completed(&endpoint, &good(), now);
    }
}

#[test]
fn new_endpoint_gets_its_weight_step_by_step() {
    let now = Timestamp::now();
    let mut pool = pool("10.0.0.1 10.0.0.2", now);
    all_pass(&mut pool, now);
    assert!(weights(&pool) == [100, 100] && !snapshot(&pool).weighted, "what a new pool finds is not new");
    let later = after(now, 60);
    pool.apply_answer(0, &says("10.0.0.1 10.0.0.2 10.0.0.3"), later);
    assert!(!snapshot(&pool).weighted);
    all_pass(&mut pool, later);
    assert!(weights(&pool) == [100, 100, 10] && snapshot(&pool).weighted, "from its first request on");
    for (seconds, expected) in [(60, 10), (61, 10), (65, 50), (69, 90)] {
        pool.tick(after(now, seconds));
        assert_eq!(weights(&pool)[2], expected, "after {seconds} s");
        assert!(snapshot(&pool).weighted);
    }
    pool.tick(after(now, 70));
    assert!(weights(&pool) == [100; 3] && !snapshot(&pool).weighted);
    assert_eq!(pool.endpoints()[2].checks.slow_starts.value(), 1);
}

#[test]
fn recovered_endpoint_starts_slowly_and_one_that_drained_does_not() {
    let now = Timestamp::now();
    let mut pool = pool("10.0.0.1 10.0.0.2", now);
    all_pass(&mut pool, now);
    let endpoints = pool.endpoints();
    pool.order(endpoints[0].address, Order::Drain, None, now);
    pool.order(endpoints[0].address, Order::Ready, None, now);
    assert_eq!(weights(&pool), [100, 100]);
    pool.check_completed(&endpoints[0], &bad(), now);
    pool.check_completed(&endpoints[0], &good(), now);
    assert_eq!(weights(&pool), [10, 100]);
    pool.tick(now);
    pool.tick(after(now, 4));
    assert_eq!(weights(&pool), [40, 100]);
    // It fails again.
    pool.check_completed(&endpoints[0], &bad(), after(now, 4));
    pool.check_completed(&endpoints[0], &good(), after(now, 4));
    assert_eq!(weights(&pool), [10, 100]);
    assert_eq!(endpoints[0].checks.slow_starts.value(), 2);
}

#[test]
fn endpoints_that_are_all_new_share_all_requests() {
    let now = Timestamp::now();
    let mut pool = pool("10.0.0.1", now);
    all_pass(&mut pool, now);
    let later = after(now, 60);
    pool.apply_answer(0, &says("10.0.0.2 10.0.0.3"), later);
    all_pass(&mut pool, later);
    assert!(weights(&pool) == [10, 10] && !snapshot(&pool).weighted && usable(&pool) == [2, 3]);
}

#[test]
fn reload_keeps_a_slow_start_and_may_turn_it_off() {
    let now = Timestamp::now();
    let mut old = pool("10.0.0.1 10.0.0.2", now);
    all_pass(&mut old, now);
    old.check_completed(&old.endpoints()[0], &bad(), now);
    old.check_completed(&old.endpoints()[0], &good(), now);
    old.tick(now);
    let mut changed = Pool::clone(&old.handle().config);
    changed.max_idle = 7;
    let mut new = PoolState::new(&Arc::new(changed.clone()), 1, Some(&old), after(now, 5));
    new.tick(after(now, 5));
    assert!(weights(&new) == [50, 100] && snapshot(&new).weighted);
    changed.slow_start = None;
    let new = PoolState::new(&Arc::new(changed), 1, Some(&new), after(now, 5));
    assert!(weights(&new) == [100, 100] && !snapshot(&new).weighted);
}
