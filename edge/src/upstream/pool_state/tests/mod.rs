//! The effect of each call on a pool, without a socket or a task.

mod decisions;
mod drain;
mod evidence;
mod probation;
mod reload;
mod slow_start;

use std::{net::IpAddr, time::Duration};

use http::StatusCode;

use super::*;
use crate::{
    config::{EndpointOptions, HealthCheck, Pool, Sticky},
    upstream::{
        discovery::{AddressSet, Failure},
        health::{
            outlier::tests::ejection,
            probe::{self, Passed},
            state::tests::check,
        },
        snapshot::PoolSnapshot,
    },
};

pub(in crate::upstream) fn settings(sources: &[&str], health: Option<HealthCheck>) -> Arc<Pool> {
    let source = |text: &&str| match text.parse() {
        Ok(address) => Source::Address(address),
        Err(_) => Source::Name { host: (*text).to_owned(), port: 80 },
    };
    let sources = sources.iter().map(source).collect();
    Arc::new(Pool { health, ejection: ejection(5, 0.5), panic_threshold: 0.3, ..Pool::new("p", sources) })
}

pub(in crate::upstream) fn pool_state(settings: &Arc<Pool>) -> PoolState {
    PoolState::new(settings, 1, None, Timestamp::now())
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
    pool_state(&settings(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"], Some(check(2, 3))))
}

fn snapshot(pool: &PoolState) -> Arc<PoolSnapshot> {
    pool.handle().snapshot.load_full()
}

/// The last octets of the endpoints that requests go to.
fn usable(pool: &PoolState) -> Vec<u8> {
    snapshot(pool)
        .usable()
        .iter()
        .map(|endpoint| match endpoint.address.ip() {
            IpAddr::V4(v4) => v4.octets()[3],
            IpAddr::V6(v6) => v6.octets()[15],
        })
        .collect()
}

fn fail_requests(pool: &mut PoolState, endpoint: &Endpoint, times: u32, now: Timestamp) {
    for _ in 0..times {
        endpoint.failed();
        pool.request_failed(endpoint, now);
    }
}

#[test]
fn fixed_addresses_are_usable_before_the_first_check() {
    let pool = three();
    assert_eq!(usable(&pool), [1, 2, 3]);
    assert!(!snapshot(&pool).panic);
    assert_eq!(snapshot(&pool).endpoints[0].status().state, EndpointState::Unchecked);
}

#[test]
fn swarm_nodes_come_and_go_and_stay_while_no_list_arrives() {
    let mut pool = pool_state(&settings(&["web"], None));
    let nodes = |addresses: &str, warning: Option<&str>| {
        let addresses = addresses.split_whitespace().map(|address| address.parse::<IpAddr>().unwrap());
        Ok(Nodes { addresses: AddressSet::of(addresses), warning: warning.map(str::to_owned) })
    };
    for (answer, expected, error) in [
        (Err("nobody there".to_owned()), vec![], Some("nobody there")),
        (nodes("10.0.0.1 10.0.0.2", None), vec![1, 2], None),
        (Err("status 503".to_owned()), vec![1, 2], Some("status 503")),
        (nodes("10.0.0.2 10.0.0.3", Some("one is odd")), vec![2, 3], Some("one is odd")),
        (nodes("10.0.0.3", None), vec![3], None),
    ] {
        pool.apply_nodes(0, &answer, Timestamp::now());
        let source = snapshot(&pool).sources[0].clone();
        assert_eq!((usable(&pool), source.error.as_deref()), (expected, error));
    }
    let stats = &pool.handle().sources[0];
    assert_eq!((stats.questions.value(), stats.failures.value()), (5, 3));
}

/// The contents of a file, given as `address weight tier` for each endpoint.
fn lists(lines: &str) -> Result<Listing, String> {
    let line = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let options = EndpointOptions {
            weight: fields[1].parse().unwrap(),
            tier: fields[2].parse().unwrap(),
            ..EndpointOptions::default()
        };
        (fields[0].parse().unwrap(), options)
    };
    Ok(Listing { endpoints: lines.split(',').map(line).collect(), warning: None })
}

#[test]
fn listed_endpoints_have_their_options_and_keep_their_state_when_these_change() {
    let file = Source::File("/web.endpoints".into());
    let of_source = EndpointOptions { weight: 2, tier: 3, zone: None };
    let mut pool = Pool::new("p", vec![file.clone(), Source::Address("10.0.0.9:80".parse().unwrap())]);
    pool.options = [(file, of_source)].into();
    pool.health = Some(check(1, 1));
    let mut pool = pool_state(&Arc::new(pool));
    let options = |pool: &PoolState| -> Vec<_> {
        pool.endpoints().iter().map(|endpoint| (endpoint.weight(), endpoint.tier())).collect()
    };
    assert_eq!(options(&pool), [(1, 1)]);
    pool.apply_listing(0, &lists("10.0.0.1:80 1 1, 10.0.0.2:80 5 2"), Timestamp::now());
    assert_eq!(options(&pool), [(2, 3), (10, 4), (1, 1)]);
    for endpoint in pool.endpoints() {
        pool.check_completed(&endpoint, &good(), Timestamp::now());
    }
    let before = pool.endpoints();
    assert_eq!(usable(&pool), [9]);
    pool.check_completed(&before[2], &bad(), Timestamp::now());
    assert_eq!((usable(&pool), snapshot(&pool).last_tier), (vec![1], 3));
    pool.apply_listing(0, &lists("10.0.0.1:80 1 2, 10.0.0.2:80 1 1"), Timestamp::now());
    assert_eq!(options(&pool), [(2, 4), (2, 3), (1, 1)]);
    assert_eq!(usable(&pool), [2], "the tiers have changed places");
    let after = pool.endpoints();
    assert!(before.iter().zip(&after).all(|(one, other)| Arc::ptr_eq(one, other)));
    assert_eq!(after[2].status().state, EndpointState::Unhealthy);
    let published = snapshot(&pool);
    pool.apply_listing(0, &lists("10.0.0.1:80 1 2, 10.0.0.2:80 1 1"), Timestamp::now());
    assert!(Arc::ptr_eq(&published, &snapshot(&pool)), "nothing is new");
}

#[test]
fn listed_endpoints_stay_while_the_list_is_bad_and_over_a_reload() {
    let settings = Arc::new(Pool { health: None, ..Pool::new("p", vec![Source::File("/web.endpoints".into())]) });
    let mut pool = pool_state(&settings);
    pool.apply_listing(0, &Err("line 1: wrong".to_owned()), Timestamp::now());
    assert!(usable(&pool).is_empty());
    pool.apply_listing(0, &lists("10.0.0.1:80 7 1, 10.0.0.2:80 1 1"), Timestamp::now());
    let before = pool.endpoints();
    pool.apply_listing(0, &Err("line 2: wrong".to_owned()), Timestamp::now());
    let source = snapshot(&pool).sources[0].clone();
    assert_eq!((usable(&pool), source.endpoints, source.error.as_deref()), (vec![1, 2], 2, Some("line 2: wrong")));
    let reloaded = PoolState::new(&settings, 1, Some(&pool), Timestamp::now());
    assert_eq!((usable(&reloaded), reloaded.endpoints()[0].weight()), (vec![1, 2], 7));
    assert!(Arc::ptr_eq(&reloaded.endpoints()[0], &before[0]));
}

#[test]
fn each_new_error_of_a_file_is_logged_and_a_name_that_fails_once() {
    let now = SystemTime::now();
    let news = |source: Source| {
        let mut state = SourceState::new(source, now);
        ["a", "a", "b"].map(|error| {
            let is_news = state.is_news(error);
            state.error = Some(error.to_owned());
            is_news
        })
    };
    assert_eq!(news(Source::File("/f".into())), [true, false, true]);
    assert_eq!(news(Source::Services { name: "web".to_owned() }), [true, false, false]);
}

#[test]
fn host_of_a_check_is_the_resolved_name_or_the_address_of_a_node() {
    let address: SocketAddr = "10.0.0.1:8000".parse().unwrap();
    let called = |source: &Source| {
        let endpoint = Endpoint::new(address, source.to_string().into(), 1, SystemTime::now());
        endpoint.authority().into_owned()
    };
    assert_eq!(called(&Source::Name { host: "tasks.web".to_owned(), port: 8000 }), "tasks.web:8000");
    assert_eq!(called(&Source::Address(address)), "10.0.0.1:8000");
    assert_eq!(called(&Source::Services { name: "_http._tcp.web".to_owned() }), "10.0.0.1:8000");
    assert_eq!(called(&Source::File("/web.endpoints".into())), "10.0.0.1:8000");
    assert_eq!(called(&Source::Swarm { host: "watch".to_owned(), host_port: 8080, port: 8000 }), "10.0.0.1:8000");
}

#[test]
fn failing_endpoint_leaves_and_returns() {
    let mut pool = three();
    let endpoints = pool.endpoints();
    for endpoint in &endpoints {
        pool.check_completed(endpoint, &good(), Timestamp::now());
    }
    for _ in 0..2 {
        pool.check_completed(&endpoints[1], &bad(), Timestamp::now());
        assert_eq!(usable(&pool), [1, 2, 3]);
    }
    pool.check_completed(&endpoints[1], &bad(), Timestamp::now());
    assert_eq!(usable(&pool), [1, 3]);
    let status = endpoints[1].status();
    assert_eq!((status.state, status.reason.as_str()), (EndpointState::Unhealthy, "status 503"));
    pool.check_completed(&endpoints[1], &good(), Timestamp::now());
    pool.check_completed(&endpoints[1], &good(), Timestamp::now());
    assert_eq!(usable(&pool), [1, 2, 3]);
    assert_eq!((endpoints[1].checks.done.value(), endpoints[1].checks.failed.value()), (6, 3));
}

#[test]
fn passing_check_ends_an_ejection_of_an_endpoint_that_was_unreachable_only() {
    for (unreachable, port, expected) in [
        (true, None, vec![1, 2, 3]),
        (true, Some(80), vec![1, 2, 3]),
        (true, Some(81), vec![1, 3]),
        (false, None, vec![1, 3]),
    ] {
        let check = HealthCheck { port, ..check(2, 3) };
        let mut pool = pool_state(&settings(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"], Some(check)));
        let endpoints = pool.endpoints();
        for endpoint in &endpoints {
            pool.check_completed(endpoint, &good(), Timestamp::now());
        }
        let now = Timestamp::now();
        for _ in 0..pool.handle().config.ejection.consecutive_failures {
            endpoints[1].connect_failed();
            pool.request_failed(&endpoints[1], now);
        }
        if !unreachable {
            endpoints[1].failed();
        }
        assert_eq!(usable(&pool), [1, 3]);
        pool.check_completed(&endpoints[1], &bad(), now);
        assert_eq!(usable(&pool), [1, 3]);
        pool.check_completed(&endpoints[1], &good(), now);
        assert_eq!(usable(&pool), expected, "unreachable: {unreachable}, port {port:?}");
    }
}

#[test]
fn check_that_changes_nothing_publishes_nothing() {
    let mut pool = three();
    let endpoints = pool.endpoints();
    pool.check_completed(&endpoints[0], &good(), Timestamp::now());
    let before = snapshot(&pool);
    for _ in 0..5 {
        pool.check_completed(&endpoints[0], &good(), Timestamp::now());
    }
    assert!(Arc::ptr_eq(&before, &snapshot(&pool)));
}

#[test]
fn new_endpoint_waits_for_its_first_check_while_others_are_healthy() {
    let mut pool = pool_state(&settings(&["web"], Some(check(2, 3))));
    pool.apply_answer(0, &says("10.0.0.1"), Timestamp::now());
    pool.check_completed(&pool.endpoints()[0], &good(), Timestamp::now());
    pool.apply_answer(0, &says("10.0.0.1 10.0.0.2"), Timestamp::now());
    assert_eq!(usable(&pool), [1]);
    pool.check_completed(&pool.endpoints()[1], &good(), Timestamp::now());
    assert_eq!(usable(&pool), [1, 2]);
}

#[test]
fn missing_address_is_removed_at_once_and_returns_as_another_endpoint() {
    let mut pool = pool_state(&settings(&["web"], Some(check(2, 3))));
    pool.apply_answer(0, &says("10.0.0.1 10.0.0.2"), Timestamp::now());
    let before = pool.endpoints();
    pool.apply_answer(0, &says("10.0.0.2"), Timestamp::now());
    assert_eq!(usable(&pool), [2]);
    assert_eq!(pool.check_completed(&before[0], &good(), Timestamp::now()), None);
    pool.apply_answer(0, &says("10.0.0.2 10.0.0.1"), Timestamp::now());
    let after = pool.endpoints();
    assert_ne!(after[0].id, before[0].id);
    assert_eq!(
        pool.check_completed(&before[0], &good(), Timestamp::now()),
        None,
        "a late outcome does not count for the new one"
    );
    assert_eq!(after[0].status().state, EndpointState::Unchecked);
    assert!(Arc::ptr_eq(&after[1], &before[1]));
}

#[test]
fn failed_query_keeps_the_endpoints_and_is_reported() {
    let mut pool = pool_state(&settings(&["web"], None));
    pool.apply_answer(0, &fails(), Timestamp::now());
    assert!(usable(&pool).is_empty());
    assert_eq!(snapshot(&pool).sources[0].resolved, None);
    let good = Timestamp::now();
    pool.apply_answer(0, &says("10.0.0.1"), good);
    pool.apply_answer(0, &fails(), Timestamp { wall_clock: good.wall_clock + Duration::from_secs(9), ..good });
    assert_eq!(usable(&pool), [1]);
    let status = snapshot(&pool).sources[0].clone();
    assert_eq!(status.error.as_deref(), Some("no such name"));
    assert_eq!((status.source.as_str(), status.endpoints, status.resolved), ("web:80", 1, Some(good.wall_clock)));
    let stats = &pool.handle().sources[0];
    assert_eq!((stats.questions.value(), stats.failures.value()), (3, 2));
}

#[test]
fn time_of_the_last_good_answer_is_exact_after_a_failure() {
    let mut pool = pool_state(&settings(&["web"], None));
    let mut now = Timestamp::now();
    pool.apply_answer(0, &says("10.0.0.1"), now);
    let first = snapshot(&pool);
    for _ in 0..3 {
        now.wall_clock += Duration::from_secs(60);
        pool.apply_answer(0, &says("10.0.0.1"), now);
    }
    assert!(Arc::ptr_eq(&first, &snapshot(&pool)), "an unchanged answer publishes nothing");
    now.wall_clock += Duration::from_secs(60);
    pool.apply_answer(0, &fails(), now);
    assert_eq!(snapshot(&pool).sources[0].resolved, Some(now.wall_clock - Duration::from_secs(60)));
}

#[test]
fn consecutive_failures_eject_until_a_check_passes_after_the_time() {
    let mut pool = three();
    let endpoints = pool.endpoints();
    for endpoint in &endpoints {
        pool.check_completed(endpoint, &good(), Timestamp::now());
    }
    let now = Timestamp::now();
    fail_requests(&mut pool, &endpoints[0], 4, now);
    assert_eq!(usable(&pool), [1, 2, 3]);
    fail_requests(&mut pool, &endpoints[0], 1, now);
    assert_eq!(usable(&pool), [2, 3]);
    assert_eq!(endpoints[0].status().state, EndpointState::Ejected);
    assert_eq!(pool.ejected_until(&endpoints[0]), Some(Some(now.instant + Duration::from_secs(5))));
    pool.check_completed(&endpoints[0], &good(), now);
    assert_eq!(usable(&pool), [2, 3], "the time is not over");
    pool.ejection_expired(&endpoints[0], now);
    pool.check_completed(&endpoints[0], &bad(), now);
    assert_eq!(usable(&pool), [2, 3], "the check failed");
    pool.check_completed(&endpoints[0], &good(), now);
    assert_eq!(usable(&pool), [1, 2, 3]);
    assert_eq!((endpoints[0].failures_in_a_row(), endpoints[0].checks.ejections.value()), (0, 1));
}

#[test]
fn ejected_share_stays_within_its_limit_when_the_pool_shrinks() {
    let mut pool = pool_state(&settings(&["web"], None));
    let now = Timestamp::now();
    pool.apply_answer(0, &says("10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5"), now);
    for (endpoint, seconds) in pool.endpoints().iter().zip([2, 1, 0]) {
        let now = Timestamp { instant: now.instant + Duration::from_secs(seconds), ..now };
        fail_requests(&mut pool, endpoint, 5, now);
    }
    assert_eq!(usable(&pool), [3, 4, 5]);
    pool.apply_answer(0, &says("10.0.0.1 10.0.0.2 10.0.0.3"), now);
    assert_eq!(usable(&pool), [2, 3], "the earliest ejection ended");
    pool.apply_answer(0, &says("10.0.0.1"), now);
    assert_eq!(usable(&pool), [1]);
    assert!(!snapshot(&pool).panic, "its ejection ended; the pool is not in panic");
}

#[test]
fn without_checks_an_ejection_ends_after_its_time() {
    let mut pool = pool_state(&settings(&["10.0.0.1:80", "10.0.0.2:80"], None));
    let endpoints = pool.endpoints();
    fail_requests(&mut pool, &endpoints[0], 5, Timestamp::now());
    assert_eq!(usable(&pool), [2]);
    fail_requests(&mut pool, &endpoints[1], 5, Timestamp::now());
    assert_eq!(usable(&pool), [2], "the last endpoint is not ejected");
    pool.ejection_expired(&endpoints[0], Timestamp::now());
    assert_eq!(usable(&pool), [1, 2]);
    assert_eq!(endpoints[0].status().state, EndpointState::Probation);
}

#[test]
fn failing_checks_replace_an_ejection() {
    let mut pool = three();
    let endpoints = pool.endpoints();
    for endpoint in &endpoints {
        pool.check_completed(endpoint, &good(), Timestamp::now());
    }
    fail_requests(&mut pool, &endpoints[0], 5, Timestamp::now());
    for _ in 0..3 {
        pool.check_completed(&endpoints[0], &bad(), Timestamp::now());
    }
    assert_eq!(endpoints[0].status().state, EndpointState::Unhealthy);
    assert_eq!(pool.ejected_until(&endpoints[0]), Some(None));
    for _ in 0..2 {
        pool.check_completed(&endpoints[0], &good(), Timestamp::now());
    }
    assert_eq!(usable(&pool), [1, 2, 3]);
    fail_requests(&mut pool, &endpoints[0], 1, Timestamp::now());
    assert_eq!(usable(&pool), [1, 2, 3], "old failures do not count");
}

#[test]
fn panic_is_counted_when_it_begins() {
    let mut pool = three();
    for endpoint in pool.endpoints() {
        pool.check_completed(&endpoint, &bad(), Timestamp::now());
    }
    assert!(snapshot(&pool).panic);
    assert_eq!((usable(&pool).len(), pool.handle().panics.value()), (3, 1));
    for _ in 0..2 {
        pool.check_completed(&pool.endpoints()[0], &good(), Timestamp::now());
    }
    assert_eq!(usable(&pool), [1], "one third is not below 0.3");
    assert_eq!(pool.handle().panics.value(), 1);
}

#[test]
fn only_usable_endpoints_continue_their_sessions() {
    let sources = ["10.0.0.1:80", "10.0.0.2:80"];
    let settings = settings(&sources, Some(check(1, 1)));
    let settings = Arc::new(Pool { sticky: Some(Sticky::new("p")), ..Pool::clone(&settings) });
    let mut pool = pool_state(&settings);
    let endpoints = pool.endpoints();
    for endpoint in &endpoints {
        pool.check_completed(endpoint, &good(), Timestamp::now());
    }
    let known = |pool: &PoolState| {
        let (snapshot, tags) = (snapshot(pool), pool.handle().tags.as_ref().unwrap());
        [0, 1].map(|index| snapshot.sessions.endpoint(tags.of(endpoints[index].address)).is_some())
    };
    assert_eq!(known(&pool), [true, true]);
    pool.check_completed(&endpoints[0], &bad(), Timestamp::now());
    assert_eq!(known(&pool), [false, true]);
    pool.check_completed(&endpoints[1], &bad(), Timestamp::now());
    assert_eq!(known(&pool), [true, true], "in a panic all are used");
}
