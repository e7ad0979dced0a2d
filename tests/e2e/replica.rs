//! Shared by the tests of the counter: a replica as a process, and the content of its responses.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use http::{HeaderMap, StatusCode, Version};
use tests::client::{Reply, get, load::Record};
use tests::process::{Plan, Process};
use tests::redis::Redis;
use tests::wait::{SOON, eventually};

/// An address with a port that the kernel chooses.
pub(crate) const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A running `app`. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Replica {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Replica {
    /// Starts `plan`, which must not contain `--listen`.
    pub(crate) async fn start(plan: Plan, listen: SocketAddr) -> Self {
        let mut process = plan.args(["--listen", &listen.to_string()]).start();
        let address = address(&process.line("\"listening\"").await);
        Self { process, address }
    }

    /// Starts a replica that counts in `redis`.
    pub(crate) async fn on_redis(redis: &Redis) -> Self {
        Self::start(plan(&["--redis-url", &redis.url()]), ANY).await
    }

    /// Returns the response to a GET.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        get(self.address, path).await.expect("an answer")
    }

    /// Makes a visit that must succeed, and returns its number.
    pub(crate) async fn visit(&self) -> u64 {
        number(&self.get("/").await)
    }

    /// Returns the number of visits that it has answered since its start.
    pub(crate) async fn hits(&self) -> u64 {
        let metrics = self.get("/metrics").await.text();
        let line = metrics.lines().find_map(|line| line.strip_prefix("app_hits_total "));
        line.and_then(|count| count.parse().ok()).expect("the metric")
    }

    /// Waits until it reports that it can count.
    pub(crate) async fn ready(&self, within: Duration) {
        eventually("readiness", within, async || {
            get(self.address, "/readyz").await.is_ok_and(|reply| reply.status == StatusCode::OK)
        })
        .await;
    }

    /// Sends SIGTERM, waits for the end, and returns the exit code.
    pub(crate) async fn drain(&mut self) -> Option<i32> {
        self.process.terminate();
        self.process.exit(SOON).await.code()
    }
}

/// Returns a plan to run `app` with these arguments.
pub(crate) fn plan(arguments: &[&str]) -> Plan {
    Process::ours("app").args(arguments)
}

/// Returns the address in a line of the log.
pub(crate) fn address(line: &str) -> SocketAddr {
    let address = line.split_once("\"address\":\"").and_then(|(_, rest)| rest.split('"').next());
    address.and_then(|address| address.parse().ok()).expect("an address")
}

/// Returns the number in a page.
pub(crate) fn number(reply: &Reply) -> u64 {
    let text = reply.text();
    let number = text.strip_prefix("Hello World! I have been seen ").and_then(|rest| rest.strip_suffix(" times.\n"));
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{}: {text:?}", reply.status))
}

/// Returns the numbers of all visits that succeeded, in ascending order. Fails if a number was returned twice.
pub(crate) fn numbers(records: &[Record]) -> Vec<u64> {
    let pages = records.iter().filter(|record| record.is_ok()).filter_map(|record| record.outcome.as_ref().ok());
    let mut numbers: Vec<u64> = pages.map(number).collect();
    let mut seen = HashSet::new();
    let twice: Vec<u64> = numbers.iter().copied().filter(|number| !seen.insert(*number)).collect();
    assert!(twice.is_empty(), "returned twice: {twice:?}");
    numbers.sort_unstable();
    numbers
}

/// Asserts that exactly the `expected` numbers were returned.
pub(crate) fn assert_exactly(numbers: &[u64], expected: RangeInclusive<u64>) {
    let missing: Vec<u64> = expected.clone().filter(|number| numbers.binary_search(number).is_err()).collect();
    assert!(missing.is_empty(), "counted up to {}, but never returned {missing:?}", expected.end());
    let others: Vec<&u64> = numbers.iter().filter(|number| !expected.contains(number)).collect();
    assert!(others.is_empty(), "returned, but not counted: {others:?}");
}

/// Asserts that a visit that started after the response of another was read got a larger number.
pub(crate) fn assert_in_order(records: &[Record]) {
    let visits = records.iter().filter(|record| record.is_ok());
    let visits: Vec<_> = visits
        .filter_map(|record| Some((record.started, record.ended, number(record.outcome.as_ref().ok()?))))
        .collect();
    let mut by_start = visits.clone();
    by_start.sort_by_key(|(started, ..)| *started);
    let mut by_end = visits;
    by_end.sort_by_key(|(_, ended, _)| *ended);
    let mut ended = by_end.into_iter().peekable();
    let mut largest = 0;
    for (started, _, number) in by_start {
        while let Some((.., before)) = ended.next_if(|(_, ended, _)| *ended < started) {
            largest = largest.max(before);
        }
        assert!(number > largest, "{number} was returned to a visit that started after {largest} was read");
    }
}

/// Asserts that all requests got a response with status 200.
pub(crate) fn assert_all_ok(records: &[Record]) {
    let failed: Vec<_> = records.iter().filter(|record| !record.is_ok()).collect();
    assert!(failed.is_empty(), "{} of {} failed: {:#?}", failed.len(), records.len(), failed.first());
    assert!(!records.is_empty(), "no request was made");
}

/// Creates the record of a visit between two seconds that got `number`.
fn visit(started: u64, ended: u64, number: u64, zero: Instant) -> Record {
    let reply = Reply {
        status: StatusCode::OK,
        version: Version::HTTP_11,
        headers: HeaderMap::new(),
        body: format!("Hello World! I have been seen {number} times.\n").into(),
        trailers: HeaderMap::new(),
    };
    let at = |second| zero + Duration::from_secs(second);
    Record { connection: 0, started: at(started), ended: at(ended), outcome: Ok(reply) }
}

#[test]
fn visits_at_the_same_time_may_get_their_numbers_in_any_order() {
    let zero = Instant::now();
    assert_in_order(&[visit(0, 5, 2, zero), visit(4, 6, 1, zero), visit(7, 8, 3, zero)]);
}

#[test]
#[should_panic(expected = "1 was returned to a visit that started after 2 was read")]
fn a_smaller_number_for_a_later_visit_is_found() {
    let zero = Instant::now();
    assert_in_order(&[visit(0, 9, 3, zero), visit(0, 5, 2, zero), visit(6, 7, 1, zero)]);
}
