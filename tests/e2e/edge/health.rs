//! Health checks and ejection: endpoints that die, hang and recover under load.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use http::StatusCode;
use tests::{
    client::{get, load::Load},
    upstream::{Behaviour, Upstream},
    wait::{SOON, deadline, eventually, eventually_some},
};

use super::{Edge, addresses, assert_all_ok, checked, unchecked};

async fn three_upstreams() -> [Upstream; 3] {
    [Upstream::start().await, Upstream::start().await, Upstream::start().await]
}

/// Waits until each of these upstreams has received another request.
async fn each_gets_a_request(upstreams: &[Upstream]) {
    let before: Vec<usize> = upstreams.iter().map(|upstream| upstream.requests_for("/")).collect();
    eventually("a request to each", SOON, async || {
        upstreams.iter().zip(&before).all(|(upstream, before)| upstream.requests_for("/") > *before)
    })
    .await;
}

/// Waits until the edge logs `message` about `upstream`.
async fn logs(edge: &Edge, message: &str, upstream: &Upstream) {
    let endpoint = upstream.address().to_string();
    eventually_some(message, SOON, async || {
        let lines = edge.process.lines().into_iter();
        lines.rev().find(|line| line.contains(message) && line.contains(&endpoint))
    })
    .await;
}

fn load(edge: SocketAddr) -> Load {
    Load::on(&[edge]).connections(32)
}

#[tokio::test]
async fn no_request_fails_when_an_endpoint_dies_and_restarts_under_load() {
    let upstreams = three_upstreams().await;
    let edge = Edge::start(&checked(&addresses(&upstreams))).await;
    let load = load(edge.address()).start();
    for round in 0..2 {
        each_gets_a_request(&upstreams).await;
        upstreams[round].kill().await;
        each_gets_a_request(&upstreams[round + 1..]).await;
        let done = load.done();
        eventually("load on the others", SOON, async || load.done() > done + 200).await;
        upstreams[round].restart().await;
    }
    each_gets_a_request(&upstreams).await;
    assert_all_ok(&load.stop().await);
}

#[tokio::test]
async fn requests_to_an_endpoint_that_hangs_are_sent_to_another() {
    let upstreams = three_upstreams().await;
    let edge = Edge::start(&checked(&addresses(&upstreams))).await;
    let load = load(edge.address()).start();
    each_gets_a_request(&upstreams).await;
    upstreams[0].hang();
    let answered = upstreams[0].requests_for("/");
    eventually("requests that hang", SOON, async || upstreams[0].requests_for("/") > answered).await;
    let done = load.done();
    // Every client continues, also those whose request was at the endpoint that hangs.
    eventually("load on the others", SOON, async || load.done() > done + 1000).await;
    upstreams[0].resume();
    each_gets_a_request(&upstreams).await;
    assert_all_ok(&load.stop().await);
}

#[tokio::test]
async fn an_endpoint_whose_checks_fail_gets_no_requests_until_they_pass_again() {
    let upstreams = three_upstreams().await;
    let edge = Edge::start(&checked(&addresses(&upstreams))).await;
    upstreams[0].on("/healthz", Behaviour::Status(503));
    logs(&edge, "endpoint is unhealthy", &upstreams[0]).await;
    // The thread that serves the status publishes the new snapshot as soon as it has logged the line.
    edge.status().await;
    let before = upstreams[0].requests_for("/");
    for _ in 0..30 {
        assert_eq!(get(edge.address(), "/").await.unwrap().status, StatusCode::OK);
    }
    assert_eq!(upstreams[0].requests_for("/"), before);
    upstreams[0].on("/healthz", Behaviour::Echo);
    logs(&edge, "endpoint is healthy", &upstreams[0]).await;
    eventually("a request to the first", SOON, async || {
        assert_eq!(get(edge.address(), "/").await.unwrap().status, StatusCode::OK);
        upstreams[0].requests_for("/") > before
    })
    .await;
}

#[tokio::test]
async fn with_all_endpoints_dead_the_response_is_503_without_waiting_for_a_timeout() {
    let upstreams = three_upstreams().await;
    // A response that waited for one of these would miss the deadline below.
    let timeouts = "[pool.web.timeouts]\nconnect = \"1min\"\nunacknowledged = \"1min\"\nresponse = \"1min\"\n";
    let edge = Edge::start(&format!("{}{timeouts}", checked(&addresses(&upstreams)))).await;
    assert_eq!(get(edge.address(), "/").await.unwrap().status, StatusCode::OK);
    for upstream in &upstreams {
        upstream.kill().await;
    }
    for _ in 0..5 {
        let reply = deadline("a response", SOON, get(edge.address(), "/")).await.unwrap();
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
    for upstream in &upstreams {
        upstream.restart().await;
    }
    eventually("service", SOON, async || get(edge.address(), "/").await.unwrap().status == StatusCode::OK).await;
}

#[tokio::test]
async fn checks_that_fail_on_all_endpoints_are_ignored() {
    let upstreams = three_upstreams().await;
    for upstream in &upstreams {
        upstream.on("/healthz", Behaviour::Status(500));
    }
    let edge = Edge::start(&checked(&addresses(&upstreams))).await;
    eventually("checks of all", SOON, async || {
        let unhealthy = edge.process.lines().iter().filter(|line| line.contains("endpoint is unhealthy")).count();
        unhealthy == 3
    })
    .await;
    for _ in 0..12 {
        assert_eq!(get(edge.address(), "/").await.unwrap().status, StatusCode::OK);
    }
    assert!(upstreams.iter().all(|upstream| upstream.requests_for("/") > 0));
}

#[tokio::test]
async fn an_endpoint_that_passes_checks_but_fails_requests_is_ejected_for_a_time() {
    let upstreams = three_upstreams().await;
    upstreams[0].on("/", Behaviour::CloseBeforeResponse);
    let ejection = "[pool.web.ejection]\nconsecutive_failures = 3\nbase = \"500ms\"\n";
    let mut edge = Edge::start(&format!("{}{ejection}", checked(&addresses(&upstreams)))).await;
    let load = Load::on(&[edge.address()]).connections(4).start();
    edge.process.line("endpoint is ejected").await;
    upstreams[0].on("/", Behaviour::Echo);
    each_gets_a_request(&upstreams).await;
    assert_all_ok(&load.stop().await);
}

#[tokio::test]
async fn an_endpoint_that_alone_gives_server_errors_is_ejected_for_a_time() {
    let upstreams = three_upstreams().await;
    upstreams[0].on("/", Behaviour::Status(500));
    let ejection = "[pool.web.ejection]\nbase = \"500ms\"\n";
    let mut edge = Edge::start(&format!("{}{ejection}", checked(&addresses(&upstreams)))).await;
    let load = Load::on(&[edge.address()]).connections(4).start();
    edge.process.line("responses were server errors").await;
    upstreams[0].on("/", Behaviour::Echo);
    each_gets_a_request(&upstreams).await;
    drop(load.stop().await);
    let others = edge.process.lines().into_iter().filter(|line| line.contains("endpoint is ejected"));
    for line in others {
        assert!(line.contains(&upstreams[0].address().to_string()), "{line}");
    }
}

#[tokio::test]
async fn server_errors_of_all_endpoints_eject_none() {
    let upstreams = three_upstreams().await;
    for upstream in &upstreams {
        upstream.on("/", Behaviour::Status(500));
    }
    let edge = Edge::start(&checked(&addresses(&upstreams))).await;
    let load = Load::on(&[edge.address()]).connections(4).start();
    eventually("many errors", SOON, async || upstreams.iter().all(|upstream| upstream.requests_for("/") > 300)).await;
    drop(load.stop().await);
    assert!(!edge.process.lines().iter().any(|line| line.contains("endpoint is ejected")));
}

#[tokio::test]
async fn a_pool_without_checks_avoids_a_dead_endpoint() {
    let upstreams = three_upstreams().await;
    let edge = Edge::start(&unchecked(&addresses(&upstreams))).await;
    let load = load(edge.address()).start();
    each_gets_a_request(&upstreams).await;
    upstreams[0].kill().await;
    let done = load.done();
    eventually("load on the others", SOON, async || load.done() > done + 500).await;
    upstreams[0].restart().await;
    assert_all_ok(&load.stop().await);
}

#[tokio::test]
async fn a_healthy_endpoint_is_checked_at_the_interval_and_only_by_its_path() {
    let upstream = Upstream::start().await;
    let _edge = Edge::start(&checked(&[upstream.address()])).await;
    eventually("the first checks", SOON, async || upstream.requests_for("/healthz") >= 3).await;
    let began = Instant::now();
    let before = upstream.requests_for("/healthz");
    eventually("four more checks", SOON, async || upstream.requests_for("/healthz") >= before + 4).await;
    // Three intervals lie between four checks. An interval of 200 ms varies by a tenth.
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
    assert_eq!(upstream.requests(), upstream.requests_for("/healthz"));
}
