//! The admin listener of a running edge: status, metrics, health.

use http::StatusCode;
use serde_json::json;
use tests::{
    client::{get, raw::Raw},
    process::Process,
    upstream::{Behaviour, Upstream},
    wait::{SOON, eventually},
};

use super::{Edge, addresses, checked, unchecked};

#[tokio::test]
async fn requests_and_responses_are_counted_for_each_pool_and_endpoint() {
    let upstream = Upstream::start().await;
    upstream.on("/missing", Behaviour::Status(404));
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    for path in ["/", "/", "/missing"] {
        get(edge.address(), path).await.unwrap();
    }
    let status = edge.status().await;
    let pool = &status["pools"][0];
    for counted in [pool, &pool["endpoints"][0]] {
        assert_eq!((&counted["requests"], &counted["responses"]["2xx"]), (&json!(3), &json!(2)), "{counted}");
        assert_eq!(counted["responses"]["4xx"], 1, "{counted}");
    }
    let metrics = get(edge.admin, "/metrics").await.unwrap().text();
    let served = metrics.lines().filter(|line| line.starts_with("edge_requests_total{"));
    let served: u32 = served.map(|line| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap()).sum();
    assert_eq!(served, 3, "{metrics}");
}

#[tokio::test]
async fn the_status_shows_panic_until_an_endpoint_passes_its_checks() {
    let upstreams = [Upstream::start().await, Upstream::start().await];
    for upstream in &upstreams {
        upstream.on("/healthz", Behaviour::Status(500));
    }
    let edge = Edge::start(&checked(&addresses(&upstreams))).await;
    eventually("panic", SOON, async || edge.status().await["pools"][0]["panic"] == true).await;
    assert!(edge.status().await["pools"][0]["panics"].as_u64() >= Some(1));
    assert_eq!(get(edge.address(), "/").await.unwrap().status, StatusCode::OK);
    upstreams[0].on("/healthz", Behaviour::Echo);
    eventually("the end of the panic", SOON, async || edge.status().await["pools"][0]["panic"] == false).await;
}

#[tokio::test]
async fn a_running_edge_is_ready_and_a_draining_one_is_only_alive() {
    let upstream = Upstream::start().await;
    upstream.hang();
    let mut edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let address = edge.admin.to_string();
    let mut healthcheck = Process::ours("edge").args(["healthcheck", "--admin", &address]).start();
    assert_eq!(healthcheck.exit(SOON).await.code(), Some(0));
    eventually("readiness", SOON, async || get(edge.admin, "/readyz").await.unwrap().status == StatusCode::OK).await;

    let mut request = Raw::open(edge.address()).await;
    request.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the request", SOON, async || upstream.requests() == 1).await;
    edge.process.terminate();
    eventually("the drain", SOON, async || {
        get(edge.admin, "/readyz").await.unwrap().status == StatusCode::SERVICE_UNAVAILABLE
    })
    .await;
    // It is still alive: a supervisor must not kill it while it drains.
    let mut healthcheck = Process::ours("edge").args(["healthcheck", "--admin", &address]).start();
    assert_eq!(healthcheck.exit(SOON).await.code(), Some(0));
    upstream.resume();
    assert!(request.rest().await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn the_status_shows_a_failed_reload_until_one_succeeds() {
    let upstream = Upstream::start().await;
    let good = unchecked(&[upstream.address()]);
    let mut edge = Edge::start(&good).await;
    assert_eq!(edge.status().await["reload"], json!(null));
    edge.reload("nonsense").await;
    let failed = edge.status().await["reload"].clone();
    assert!(failed["error"].as_str().is_some_and(|error| error.contains("edge.toml:1")), "{failed}");
    edge.reload(&good).await;
    let passed = edge.status().await["reload"].clone();
    assert_eq!(passed["error"], json!(null), "{passed}");
}
