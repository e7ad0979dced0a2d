//! Endpoints that die, hang and come back under load.

use std::{net::SocketAddr, time::Duration};

use http::StatusCode;
use tests::{
    client::{get, load::Load},
    upstream::{Behaviour, Upstream},
    wait::{SOON, deadline, eventually, throughout},
};

use super::{Edge, addresses, assert_all_ok, checked};

async fn three() -> [Upstream; 3] {
    [Upstream::start().await, Upstream::start().await, Upstream::start().await]
}

/// Waits until each of these upstreams has answered more requests than it had.
async fn gets_requests(upstreams: &[Upstream]) {
    let before: Vec<usize> = upstreams.iter().map(|upstream| upstream.requests_for("/")).collect();
    eventually("a request to each", SOON, async || {
        upstreams.iter().zip(&before).all(|(upstream, before)| upstream.requests_for("/") > *before)
    })
    .await;
}

fn load(edge: SocketAddr) -> Load {
    Load::on(&[edge]).connections(32)
}

#[tokio::test]
async fn no_request_fails_when_an_endpoint_dies_and_comes_back_under_load() {
    let upstreams = three().await;
    let edge = Edge::start(&checked(&addresses(&upstreams))).await;
    let load = load(edge.address()).start();
    for round in 0..2 {
        gets_requests(&upstreams).await;
        upstreams[round].kill().await;
        gets_requests(&upstreams[round + 1..]).await;
        let done = load.done();
        eventually("load on the others", SOON, async || load.done() > done + 200).await;
        upstreams[round].restart().await;
    }
    gets_requests(&upstreams).await;
    assert_all_ok(&load.stop().await);
}

#[tokio::test]
async fn requests_that_wait_for_an_endpoint_that_hangs_move_to_another() {
    let upstreams = three().await;
    let edge = Edge::start(&checked(&addresses(&upstreams))).await;
    let load = load(edge.address()).start();
    gets_requests(&upstreams).await;
    upstreams[0].hang();
    let answered = upstreams[0].requests_for("/");
    eventually("requests that hang", SOON, async || upstreams[0].requests_for("/") > answered).await;
    let done = load.done();
    // All 32 clients go on, so nobody is left waiting.
    eventually("load on the others", SOON, async || load.done() > done + 1000).await;
    upstreams[0].resume();
    gets_requests(&upstreams).await;
    assert_all_ok(&load.stop().await);
}

#[tokio::test]
async fn an_endpoint_whose_checks_fail_gets_no_requests_until_they_pass_again() {
    let upstreams = three().await;
    let edge = Edge::start(&checked(&addresses(&upstreams))).await;
    upstreams[0].on("/healthz", Behaviour::Status(503));
    let mut edge = edge;
    edge.process.line("endpoint is unhealthy").await;
    // What was picked before is answered by now, so whatever comes from here on is wrong.
    get(edge.address(), "/").await.unwrap();
    let before = upstreams[0].requests_for("/");
    for _ in 0..30 {
        assert_eq!(get(edge.address(), "/").await.unwrap().status, StatusCode::OK);
    }
    assert_eq!(upstreams[0].requests_for("/"), before);
    upstreams[0].on("/healthz", Behaviour::Echo);
    edge.process.line("endpoint is healthy").await;
    eventually("requests to all", SOON, async || {
        assert_eq!(get(edge.address(), "/").await.unwrap().status, StatusCode::OK);
        upstreams[0].requests_for("/") > before
    })
    .await;
}

#[tokio::test]
async fn with_all_endpoints_dead_the_answer_is_a_quick_503_and_service_comes_back_with_them() {
    let upstreams = three().await;
    // An answer that waited for one of these would not come within the deadline.
    let timeouts = "[pool.web.timeouts]\nconnect = \"1min\"\nunacknowledged = \"1min\"\nresponse = \"1min\"\n";
    let edge = Edge::start(&format!("{}{timeouts}", checked(&addresses(&upstreams)))).await;
    assert_eq!(get(edge.address(), "/").await.unwrap().status, StatusCode::OK);
    for upstream in &upstreams {
        upstream.kill().await;
    }
    for _ in 0..5 {
        let reply = deadline("an answer", SOON, get(edge.address(), "/")).await.unwrap();
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
    for upstream in &upstreams {
        upstream.restart().await;
    }
    eventually("service", SOON, async || get(edge.address(), "/").await.unwrap().status == StatusCode::OK).await;
}

#[tokio::test]
async fn checks_that_fail_everywhere_are_not_believed() {
    let upstreams = three().await;
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
async fn an_endpoint_that_passes_its_checks_and_fails_its_requests_is_ejected_for_a_while() {
    let upstreams = three().await;
    upstreams[0].on("/", Behaviour::CloseBeforeResponse);
    let ejection = "[pool.web.ejection]\nconsecutive_failures = 3\nbase = \"500ms\"\n";
    let mut edge = Edge::start(&format!("{}{ejection}", checked(&addresses(&upstreams)))).await;
    let load = Load::on(&[edge.address()]).connections(4).start();
    edge.process.line("endpoint is ejected").await;
    upstreams[0].on("/", Behaviour::Echo);
    gets_requests(&upstreams).await;
    assert_all_ok(&load.stop().await);
}

#[tokio::test]
async fn a_pool_without_checks_goes_around_an_endpoint_that_is_dead() {
    let upstreams = three().await;
    let edge = Edge::start(&super::unchecked(&addresses(&upstreams))).await;
    let load = load(edge.address()).start();
    gets_requests(&upstreams).await;
    upstreams[0].kill().await;
    let done = load.done();
    eventually("load on the others", SOON, async || load.done() > done + 500).await;
    upstreams[0].restart().await;
    assert_all_ok(&load.stop().await);
}

#[tokio::test]
async fn checks_ask_for_their_path_and_leave_the_pools_requests_alone() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&checked(&[upstream.address()])).await;
    eventually("some checks", SOON, async || upstream.requests_for("/healthz") >= 3).await;
    assert_eq!(upstream.requests(), upstream.requests_for("/healthz"));
    let asked = upstream.requests_for("/healthz");
    throughout("a pause between checks", Duration::from_millis(100), async || {
        upstream.requests_for("/healthz") <= asked + 1
    })
    .await;
    drop(edge);
}
