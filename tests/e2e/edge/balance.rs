//! Which endpoint the next request goes to.

use http::StatusCode;
use tests::{
    client::get,
    upstream::Upstream,
    wait::{SOON, eventually},
};

use super::{Edge, addresses, unchecked};

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
