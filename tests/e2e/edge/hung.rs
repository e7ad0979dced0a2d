//! Endpoints that hang: the kernel accepts connections for them, but the program does not answer.

use http::StatusCode;
use tests::{
    client::{Connection, get},
    upstream::{Behaviour, Upstream},
    wait::{SOON, deadline, eventually},
};

use super::{Edge, LISTENER, list, unchecked};

/// Checks and timeouts with which only a request that waits can find a hung endpoint in the time of a test.
const SETTINGS: &str = r#"
[pool.web.health]
path = "/healthz"
interval = "2s"
timeout = "500ms"
fall = 100
[pool.web.timeouts]
response = "1h"
"#;

#[tokio::test]
async fn a_get_to_a_stopped_program_is_sent_elsewhere_and_the_program_is_used_again_when_it_continues() {
    let upstreams = [Upstream::start().await, Upstream::start().await];
    // A program that can be stopped: another edge in front of the first upstream.
    let mut stopped = Edge::start(&unchecked(&[upstreams[0].address()])).await;
    let endpoints = list(&[stopped.address(), upstreams[1].address()]);
    let mut edge = Edge::start(&format!("{LISTENER}[pool.web]\nendpoints = {endpoints}\n{SETTINGS}")).await;
    let mut client = Connection::http1(edge.address()).await.unwrap();
    eventually("checks and requests at both", SOON, async || {
        assert_eq!(client.get("/").await.unwrap().status, StatusCode::OK);
        upstreams.iter().all(|upstream| upstream.requests_for("/healthz") > 0 && upstream.requests_for("/") > 0)
    })
    .await;
    stopped.process.freeze();
    let before = upstreams[1].requests_for("/");
    for _ in 0..4 {
        let reply = deadline("a response", SOON, client.get("/")).await.unwrap();
        assert_eq!(reply.status, StatusCode::OK);
    }
    assert_eq!(upstreams[1].requests_for("/"), before + 4);
    edge.process.line("no answer within 500ms, and none to requests").await;
    stopped.process.thaw();
    let before = upstreams[0].requests_for("/");
    eventually("a request to the first", SOON, async || {
        assert_eq!(get(edge.address(), "/").await.unwrap().status, StatusCode::OK);
        upstreams[0].requests_for("/") > before
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_with_a_slow_url_whose_checks_pass_stays_in_use() {
    let upstream = Upstream::start().await;
    upstream.on("/slow", Behaviour::Silence);
    let endpoints = list(&[upstream.address()]);
    let edge = Edge::start(&format!("{LISTENER}[pool.web]\nendpoints = {endpoints}\n{SETTINGS}")).await;
    let address = edge.address();
    let slow = tokio::spawn(async move { get(address, "/slow").await });
    eventually("the slow request", SOON, async || upstream.requests_for("/slow") == 1).await;
    let before = upstream.requests_for("/healthz");
    eventually("checks meanwhile", SOON, async || upstream.requests_for("/healthz") >= before + 4).await;
    assert_eq!(get(address, "/").await.unwrap().status, StatusCode::OK);
    assert!(!edge.process.lines().iter().any(|line| line.contains("unhealthy")));
    slow.abort();
}
