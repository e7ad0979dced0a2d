//! What becomes of every request while endpoints fail; `cargo run -p tests --bin ledger` compares it with other
//! proxies.

use std::time::Duration;

use tests::ledger::{
    Load,
    proxy::{Kind, Proxy},
    scenario::{self, Scenario},
    totals::Totals,
};

const CONNECTIONS: usize = 10;

async fn run(scenario: &Scenario, count: usize, http2: bool) -> Totals {
    let load = Load { requests: 1000, connections: CONNECTIONS, pace: Duration::from_millis(20), http2 };
    let totals = scenario.run(async |endpoints| Proxy::start(Kind::Edge, http2, endpoints), count, load).await;
    assert_eq!(totals.requests, 1000, "{scenario:?}");
    assert_eq!(totals.posts_twice, 0, "{scenario:?}: {totals:?}");
    totals
}

fn named(name: &str) -> &'static Scenario {
    let found = scenario::ALL.iter().find(|scenario| scenario.name.contains(name));
    found.unwrap_or_else(|| panic!("no scenario {name}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_when_endpoints_are_replaced_or_the_configuration_is_read_again() {
    for name in ["replaced one after the other", "read again every 200 ms", "20 times slower"] {
        for http2 in [false, true] {
            let totals = run(named(name), 3, http2).await;
            assert_eq!((totals.failed_gets, totals.failed_posts), (0, 0), "{name}: {totals:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sudden_death_loses_no_get_and_at_most_the_posts_under_way() {
    for name in ["an endpoint is killed", "starts again after 1 s", "refuses new connections"] {
        for count in [2, 3] {
            let totals = run(named(name), count, false).await;
            assert_eq!(totals.failed_gets, 0, "{name}, {count} endpoints: {totals:?}");
            assert!(totals.failed_posts <= CONNECTIONS, "{name}, {count} endpoints: {totals:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hang_costs_no_get_and_at_most_one_post_of_each_client() {
    let totals = run(named("an endpoint hangs"), 3, false).await;
    assert_eq!(totals.failed_gets, 0, "{totals:?}");
    assert!(totals.failed_posts <= CONNECTIONS, "{totals:?}");
}
