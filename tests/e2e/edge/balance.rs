//! Which endpoint the next request goes to.

use http::StatusCode;
use tests::{
    client::get,
    upstream::Upstream,
    wait::{SOON, deadline, eventually},
};

use super::{Edge, LISTENER, addresses, unchecked};

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
