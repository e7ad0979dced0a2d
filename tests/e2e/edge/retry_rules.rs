//! Retries by choice: after a status, after the time of one attempt, within a budget, and within the time of the whole
//! request.

use std::time::Instant;

use http::{Method, StatusCode};
use tests::{
    client::{self, Connection, get},
    upstream::{Behaviour, Upstream},
    wait::{SOON, deadline, eventually},
};

use super::{Edge, addresses, unchecked};

/// Without ejection, failures do not remove an endpoint before a test has counted them.
const NO_EJECTION: &str = "[pool.web.ejection]\nconsecutive_failures = 0\n";

const STATUSES: &str = "retry_statuses = \"502-504\"\n";

async fn start(upstreams: &[&Upstream], keys: &str) -> Edge {
    let addresses: Vec<_> = upstreams.iter().map(|upstream| upstream.address()).collect();
    Edge::start(&format!("{}{keys}{NO_EJECTION}", unchecked(&addresses))).await
}

#[tokio::test]
async fn an_idempotent_request_is_sent_to_another_endpoint_after_a_status_of_choice() {
    for http2 in [false, true] {
        let [bad, good] = [Upstream::start().await, Upstream::start().await];
        bad.on("/", Behaviour::Status(503));
        let edge = start(&[&bad, &good], STATUSES).await;
        let address = edge.address();
        let connected = if http2 { Connection::http2(address).await } else { Connection::http1(address).await };
        let mut connection = connected.unwrap();
        for (method, body) in [(Method::GET, ""), (Method::PUT, "body"), (Method::GET, ""), (Method::PUT, "body")] {
            let mut request = client::request("a.example", "/");
            *request.method_mut() = method.clone();
            *request.body_mut() = client::full(body);
            let reply = connection.send(request).await.unwrap();
            assert_eq!((reply.status, &reply.json()["body"]), (StatusCode::OK, &body.into()), "{method}");
        }
        assert_eq!(good.requests(), 4);
        assert!(bad.requests() > 0);
        // The response that was discarded was complete, so its connection could be used again.
        assert_eq!(bad.connections(), 1, "http2 {http2}");
        let status = edge.status().await;
        assert_eq!(status["pools"][0]["retries"], bad.requests(), "{status}");
        let logged = async || edge.process.lines().iter().any(|line| line.contains("requests were sent again"));
        eventually("a log line", SOON, logged).await;
    }
}

#[tokio::test]
async fn a_post_is_not_sent_again_whatever_the_status() {
    let [bad, good] = [Upstream::start().await, Upstream::start().await];
    bad.on("/", Behaviour::Status(503));
    let edge = start(&[&bad, &good], &format!("{STATUSES}suspicion = \"0s\"\n")).await;
    let mut connection = Connection::http1(edge.address()).await.unwrap();
    for _ in 0..4 {
        let mut request = client::request("a.example", "/");
        *request.method_mut() = Method::POST;
        connection.send(request).await.unwrap();
    }
    assert_eq!((bad.requests(), good.requests()), (2, 2));
}

#[tokio::test]
async fn last_response_is_passed_on_when_no_attempt_is_left() {
    let upstreams = [Upstream::start().await, Upstream::start().await, Upstream::start().await];
    upstreams.iter().for_each(|upstream| upstream.on("/", Behaviour::Status(504)));
    let edge = Edge::start(&format!("{}{STATUSES}{NO_EJECTION}", unchecked(&addresses(&upstreams)))).await;
    let reply = get(edge.address(), "/").await.unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (StatusCode::GATEWAY_TIMEOUT, "status 504"));
    // Never the same endpoint while another is left.
    assert_eq!(upstreams.each_ref().map(Upstream::requests), [1, 1, 1]);
}

#[tokio::test]
async fn an_endpoint_gets_a_request_again_if_none_is_left_unless_it_asks_to_wait() {
    for (behaviour, expected) in [(Behaviour::Status(503), 3), (Behaviour::Drain, 1)] {
        let upstream = Upstream::start().await;
        upstream.on("/", behaviour.clone());
        let edge = start(&[&upstream], STATUSES).await;
        let reply = get(edge.address(), "/").await.unwrap();
        assert_eq!((reply.status, reply.text().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "status 503"));
        assert_eq!(upstream.requests(), expected, "{behaviour:?}");
    }
}

#[tokio::test]
async fn an_outage_is_not_multiplied_beyond_the_budget() {
    let upstreams = [Upstream::start().await, Upstream::start().await];
    upstreams.iter().for_each(|upstream| upstream.on("/", Behaviour::Status(503)));
    let config = format!("{}{STATUSES}attempts = 2\n{NO_EJECTION}", unchecked(&addresses(&upstreams)));
    let edge = Edge::start(&config).await;
    let began = Instant::now();
    let mut connection = Connection::http1(edge.address()).await.unwrap();
    const REQUESTS: usize = 500;
    for _ in 0..REQUESTS {
        assert_eq!(connection.get("/").await.unwrap().text(), "status 503");
    }
    let sent: usize = upstreams.iter().map(Upstream::requests).sum();
    // A fifth, ten a second, and what ten seconds of that had saved up before.
    let allowed = REQUESTS / 5 + 100 + 10 * (usize::try_from(began.elapsed().as_secs()).unwrap() + 2);
    assert!(sent > REQUESTS + 100 && sent <= REQUESTS + allowed, "{sent}, {allowed}");
    let status = edge.status().await;
    let pool = &status["pools"][0];
    let total = pool["retries"].as_u64().unwrap() + pool["over_budget"].as_u64().unwrap();
    assert_eq!(total, u64::try_from(REQUESTS).unwrap(), "{pool}");
    let logged = async || edge.process.lines().iter().any(|line| line.contains("the budget of retries is used up"));
    eventually("a log line", SOON, logged).await;
}

#[tokio::test]
async fn a_get_does_not_wait_longer_than_a_try_while_another_endpoint_is_left() {
    let [silent, good] = [Upstream::start().await, Upstream::start().await];
    silent.on("/", Behaviour::Silence);
    let edge = start(&[&silent, &good], "[pool.web.timeouts]\ntry = \"100ms\"\nresponse = \"1min\"\n").await;
    let mut connection = Connection::http1(edge.address()).await.unwrap();
    for _ in 0..4 {
        let reply = deadline("a response", SOON, connection.get("/")).await.unwrap();
        assert_eq!(reply.status, StatusCode::OK);
    }
    assert!(silent.requests() > 0);
}

#[tokio::test]
async fn a_request_that_no_other_endpoint_can_get_waits_longer_than_a_try() {
    let upstream = Upstream::start().await;
    upstream.on("/", Behaviour::SlowHead(std::time::Duration::from_millis(500)));
    let edge = start(&[&upstream], "[pool.web.timeouts]\ntry = \"50ms\"\n").await;
    let reply = get(edge.address(), "/").await.unwrap();
    assert_eq!((reply.status, upstream.requests()), (StatusCode::OK, 1));
}

#[tokio::test]
async fn a_request_ends_when_its_whole_time_is_over() {
    let [one, other] = [Upstream::start().await, Upstream::start().await];
    for upstream in [&one, &other] {
        upstream.on("/", Behaviour::Silence);
    }
    let timeouts = "[pool.web.timeouts]\ntry = \"200ms\"\nrequest = \"500ms\"\nresponse = \"1min\"\n";
    let edge = start(&[&one, &other], timeouts).await;
    for method in [Method::GET, Method::POST] {
        let mut connection = Connection::http1(edge.address()).await.unwrap();
        let mut request = client::request("a.example", "/");
        *request.method_mut() = method.clone();
        *request.body_mut() = client::full("body");
        let reply = deadline("the response", SOON, connection.send(request)).await.unwrap();
        assert_eq!(reply.status, StatusCode::GATEWAY_TIMEOUT, "{method}");
    }
    // The GET went to both.
    assert_eq!(one.requests() + other.requests(), 3);
}
