//! Which endpoint the next request goes to.

use std::{collections::HashSet, time::Duration};

use http::StatusCode;
use serde_json::Value;
use tests::{
    client::{get, load::Load},
    upstream::{Behaviour, Upstream},
    wait::{SOON, deadline, eventually},
};

use super::{CHECKS, Edge, LISTENER, addresses, assert_all_ok, checked, run, unchecked};

/// Sends requests one after the other, each on a connection of its own, whose worker the kernel chooses.
async fn get_many(edge: &Edge, count: usize) {
    for _ in 0..count {
        let reply = deadline("the response", SOON, get(edge.address(), "/")).await.unwrap();
        assert_eq!(reply.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn each_endpoint_gets_the_share_that_its_weight_says() {
    let upstreams = [Upstream::start().await, Upstream::start().await, Upstream::start().await];
    let [a, b, c] = upstreams.each_ref().map(Upstream::address);
    let endpoints = format!("[{{ address = \"{a}\", weight = 5 }}, \"{b}\", {{ address = \"{c}\", weight = 2 }}]");
    let edge = Edge::start(&format!("{LISTENER}[pool.web]\nendpoints = {endpoints}\nhealth = false\n")).await;
    get_many(&edge, 160).await;
    // Two workers, each of which may be in the middle of a round.
    for (upstream, expected) in upstreams.iter().zip([100_usize, 20, 40]) {
        let requests = upstream.requests();
        assert!(requests.abs_diff(expected) <= 4, "{requests} instead of {expected}");
    }
}

#[tokio::test]
async fn least_requests_counts_the_requests_of_all_workers() {
    let upstreams = [Upstream::start().await, Upstream::start().await];
    let [hung, other] = &upstreams;
    hung.hang();
    let edge = Edge::start(&format!("{}balance = \"least_requests\"\n", unchecked(&addresses(&upstreams)))).await;
    let mut waiting = Vec::new();
    for _ in 0..60 {
        // Each connection belongs to a worker that the kernel chooses.
        let request = tokio::spawn(get(edge.address(), "/"));
        eventually("a response, or a request that waits for one", SOON, async || {
            request.is_finished() || hung.requests() > waiting.len()
        })
        .await;
        if request.is_finished() {
            assert_eq!(request.await.unwrap().unwrap().status, StatusCode::OK);
        } else {
            waiting.push(request);
        }
    }
    // The first that went there. Two workers that count their own requests would send one each.
    assert_eq!((hung.requests(), other.requests()), (1, 59));
}

/// Waits until the edge reports these states of its endpoints.
pub(super) async fn states(edge: &Edge, upstreams: &[Upstream], expected: &[&str]) {
    eventually("the states of the endpoints", SOON, async || {
        let status = edge.status().await;
        let endpoints = status["pools"][0]["endpoints"].as_array().expect("endpoints");
        upstreams.iter().zip(expected).all(|(upstream, expected)| {
            let address = upstream.address().to_string();
            endpoints.iter().any(|one| one["address"] == address.as_str() && one["state"] == *expected)
        })
    })
    .await;
}

fn requests(upstreams: &[Upstream]) -> Vec<usize> {
    upstreams.iter().map(|upstream| upstream.requests_for("/")).collect()
}

#[tokio::test]
async fn a_backup_gets_requests_only_while_the_others_are_down() {
    let upstreams = [Upstream::start().await, Upstream::start().await, Upstream::start().await];
    let [a, b, backup] = upstreams.each_ref().map(Upstream::address);
    let endpoints = format!("[\"{a}\", \"{b}\", {{ address = \"{backup}\", backup = true }}]");
    let mut edge = Edge::start(&format!("{LISTENER}[pool.web]\nendpoints = {endpoints}\n{CHECKS}")).await;
    states(&edge, &upstreams, &["healthy"; 3]).await;
    let before = requests(&upstreams)[2];
    get_many(&edge, 20).await;
    upstreams[0].kill().await;
    states(&edge, &upstreams, &["unhealthy", "healthy", "healthy"]).await;
    get_many(&edge, 20).await;
    assert_eq!(requests(&upstreams)[2], before, "one of the others is up");
    upstreams[1].kill().await;
    states(&edge, &upstreams, &["unhealthy", "unhealthy", "healthy"]).await;
    get_many(&edge, 20).await;
    assert_eq!(requests(&upstreams)[2], before + 20);
    edge.process.line("using a further tier").await;
    upstreams[0].restart().await;
    states(&edge, &upstreams, &["healthy", "unhealthy", "healthy"]).await;
    get_many(&edge, 20).await;
    assert_eq!(requests(&upstreams)[2], before + 20, "it is no longer needed");
    let not_needed = edge.process.lines().iter().any(|line| line.contains("of the first tier are usable again"));
    assert!(not_needed);
}

/// Requests each path once, and returns the endpoint that got it.
async fn owners(edge: &Edge, upstreams: &[Upstream], paths: &[String]) -> Vec<usize> {
    let mut owners = Vec::new();
    for path in paths {
        let before: Vec<_> = upstreams.iter().map(|upstream| upstream.requests_for(path)).collect();
        let reply = deadline("the response", SOON, get(edge.address(), path)).await.unwrap();
        assert_eq!(reply.status, StatusCode::OK);
        let asked = upstreams.iter().zip(before).position(|(upstream, before)| upstream.requests_for(path) > before);
        owners.push(asked.expect("an endpoint"));
    }
    owners
}

#[tokio::test]
async fn consistent_hashing_moves_only_the_keys_of_an_endpoint_that_dies() {
    let upstreams =
        [Upstream::start().await, Upstream::start().await, Upstream::start().await, Upstream::start().await];
    let config = checked(&addresses(&upstreams));
    let hash = "[pool.web]\nbalance = \"consistent_hash\"\nhash_key = \"path\"\n";
    let config = config.replace("[pool.web]\n", hash);
    let edges = [Edge::start(&config).await, Edge::start(&config).await];
    let paths: Vec<_> = (0..60).map(|number| format!("/item/{number}")).collect();
    let before = owners(&edges[0], &upstreams, &paths).await;
    assert_eq!(owners(&edges[1], &upstreams, &paths).await, before, "every edge finds the same endpoints");
    for upstream in 0..4 {
        assert!(before.iter().filter(|owner| **owner == upstream).count() > 5, "{before:?}");
    }
    upstreams[2].kill().await;
    states(&edges[0], &upstreams, &["healthy", "healthy", "unhealthy", "healthy"]).await;
    let without = owners(&edges[0], &upstreams, &paths).await;
    for (before, without) in before.iter().zip(&without) {
        assert!(without == before || *before == 2, "{before} to {without}");
    }
    let moved: HashSet<_> = before.iter().zip(&without).filter(|(before, _)| **before == 2).map(|(_, to)| to).collect();
    assert!(moved.len() > 1, "they go to several others");
    upstreams[2].restart().await;
    states(&edges[0], &upstreams, &["healthy"; 4]).await;
    assert_eq!(owners(&edges[0], &upstreams, &paths).await, before);
}

#[tokio::test]
async fn peak_ewma_avoids_an_endpoint_that_is_slow_or_refuses_connections() {
    for refuses in [false, true] {
        let upstreams = [Upstream::start().await, Upstream::start().await, Upstream::start().await];
        let config = format!("{}balance = \"peak_ewma\"\n", unchecked(&addresses(&upstreams)));
        let edge = Edge::start(&format!("{config}ejection.consecutive_failures = 0\n")).await;
        if refuses {
            upstreams[0].kill().await;
        } else {
            upstreams[0].on("/", Behaviour::SlowHead(Duration::from_millis(300)));
        }
        let load = Load::on(&edge.addresses).connections(4).start();
        eventually("load", SOON, async || load.done() > 1000).await;
        assert_all_ok(&load.stop().await);
        let (status, avoided) = (edge.status().await, upstreams[0].address().to_string());
        let endpoints = status["pools"][0]["endpoints"].as_array().expect("endpoints");
        let attempts = endpoints.iter().find(|one| one["address"] == avoided.as_str()).map(|one| &one["requests"]);
        // Each worker tries it, and tries it again when it has forgotten.
        assert!(attempts.and_then(Value::as_u64).is_some_and(|attempts| attempts < 100), "{status:#}");
    }
}

#[tokio::test]
async fn endpoints_of_the_edges_zone_get_its_requests_while_they_are_enough() {
    let upstreams = [Upstream::start().await, Upstream::start().await, Upstream::start().await];
    let zones = upstreams.iter().zip(["a", "a", "b"]);
    let endpoints = zones.map(|(one, zone)| format!("{{ address = \"{}\", zone = \"{zone}\" }}", one.address()));
    let endpoints = endpoints.collect::<Vec<_>>().join(", ");
    let config = format!("{LISTENER}[pool.web]\nendpoints = [{endpoints}]\n{CHECKS}");
    let edge = Edge::start_by(&config, |folder| run(folder).args(["--zone", "a"])).await;
    states(&edge, &upstreams, &["healthy"; 3]).await;
    let before = requests(&upstreams)[2];
    get_many(&edge, 20).await;
    assert_eq!(requests(&upstreams)[2], before, "it is in another zone");
    upstreams[0].kill().await;
    states(&edge, &upstreams, &["unhealthy", "healthy", "healthy"]).await;
    get_many(&edge, 20).await;
    let others = requests(&upstreams)[2] - before;
    assert!((8..=12).contains(&others), "{others} of 20");
    upstreams[0].restart().await;
    states(&edge, &upstreams, &["healthy"; 3]).await;
    let before = requests(&upstreams)[2];
    get_many(&edge, 20).await;
    assert_eq!(requests(&upstreams)[2], before, "the zone has enough again");
}
