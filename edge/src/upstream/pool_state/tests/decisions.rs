//! What operators see of the decisions about a pool.

use super::*;
use crate::{
    config::Ejection,
    error::Kind,
    upstream::mesh::{report::MeshReport, spread::Spread},
};

/// The decisions so far, each with the last octet of its endpoint, 0 for the pool.
fn decisions(pool: &PoolState) -> Vec<(&'static str, u8)> {
    let octet = |endpoint: Option<SocketAddr>| match endpoint.map(|endpoint| endpoint.ip()) {
        Some(IpAddr::V4(v4)) => v4.octets()[3],
        _ => 0,
    };
    let recent = pool.handle().decisions.recent();
    recent.into_iter().map(|recent| (recent.decision.label(), octet(recent.endpoint))).collect()
}

/// The decisions that `act` causes.
fn caused_by(pool: &mut PoolState, act: impl FnOnce(&mut PoolState)) -> Vec<(&'static str, u8)> {
    let before = decisions(pool).len();
    act(pool);
    decisions(pool).split_off(before)
}

fn all(pool: &mut PoolState, outcome: &Outcome) {
    for endpoint in pool.endpoints() {
        pool.check_completed(&endpoint, outcome, Timestamp::now());
    }
}

#[test]
fn flips_panics_and_orders_are_noted_once() {
    let mut pool = three();
    assert_eq!(decisions(&pool), [("endpoint_added", 1), ("endpoint_added", 2), ("endpoint_added", 3)]);
    let healthy = caused_by(&mut pool, |pool| all(pool, &good()));
    assert_eq!(healthy, [("healthy", 1), ("healthy", 2), ("healthy", 3)]);
    assert_eq!(caused_by(&mut pool, |pool| all(pool, &good())), []);
    let unhealthy = caused_by(&mut pool, |pool| (0..4).for_each(|_| all(pool, &bad())));
    let expected = [("unhealthy", 1), ("unhealthy", 2), ("unhealthy", 3), ("panic_began", 0)];
    assert_eq!(unhealthy, expected);
    let endpoints = pool.endpoints();
    let status = endpoints[0].flips();
    assert_eq!((status[0].state, status[0].reason.as_str()), (EndpointState::Healthy, "status 200"));
    let well = caused_by(&mut pool, |pool| (0..2).for_each(|_| all(pool, &good())));
    assert!(well.starts_with(&[("healthy", 1), ("panic_ended", 0)]), "{well:?}");
    let ordered = caused_by(&mut pool, |pool| {
        for order in [Order::Drain, Order::Drain, Order::Maintenance, Order::Ready] {
            pool.order(endpoints[1].address, order, None, Timestamp::now());
        }
    });
    assert_eq!(ordered, [("ordered_drain", 2), ("ordered_maintenance", 2), ("ordered_ready", 2)]);
    assert_eq!(pool.handle().decided(Decision::OrderedDrain), 1);
}

#[test]
fn an_ejection_is_noted_with_its_end_and_one_that_is_refused_is_summed_up() {
    let mut pool = pool_state(&settings(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"], None));
    let endpoints = pool.endpoints();
    let now = Timestamp::now();
    let ejected = caused_by(&mut pool, |pool| fail_requests(pool, &endpoints[0], 5, now));
    assert_eq!(ejected, [("ejected", 1)]);
    let until = endpoints[0].status().ejected_until.unwrap();
    assert_eq!(until.duration_since(now.wall_clock).unwrap(), Ejection::default().base);
    // Half of three is one.
    let refused = caused_by(&mut pool, |pool| fail_requests(pool, &endpoints[1], 50, now));
    assert_eq!(refused, [("ejection_refused", 2)]);
    assert_eq!(pool.handle().decided(Decision::EjectionRefused), 46);
    let later = Timestamp { instant: now.instant + Duration::from_secs(60), ..now };
    let ended = caused_by(&mut pool, |pool| pool.ejection_expired(&endpoints[0], later));
    assert_eq!(ended, [("probation_began", 1)]);
    assert_eq!(endpoints[0].status().ejected_until, None);
}

#[test]
fn tiers_and_zones_are_noted_when_they_change() {
    let config = {
        let local = EndpointOptions { zone: Some("a".to_owned()), ..EndpointOptions::default() };
        let further = EndpointOptions { tier: 2, ..EndpointOptions::default() };
        let mut config = (*settings(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"], Some(check(1, 1)))).clone();
        config.zone = Some("a".to_owned());
        config.options.insert(config.sources[0].clone(), local);
        config.options.insert(config.sources[2].clone(), further);
        Arc::new(config)
    };
    let mut pool = pool_state(&config);
    all(&mut pool, &good());
    let endpoints = pool.endpoints();
    let bad_one = |pool: &mut PoolState, index: usize| {
        pool.check_completed(&endpoints[index], &bad(), Timestamp::now());
    };
    let left = caused_by(&mut pool, |pool| bad_one(pool, 0));
    assert_eq!(left, [("unhealthy", 1), ("zone_left", 0)]);
    let further = caused_by(&mut pool, |pool| bad_one(pool, 1));
    assert_eq!(further, [("unhealthy", 2), ("tier_changed", 0)]);
    let back = caused_by(&mut pool, |pool| {
        pool.check_completed(&endpoints[0], &good(), Timestamp::now());
    });
    assert_eq!(back, [("healthy", 1), ("first_tier_used", 0), ("own_zone_used", 0)]);
}

#[test]
fn what_workers_counted_is_noticed_with_the_reason_and_the_endpoint() {
    let mut pool = three();
    pool.notice();
    let endpoints = pool.endpoints();
    let stats = pool.handle().stats.of(0);
    stats.retries.add(3);
    stats.retry_reasons[Kind::Connect as usize].add(2);
    stats.retry_reasons[Kind::UpstreamClosed as usize].add(1);
    stats.queued.add(7);
    stats.decisions.add(Decision::SessionMoved);
    endpoints[1].stats.of(0).connect_failures.add(3);
    let noticed = caused_by(&mut pool, PoolState::notice);
    assert_eq!(noticed, [("retried", 2), ("queued", 0), ("session_moved", 0)]);
    let recent = pool.handle().decisions.recent();
    let retried = recent.iter().find(|recent| recent.decision == Decision::Retried).unwrap();
    assert_eq!(
        (retried.count, retried.reason.as_str()),
        (3, "connect_failed 2, upstream_closed 1; failed at 10.0.0.2:80 (3)")
    );
    assert_eq!(caused_by(&mut pool, PoolState::notice), [], "only once");
    pool.handle().stats.of(0).retries.add(1);
    assert_eq!(caused_by(&mut pool, PoolState::notice), [("retried", 0)], "no endpoint failed");
    assert_eq!(pool.handle().decided(Decision::Retried), 4, "not counted twice");
    // A reload knows what was noticed before.
    let mut pool = PoolState::new(&settings(&["10.0.0.2:80"], None), 1, Some(&pool), Timestamp::now());
    assert_eq!(caused_by(&mut pool, PoolState::notice), []);
    endpoints[1].sent_surplus();
    assert_eq!(caused_by(&mut pool, PoolState::notice), [("reuse_ended", 2)]);
    assert_eq!(caused_by(&mut pool, PoolState::notice), []);
}

#[test]
fn many_replicas_at_once_are_one_decision() {
    let mut config = (*settings(&["10.0.0.1:80"], None)).clone();
    config.mesh = true;
    let mut pool = pool_state(&Arc::new(config));
    let mut spread = Spread::default();
    let mut show = |pool: &mut PoolState, names: std::ops::Range<u32>| {
        for name in names {
            spread.add(pool.endpoints()[0].id);
            spread.learn(0, format!("evil\n{name}").as_bytes());
        }
        let replicas = spread.report_replicas().collect();
        let report = MeshReport { replicas, ..MeshReport::default() };
        pool.handle().meshes.of(0).store(Some(Arc::new(report)));
        caused_by(pool, PoolState::notice)
    };
    assert_eq!(show(&mut pool, 0..1), [("replica_found", 0)]);
    assert_eq!(show(&mut pool, 1..250), [("replica_found", 0)]);
    let recent = pool.handle().decisions.recent();
    let [.., first, many] = recent.as_slice() else { panic!("{recent:?}") };
    assert_eq!((first.replica.as_deref(), many.replica.as_deref()), (Some("evil\u{fffd}0"), None));
    assert!(many.reason.ends_with(" and 59 others") && many.count == 64, "{many:?}");
    let mesh = pool.handle().mesh.load_full().unwrap();
    assert_eq!(mesh.replicas.len(), 65);
    assert_eq!(show(&mut pool, 0..0), []);
}
