//! What becomes of every request while endpoints fail; `cargo run -p tests --bin ledger` compares it with other
//! proxies. See docs/resilience.md.

use std::time::Duration;

use tests::{
    ledger::{
        Load,
        proxy::Kind,
        scenario::{ALL, Aim, Scenario},
        totals::Totals,
    },
    netns,
};

const REQUESTS: usize = 500;

/// Runs a scenario on the edge. Nothing may be sent twice, whatever happens.
async fn run(scenario: &Scenario, pool: u8) -> Totals {
    run_with(REQUESTS, scenario, pool).await
}

async fn run_with(requests: usize, scenario: &Scenario, pool: u8) -> Totals {
    let load = Load { requests, connections: 16, pace: Duration::from_millis(40), in_bursts: false };
    let totals = scenario.run(Kind::Edge, pool, load).await;
    assert!(totals.requests >= requests, "{scenario:?}: {totals:?}");
    assert_eq!(totals.posts_twice, 0, "{scenario:?}: {totals:?}");
    totals
}

/// The scenarios whose name contains one of these words, each with its largest pool.
fn named(names: &[&str], aim: Aim) -> Vec<(&'static Scenario, u8)> {
    let found = names.iter().map(|name| {
        let scenario = ALL.iter().find(|scenario| scenario.name.contains(name));
        let scenario = scenario.unwrap_or_else(|| panic!("no scenario {name}"));
        assert_eq!(scenario.aim, aim, "{name}");
        (scenario, *scenario.pools.last().unwrap())
    });
    found.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_when_endpoints_are_replaced_or_scaled() {
    let names = ["replaced, start-first", "replaced, stop-first", "scaled to 10"];
    for (scenario, pool) in named(&names, Aim::Nothing) {
        let totals = run(scenario, pool).await;
        assert_eq!((totals.failed_gets, totals.failed_posts), (0, 0), "{scenario:?}: {totals:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_when_the_edge_is_reloaded_or_replaced() {
    let names = ["read again every 200 ms", "replaced 20 times", "20 times, socket inherited"];
    for (scenario, pool) in named(&names, Aim::Nothing) {
        let totals = run(scenario, pool).await;
        assert_eq!((totals.failed_gets, totals.failed_posts), (0, 0), "{scenario:?}: {totals:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_when_the_name_server_has_no_answer() {
    for (scenario, pool) in named(&["silent", "SERVFAIL", "NXDOMAIN", "without an address"], Aim::Nothing) {
        let totals = run(scenario, pool).await;
        assert_eq!((totals.failed_gets, totals.failed_posts), (0, 0), "{scenario:?}: {totals:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sudden_death_loses_no_get_and_at_most_the_posts_under_way() {
    for (scenario, pool) in named(&["is killed", "starts after 1 s", "refuses"], Aim::UnderWay) {
        assert_sudden(scenario, &run(scenario, pool).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_only_endpoint_loses_no_get_and_at_most_the_posts_under_way() {
    for (scenario, _) in named(&["starts after 1 s"], Aim::UnderWay) {
        // Five seconds: in a shorter run, the endpoint would be back sooner.
        assert_sudden(scenario, &run_with(4 * REQUESTS, scenario, 1).await);
    }
}

fn assert_sudden(scenario: &Scenario, totals: &Totals) {
    assert_eq!(totals.failed_gets, 0, "{scenario:?}: {totals:?}");
    assert!(totals.failed_posts <= totals.posts_under_way, "{scenario:?}: {totals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_endpoint_costs_no_get() {
    for (scenario, pool) in named(&["SIGSTOP"], Aim::Little) {
        let totals = run(scenario, pool).await;
        assert_eq!(totals.failed_gets, 0, "{scenario:?}: {totals:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_packets_cost_no_get() {
    match netns::isolated("edge::ledger::dropped_packets_cost_no_get") {
        Ok(true) => {}
        Ok(false) => return,
        Err(why) => return eprintln!("SKIPPED: {why}"),
    }
    for (scenario, pool) in named(&["packets from and to"], Aim::Little) {
        let totals = run(scenario, pool).await;
        assert_eq!(totals.failed_gets, 0, "{scenario:?}: {totals:?}");
    }
}
