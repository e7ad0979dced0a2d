//! The share of requests that an endpoint gets right after it has recovered.

use http::{HeaderValue, StatusCode};
use tests::{
    client::{Connection, get, request},
    upstream::Upstream,
    wait::{SOON, deadline, eventually},
};

use super::{CHECKS, Edge, LISTENER, addresses, balance::states, list};

async fn edge(upstreams: &[Upstream], settings: &str) -> Edge {
    let endpoints = list(&addresses(upstreams));
    Edge::start(&format!("{LISTENER}[pool.web]\nendpoints = {endpoints}\n{settings}\n{CHECKS}")).await
}

/// Sends requests for different paths, one after the other, and returns how many the first endpoint got.
async fn first_gets(edge: &Edge, upstreams: &[Upstream], count: usize, run: &str) -> usize {
    let requests = || upstreams[0].requests() - upstreams[0].requests_for("/healthz");
    let before = requests();
    for number in 0..count {
        let reply = deadline("the response", SOON, get(edge.address(), &format!("/{run}/{number}"))).await.unwrap();
        assert_eq!(reply.status, StatusCode::OK);
    }
    requests() - before
}

async fn restart_first(edge: &Edge, upstreams: &[Upstream]) {
    upstreams[0].kill().await;
    states(edge, upstreams, &["unhealthy", "healthy"][..upstreams.len()]).await;
    upstreams[0].restart().await;
    states(edge, upstreams, &["healthy"; 2][..upstreams.len()]).await;
}

async fn weight(edge: &Edge, upstream: &Upstream) -> f64 {
    let (status, address) = (edge.status().await, upstream.address().to_string());
    let endpoints = status["pools"][0]["endpoints"].as_array().expect("endpoints");
    let endpoint = endpoints.iter().find(|one| one["address"] == address.as_str()).expect("the endpoint");
    endpoint["weight"].as_f64().expect("a weight")
}

#[tokio::test]
async fn a_recovered_endpoint_begins_with_a_tenth_of_its_weight_whatever_the_policy() {
    for balance in ["round_robin", "least_requests", "peak_ewma", "random", "consistent_hash"] {
        let upstreams = [Upstream::start().await, Upstream::start().await];
        let key = if balance == "consistent_hash" { "hash_key = \"path\"" } else { "" };
        let settings = format!("slow_start = \"5min\"\nbalance = \"{balance}\"\n{key}");
        let edge = edge(&upstreams, &settings).await;
        states(&edge, &upstreams, &["healthy"; 2]).await;
        let before = first_gets(&edge, &upstreams, 100, "before").await;
        // With peak_ewma it depends on how fast it is.
        let fewest = if balance == "peak_ewma" { 0 } else { 25 };
        assert!((fewest..=100 - fewest).contains(&before), "{balance}: {before} of 100 after the start of the edge");
        restart_first(&edge, &upstreams).await;
        assert!(weight(&edge, &upstreams[0]).await < 0.2);
        let after = first_gets(&edge, &upstreams, 100, "after").await;
        assert!((fewest.min(1)..40).contains(&after), "{balance}: {after} of 100");
        let begun = edge.process.lines().iter().filter(|line| line.contains("endpoint starts slowly")).count();
        assert_eq!(begun, 1, "only the one that recovered");
    }
}

#[tokio::test]
async fn an_endpoint_has_all_of_its_weight_after_the_time_and_alone_it_needs_none() {
    let upstreams = [Upstream::start().await];
    let edge = edge(&upstreams, "slow_start = \"1s\"").await;
    states(&edge, &upstreams, &["healthy"]).await;
    restart_first(&edge, &upstreams).await;
    assert_eq!(first_gets(&edge, &upstreams, 20, "alone").await, 20);
    eventually("its whole weight", SOON, async || weight(&edge, &upstreams[0]).await >= 1.0).await;
}

#[tokio::test]
async fn sessions_continue_at_an_endpoint_that_starts_slowly() {
    let upstreams = [Upstream::start().await, Upstream::start().await];
    let edge = edge(&upstreams, "slow_start = \"5min\"\nsticky = true").await;
    states(&edge, &upstreams, &["healthy"; 2]).await;
    let mut cookie = None;
    eventually("a session at the first", SOON, async || {
        let before = upstreams[0].requests_for("/");
        let reply = get(edge.address(), "/").await.unwrap();
        cookie = reply.header("set-cookie").and_then(|cookie| cookie.split(';').next()).map(str::to_owned);
        upstreams[0].requests_for("/") > before
    })
    .await;
    restart_first(&edge, &upstreams).await;
    let before = upstreams[0].requests_for("/session");
    for _ in 0..20 {
        let mut head = request("www.example.com", "/session");
        head.headers_mut().insert("cookie", HeaderValue::from_str(cookie.as_deref().expect("a cookie")).unwrap());
        let mut connection = Connection::http1(edge.address()).await.unwrap();
        let reply = deadline("the response", SOON, connection.send(head)).await.unwrap();
        assert_eq!(reply.status, StatusCode::OK);
    }
    assert_eq!(upstreams[0].requests_for("/session"), before + 20);
}
