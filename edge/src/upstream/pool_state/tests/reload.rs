//! What a reload keeps and what it changes.

use super::*;

#[test]
fn reload_keeps_the_state_of_endpoints_that_stay() {
    let mut old = pool_state(&settings(&["web", "10.0.0.9:80"], Some(check(2, 3))));
    old.apply_answer(0, &says("10.0.0.1 10.0.0.2"), Timestamp::now());
    let endpoints = old.endpoints();
    for (endpoint, outcome) in endpoints.iter().zip([good(), bad(), good()]) {
        old.check_completed(endpoint, &outcome, Timestamp::now());
    }
    let mut settings = (*settings(&["web"], Some(check(9, 9)))).clone();
    settings.max_idle = 7;
    let new = PoolState::new(&Arc::new(settings), 1, Some(&old), Timestamp::now());
    assert_eq!(usable(&new), [1]);
    assert!(Arc::ptr_eq(&new.endpoints()[0], &endpoints[0]) && Arc::ptr_eq(&new.endpoints()[1], &endpoints[1]));
    assert_eq!(new.endpoints().len(), 2, "the fixed address is no longer configured");
    assert!(Arc::ptr_eq(&new.handle().stats, &old.handle().stats));
    assert!(Arc::ptr_eq(&new.handle().queue, &old.handle().queue));
    assert!(Arc::ptr_eq(&new.handle().sources[0], &old.handle().sources[0]));
    assert_eq!(new.handle().config.max_idle, 7);
}

#[test]
fn reload_that_turns_checks_off_assumes_endpoints_healthy_unless_ejected() {
    let mut old = three();
    let endpoints = old.endpoints();
    for (endpoint, outcome) in endpoints.iter().zip([good(), good(), bad()]) {
        old.check_completed(endpoint, &outcome, Timestamp::now());
    }
    fail_requests(&mut old, &endpoints[0], 5, Timestamp::now());
    old.ejection_expired(&endpoints[0], Timestamp::now());
    assert_eq!(usable(&old), [2]);
    let sources = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"];
    let new = PoolState::new(&settings(&sources, None), 1, Some(&old), Timestamp::now());
    assert_eq!(usable(&new), [1, 2, 3]);
    assert_eq!(endpoints[2].status().state, EndpointState::Healthy);
}

#[test]
fn a_reload_changes_weights_but_not_the_endpoints() {
    let with_weight = |weight| {
        let mut settings = Pool::clone(&settings(&["10.0.0.1:80", "10.0.0.2:80"], None));
        let options = EndpointOptions { weight, ..EndpointOptions::default() };
        settings.options.insert(settings.sources[1].clone(), options);
        Arc::new(settings)
    };
    let old = pool_state(&with_weight(1));
    assert!(!snapshot(&old).weighted);
    let new = PoolState::new(&with_weight(3), 1, Some(&old), Timestamp::now());
    let weights: Vec<_> = snapshot(&new).usable().iter().map(|endpoint| endpoint.weight()).collect();
    assert_eq!((snapshot(&new).weighted, weights), (true, vec![1, 3]));
    assert!(Arc::ptr_eq(&snapshot(&new).endpoints[1], &snapshot(&old).endpoints[1]));
}

#[test]
fn a_reload_that_turns_the_cookie_on_or_changes_its_key_knows_the_sessions_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    std::fs::write(&key_file, "secret").unwrap();
    let off = settings(&["10.0.0.1:80"], None);
    let with = |sticky| Arc::new(Pool { sticky: Some(sticky), ..Pool::clone(&off) });
    let mut pool = pool_state(&off);
    for sticky in [Sticky::new("p"), Sticky { key_file: Some(key_file), ..Sticky::new("p") }] {
        pool = PoolState::new(&with(sticky), 1, Some(&pool), Timestamp::now());
        let endpoint = Arc::clone(&pool.endpoints()[0]);
        let tag = pool.handle().tags.as_ref().unwrap().of(endpoint.address);
        let snapshot = snapshot(&pool);
        assert!(snapshot.sessions.endpoint(tag).is_some_and(|found| Arc::ptr_eq(found, &endpoint)));
    }
}
