//! What each piece of news does to a pool, without a socket or a task.

use std::{net::IpAddr, num::NonZeroUsize, time::Duration};

use http::StatusCode;

use super::*;
use crate::{
    config::{Balance, HealthCheck, Pool, UpstreamTimeouts},
    upstream::{
        discovery::Failure,
        health::{
            outlier::tests::ejection,
            probe::{self, Passed},
            tests::check,
        },
    },
};

pub(in crate::upstream) fn pool(sources: &[&str], health: Option<HealthCheck>) -> Arc<Pool> {
    let source = |text: &&str| match text.parse() {
        Ok(address) => Source::Address(address),
        Err(_) => Source::Name { host: (*text).to_owned(), port: 80 },
    };
    let second = Duration::from_secs(1);
    Arc::new(Pool {
        name: "p".to_owned(),
        sources: sources.iter().map(source).collect(),
        balance: Balance::RoundRobin,
        health,
        ejection: ejection(5, 0.5),
        panic_threshold: 0.3,
        attempts: NonZeroUsize::MIN,
        max_connections: NonZeroUsize::MIN,
        max_idle: 1,
        timeouts: UpstreamTimeouts {
            connect: second,
            response: second,
            body_idle: second,
            idle: second,
            unacknowledged: second,
            max_age: second,
            tunnel_idle: second,
        },
    })
}

pub(in crate::upstream) fn members(pool: &Arc<Pool>) -> PoolState {
    PoolState::new(pool, 1, None, Moment::now())
}

pub(in crate::upstream) fn good() -> Outcome {
    Ok(Passed::Status(StatusCode::OK))
}

pub(in crate::upstream) fn bad() -> Outcome {
    Err(probe::Failure::Status(StatusCode::SERVICE_UNAVAILABLE))
}

fn says(addresses: &str) -> Answer {
    let v4 = addresses.split_whitespace().map(|address| address.parse::<IpAddr>().unwrap()).collect();
    Answer { v4: Ok(v4), v6: Ok(Vec::new()) }
}

fn fails() -> Answer {
    Answer { v4: Err(Failure::NoSuchName), v6: Err(Failure::NoSuchName) }
}

fn three() -> PoolState {
    members(&pool(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"], Some(check(2, 3))))
}

fn snapshot(members: &PoolState) -> Arc<PoolSnapshot> {
    members.handle().snapshot.load_full()
}

/// The last octets of those that requests go to.
fn usable(members: &PoolState) -> Vec<u8> {
    snapshot(members)
        .usable()
        .iter()
        .map(|endpoint| match endpoint.address.ip() {
            IpAddr::V4(v4) => v4.octets()[3],
            IpAddr::V6(v6) => v6.octets()[15],
        })
        .collect()
}

fn fail_requests(members: &mut PoolState, endpoint: &Endpoint, times: u32, now: Moment) {
    for _ in 0..times {
        endpoint.failed();
        members.failed(endpoint, now);
    }
}

#[test]
fn fixed_addresses_are_usable_before_anything_was_checked() {
    let members = three();
    assert_eq!(usable(&members), [1, 2, 3]);
    assert!(!snapshot(&members).panic);
    assert_eq!(snapshot(&members).endpoints[0].status().state, EndpointState::Unchecked);
}

#[test]
fn nodes_of_a_swarm_come_and_go_and_stay_while_nobody_knows_them() {
    let mut members = members(&pool(&["web"], None));
    let nodes = |addresses: &str, complaint: Option<&str>| {
        let addresses = addresses.split_whitespace().map(|address| address.parse::<IpAddr>().unwrap());
        Ok(Nodes { known: Known::of(addresses), complaint: complaint.map(str::to_owned) })
    };
    for (answer, expected, error) in [
        (Err("nobody there".to_owned()), vec![], Some("nobody there")),
        (nodes("10.0.0.1 10.0.0.2", None), vec![1, 2], None),
        (Err("status 503".to_owned()), vec![1, 2], Some("status 503")),
        (nodes("10.0.0.2 10.0.0.3", Some("one is odd")), vec![2, 3], Some("one is odd")),
        (nodes("10.0.0.3", None), vec![3], None),
    ] {
        members.listed(0, &answer, Moment::now());
        let source = snapshot(&members).sources[0].clone();
        assert_eq!((usable(&members), source.error.as_deref()), (expected, error));
    }
    let stats = &members.handle().sources[0];
    assert_eq!((stats.questions.value(), stats.failures.value()), (5, 3));
}

#[test]
fn checks_call_an_endpoint_by_the_name_it_was_found_by_and_a_node_by_its_address() {
    let address: SocketAddr = "10.0.0.1:8000".parse().unwrap();
    let called = |source: &Source| {
        let endpoint = Endpoint::new(address, source.to_string().into(), 1, SystemTime::now());
        endpoint.authority().into_owned()
    };
    assert_eq!(called(&Source::Name { host: "tasks.web".to_owned(), port: 8000 }), "tasks.web:8000");
    assert_eq!(called(&Source::Address(address)), "10.0.0.1:8000");
    assert_eq!(called(&Source::Swarm { host: "watch".to_owned(), host_port: 8080, port: 8000 }), "10.0.0.1:8000");
}

#[test]
fn a_failing_endpoint_leaves_and_comes_back() {
    let mut members = three();
    let endpoints = members.endpoints();
    for endpoint in &endpoints {
        members.checked(endpoint, &good(), Moment::now());
    }
    for _ in 0..2 {
        members.checked(&endpoints[1], &bad(), Moment::now());
        assert_eq!(usable(&members), [1, 2, 3]);
    }
    members.checked(&endpoints[1], &bad(), Moment::now());
    assert_eq!(usable(&members), [1, 3]);
    let status = endpoints[1].status();
    assert_eq!((status.state, status.reason.as_str()), (EndpointState::Unhealthy, "status 503"));
    members.checked(&endpoints[1], &good(), Moment::now());
    members.checked(&endpoints[1], &good(), Moment::now());
    assert_eq!(usable(&members), [1, 2, 3]);
    assert_eq!((endpoints[1].checks.done.value(), endpoints[1].checks.failed.value()), (6, 3));
}

#[test]
fn a_check_that_changes_nothing_publishes_nothing() {
    let mut members = three();
    let endpoints = members.endpoints();
    members.checked(&endpoints[0], &good(), Moment::now());
    let before = snapshot(&members);
    for _ in 0..5 {
        members.checked(&endpoints[0], &good(), Moment::now());
    }
    assert!(Arc::ptr_eq(&before, &snapshot(&members)));
}

#[test]
fn a_new_endpoint_waits_for_its_first_check_while_others_are_healthy() {
    let mut members = members(&pool(&["web"], Some(check(2, 3))));
    members.answered(0, &says("10.0.0.1"), Moment::now());
    members.checked(&members.endpoints()[0], &good(), Moment::now());
    members.answered(0, &says("10.0.0.1 10.0.0.2"), Moment::now());
    assert_eq!(usable(&members), [1]);
    members.checked(&members.endpoints()[1], &good(), Moment::now());
    assert_eq!(usable(&members), [1, 2]);
}

#[test]
fn an_address_that_is_no_longer_named_goes_at_once_and_returns_as_another_endpoint() {
    let mut members = members(&pool(&["web"], Some(check(2, 3))));
    members.answered(0, &says("10.0.0.1 10.0.0.2"), Moment::now());
    let before = members.endpoints();
    members.answered(0, &says("10.0.0.2"), Moment::now());
    assert_eq!(usable(&members), [2]);
    assert_eq!(members.checked(&before[0], &good(), Moment::now()), None);
    members.answered(0, &says("10.0.0.2 10.0.0.1"), Moment::now());
    let after = members.endpoints();
    assert_ne!(after[0].id, before[0].id);
    assert_eq!(members.checked(&before[0], &good(), Moment::now()), None, "a late outcome is not the new one's");
    assert_eq!(after[0].status().state, EndpointState::Unchecked);
    assert!(Arc::ptr_eq(&after[1], &before[1]));
}

#[test]
fn a_failed_question_keeps_the_endpoints_and_is_told() {
    let mut members = members(&pool(&["web"], None));
    members.answered(0, &fails(), Moment::now());
    assert!(usable(&members).is_empty());
    assert_eq!(snapshot(&members).sources[0].resolved, None);
    let good = Moment::now();
    members.answered(0, &says("10.0.0.1"), good);
    members.answered(0, &fails(), Moment { clock: good.clock + Duration::from_secs(9), ..good });
    assert_eq!(usable(&members), [1]);
    let status = snapshot(&members).sources[0].clone();
    assert_eq!(status.error.as_deref(), Some("no such name"));
    assert_eq!((status.source.as_str(), status.endpoints, status.resolved), ("web:80", 1, Some(good.clock)));
    let stats = &members.handle().sources[0];
    assert_eq!((stats.questions.value(), stats.failures.value()), (3, 2));
}

#[test]
fn the_time_of_the_last_good_answer_is_exact_when_the_next_one_fails() {
    let mut members = members(&pool(&["web"], None));
    let mut now = Moment::now();
    members.answered(0, &says("10.0.0.1"), now);
    let first = snapshot(&members);
    for _ in 0..3 {
        now.clock += Duration::from_secs(60);
        members.answered(0, &says("10.0.0.1"), now);
    }
    assert!(Arc::ptr_eq(&first, &snapshot(&members)), "an answer that says nothing new publishes nothing");
    now.clock += Duration::from_secs(60);
    members.answered(0, &fails(), now);
    assert_eq!(snapshot(&members).sources[0].resolved, Some(now.clock - Duration::from_secs(60)));
}

#[test]
fn requests_that_fail_in_a_row_eject_until_a_check_passes_after_the_time() {
    let mut members = three();
    let endpoints = members.endpoints();
    for endpoint in &endpoints {
        members.checked(endpoint, &good(), Moment::now());
    }
    let now = Moment::now();
    fail_requests(&mut members, &endpoints[0], 4, now);
    assert_eq!(usable(&members), [1, 2, 3]);
    fail_requests(&mut members, &endpoints[0], 1, now);
    assert_eq!(usable(&members), [2, 3]);
    assert_eq!(endpoints[0].status().state, EndpointState::Ejected);
    assert_eq!(members.ejected_until(&endpoints[0]), Some(Some(now.tick + Duration::from_secs(5))));
    members.checked(&endpoints[0], &good(), now);
    assert_eq!(usable(&members), [2, 3], "the time is not over");
    members.served(&endpoints[0], now);
    members.checked(&endpoints[0], &bad(), now);
    assert_eq!(usable(&members), [2, 3], "the check failed");
    members.checked(&endpoints[0], &good(), now);
    assert_eq!(usable(&members), [1, 2, 3]);
    assert_eq!((endpoints[0].failures_in_a_row(), endpoints[0].checks.ejections.value()), (0, 1));
}

#[test]
fn no_more_than_the_share_is_ejected_also_when_the_pool_shrinks() {
    let mut members = members(&pool(&["web"], None));
    let now = Moment::now();
    members.answered(0, &says("10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5"), now);
    for (endpoint, seconds) in members.endpoints().iter().zip([2, 1, 0]) {
        let now = Moment { tick: now.tick + Duration::from_secs(seconds), ..now };
        fail_requests(&mut members, endpoint, 5, now);
    }
    assert_eq!(usable(&members), [3, 4, 5]);
    members.answered(0, &says("10.0.0.1 10.0.0.2 10.0.0.3"), now);
    assert_eq!(usable(&members), [2, 3], "the one whose time is over first is back");
    members.answered(0, &says("10.0.0.1"), now);
    assert_eq!(usable(&members), [1]);
    assert!(!snapshot(&members).panic, "it is back, not used for want of others");
}

#[test]
fn without_checks_an_ejection_ends_by_itself() {
    let mut members = members(&pool(&["10.0.0.1:80", "10.0.0.2:80"], None));
    let endpoints = members.endpoints();
    fail_requests(&mut members, &endpoints[0], 5, Moment::now());
    assert_eq!(usable(&members), [2]);
    fail_requests(&mut members, &endpoints[1], 5, Moment::now());
    assert_eq!(usable(&members), [2], "the last one stays");
    members.served(&endpoints[0], Moment::now());
    assert_eq!(usable(&members), [1, 2]);
    assert_eq!(endpoints[0].status().reason, "its ejection is over");
}

#[test]
fn checks_that_fail_take_over_from_an_ejection() {
    let mut members = three();
    let endpoints = members.endpoints();
    for endpoint in &endpoints {
        members.checked(endpoint, &good(), Moment::now());
    }
    fail_requests(&mut members, &endpoints[0], 5, Moment::now());
    for _ in 0..3 {
        members.checked(&endpoints[0], &bad(), Moment::now());
    }
    assert_eq!(endpoints[0].status().state, EndpointState::Unhealthy);
    assert_eq!(members.ejected_until(&endpoints[0]), Some(None));
    for _ in 0..2 {
        members.checked(&endpoints[0], &good(), Moment::now());
    }
    assert_eq!(usable(&members), [1, 2, 3]);
    fail_requests(&mut members, &endpoints[0], 1, Moment::now());
    assert_eq!(usable(&members), [1, 2, 3], "old failures are forgotten");
}

#[test]
fn a_panic_is_counted_when_it_begins() {
    let mut members = three();
    for endpoint in members.endpoints() {
        members.checked(&endpoint, &bad(), Moment::now());
    }
    assert!(snapshot(&members).panic);
    assert_eq!((usable(&members).len(), members.handle().panics.value()), (3, 1));
    for _ in 0..2 {
        members.checked(&members.endpoints()[0], &good(), Moment::now());
    }
    assert_eq!(usable(&members), [1], "one third is not below 0.3");
    assert_eq!(members.handle().panics.value(), 1);
}

#[test]
fn a_reload_keeps_what_is_known_of_what_stays() {
    let mut old = members(&pool(&["web", "10.0.0.9:80"], Some(check(2, 3))));
    old.answered(0, &says("10.0.0.1 10.0.0.2"), Moment::now());
    let endpoints = old.endpoints();
    for (endpoint, outcome) in endpoints.iter().zip([good(), bad(), good()]) {
        old.checked(endpoint, &outcome, Moment::now());
    }
    let mut settings = (*pool(&["web"], Some(check(9, 9)))).clone();
    settings.max_idle = 7;
    let new = PoolState::new(&Arc::new(settings), 1, Some(&old), Moment::now());
    assert_eq!(usable(&new), [1]);
    assert!(Arc::ptr_eq(&new.endpoints()[0], &endpoints[0]) && Arc::ptr_eq(&new.endpoints()[1], &endpoints[1]));
    assert_eq!(new.endpoints().len(), 2, "the fixed address is no longer configured");
    assert!(Arc::ptr_eq(&new.handle().stats, &old.handle().stats));
    assert!(Arc::ptr_eq(&new.handle().sources[0], &old.handle().sources[0]));
    assert_eq!(new.handle().config.max_idle, 7);
}

#[test]
fn a_reload_that_turns_checks_off_trusts_every_endpoint_that_is_not_ejected() {
    let mut old = three();
    let endpoints = old.endpoints();
    for (endpoint, outcome) in endpoints.iter().zip([good(), good(), bad()]) {
        old.checked(endpoint, &outcome, Moment::now());
    }
    fail_requests(&mut old, &endpoints[0], 5, Moment::now());
    old.served(&endpoints[0], Moment::now());
    assert_eq!(usable(&old), [2]);
    let sources = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"];
    let new = PoolState::new(&pool(&sources, None), 1, Some(&old), Moment::now());
    assert_eq!(usable(&new), [1, 2, 3]);
    assert_eq!(endpoints[2].status().state, EndpointState::Healthy);
}
