//! What an endpoint gets after an ejection: one request at a time, until one shows that it works.

use std::time::Instant;

use http::StatusCode;
use serde_json::Value;
use tests::{
    client::{get, load::Load, raw::Raw},
    upstream::{Behaviour, Upstream},
    wait::{SOON, deadline, eventually},
};

use super::{Edge, addresses, assert_all_ok, unchecked};

/// An edge without checks in front of these endpoints, the first of which fails.
async fn edge(upstreams: &[Upstream], ejection: &str) -> Edge {
    upstreams[0].on("/", Behaviour::CloseBeforeResponse);
    let ejection = format!("[pool.web.ejection]\nconsecutive_failures = 5\n{ejection}\n");
    Edge::start(&format!("{}{ejection}", unchecked(&addresses(upstreams)))).await
}

/// What the edge reports about an endpoint.
async fn report(edge: &Edge, upstream: &Upstream) -> Value {
    let (status, address) = (edge.status().await, upstream.address().to_string());
    let endpoints = status["pools"][0]["endpoints"].as_array().expect("endpoints");
    endpoints.iter().find(|one| one["address"] == address.as_str()).expect("the endpoint").clone()
}

async fn failed_trials(edge: &Edge, upstream: &Upstream) -> usize {
    let trials = report(edge, upstream).await["trials_failed"].as_u64().expect("a number");
    usize::try_from(trials).expect("few")
}

async fn reaches_state(edge: &Edge, upstream: &Upstream, state: &str) {
    eventually(state, SOON, async || report(edge, upstream).await["state"] == state).await;
}

#[tokio::test]
async fn an_endpoint_that_still_fails_costs_one_attempt_for_each_ejection() {
    let upstreams = [Upstream::start().await, Upstream::start().await];
    let mut edge = edge(&upstreams, "base = \"400ms\"").await;
    let load = Load::on(&edge.addresses).connections(2).start();
    edge.process.line("ejected for 400ms").await;
    // The thread that serves the status publishes the new snapshot as soon as it has logged the line.
    let (trials, requests) = (failed_trials(&edge, &upstreams[0]).await, upstreams[0].requests_for("/"));
    for longer in ["800ms", "1.2s", "1.6s"] {
        edge.process.line(&format!("a request on trial failed, ejected for {longer}")).await;
    }
    let requests = upstreams[0].requests_for("/") - requests;
    let trials = failed_trials(&edge, &upstreams[0]).await - trials;
    // Each client may have had a request under way when the first ejection began. A herd would be five for each trial.
    assert!(requests <= trials + 2, "{requests} requests with {trials} trials");
    upstreams[0].on("/", Behaviour::Echo);
    edge.process.line("endpoint passed its probation").await;
    reaches_state(&edge, &upstreams[0], "healthy").await;
    let report = report(&edge, &upstreams[0]).await;
    assert_eq!(report["trials_passed"], 1);
    assert_eq!(report["ejections"].as_u64(), report["trials_failed"].as_u64().map(|failed| failed + 1));
    let before = upstreams[0].requests_for("/");
    eventually("its share", SOON, async || upstreams[0].requests_for("/") > before + 20).await;
    assert_all_ok(&load.stop().await);
    let metrics = get(edge.admin, "/metrics").await.unwrap();
    assert!(metrics.text().contains("edge_endpoint_trials_total{"), "{}", metrics.text());
}

#[tokio::test]
async fn only_one_request_waits_for_an_endpoint_on_probation() {
    let upstreams = [Upstream::start().await, Upstream::start().await, Upstream::start().await];
    let mut edge = edge(&upstreams, "base = \"500ms\"").await;
    let load = Load::on(&edge.addresses).connections(2).start();
    edge.process.line("endpoint is ejected").await;
    reaches_state(&edge, &upstreams[0], "ejected").await;
    assert_all_ok(&load.stop().await);
    upstreams[0].on("/", Behaviour::Silence);
    let before = upstreams[0].requests_for("/");
    let began = Instant::now();
    let load = Load::on(&edge.addresses).connections(16).start();
    edge.process.line("endpoint is on probation").await;
    eventually("a request on trial", SOON, async || upstreams[0].requests_for("/") > before).await;
    let done = load.done();
    eventually("the requests of the other clients", SOON, async || load.done() > done + 500).await;
    // One that takes long lets another one try after five seconds.
    let most = 1 + usize::try_from(began.elapsed().as_secs() / 5).unwrap();
    let waiting = upstreams[0].requests_for("/") - before;
    assert!((1..=most).contains(&waiting), "{waiting} requests wait");
    assert_eq!(report(&edge, &upstreams[0]).await["state"], "probation");
}

#[tokio::test]
async fn a_client_that_disconnects_while_its_request_is_on_trial_decides_nothing() {
    let upstreams = [Upstream::start().await, Upstream::start().await];
    let mut edge = edge(&upstreams, "base = \"200ms\"").await;
    let load = Load::on(&edge.addresses).connections(2).start();
    edge.process.line("endpoint is ejected").await;
    assert_all_ok(&load.stop().await);
    upstreams[0].on("/", Behaviour::Silence);
    reaches_state(&edge, &upstreams[0], "probation").await;
    let before = upstreams[0].requests_for("/");
    for client in 1..=3 {
        // The next one that waits is on trial.
        eventually("a request on trial", SOON, async || {
            let answered = upstreams[1].requests_for("/");
            let mut request = Raw::open(edge.address()).await;
            request.send(b"GET / HTTP/1.1\r\nhost: www.example.com\r\nconnection: close\r\n\r\n").await;
            eventually("a response, or a request that waits for one", SOON, async || {
                upstreams[1].requests_for("/") > answered || upstreams[0].requests_for("/") >= before + client
            })
            .await;
            // The edge takes the end of what a client sends for a half-closed connection.
            request.reset();
            upstreams[0].requests_for("/") >= before + client
        })
        .await;
        eventually("the end of the trial", SOON, async || report(&edge, &upstreams[0]).await["in_flight"] == 0).await;
    }
    let report_before = report(&edge, &upstreams[0]).await;
    assert_eq!((&report_before["state"], &report_before["trials_failed"]), (&"probation".into(), &0.into()));
    upstreams[0].on("/", Behaviour::Echo);
    eventually("a request that ends the probation", SOON, async || {
        assert_eq!(deadline("a response", SOON, get(edge.address(), "/")).await.unwrap().status, StatusCode::OK);
        report(&edge, &upstreams[0]).await["state"] == "healthy"
    })
    .await;
}
