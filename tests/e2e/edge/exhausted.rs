//! Requests for which every healthy endpoint has failed.

use http::{Method, StatusCode};
use serde_json::Value;
use tests::{
    client::{self, Connection, get, raw::Raw},
    upstream::{Behaviour, Upstream},
    wait::{SOON, deadline, eventually},
};

use super::{Edge, addresses, unchecked};

#[tokio::test]
async fn endpoints_that_failed_are_asked_again_while_attempts_are_left() {
    for (attempts, endpoints) in [(3, 1), (5, 2), (3, 3)] {
        let mut upstreams = Vec::new();
        for _ in 0..endpoints {
            let upstream = Upstream::start().await;
            upstream.on("/", Behaviour::CloseBeforeResponse);
            upstreams.push(upstream);
        }
        let config = format!("{}attempts = {attempts}\n", unchecked(&addresses(&upstreams)));
        let edge = Edge::start(&config).await;
        let reply = get(edge.address(), "/").await.unwrap();
        assert_eq!(reply.status, StatusCode::BAD_GATEWAY);
        let sent: Vec<usize> = upstreams.iter().map(Upstream::requests).collect();
        assert_eq!(sent.iter().sum::<usize>(), attempts, "{sent:?}");
        let (least, most) = (sent.iter().min().unwrap(), sent.iter().max().unwrap());
        assert!(most - least <= 1, "all are asked before one is asked again: {sent:?}");
    }
}

#[tokio::test]
async fn a_request_outlives_the_restart_of_its_only_endpoint() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&format!("{}attempts = 20\n", unchecked(&[upstream.address()]))).await;
    upstream.kill().await;
    let address = edge.address();
    let request = tokio::spawn(async move { get(address, "/").await });
    let failed = async || edge.status().await.to_string().contains("\"connect_failures\":2");
    eventually("the second refused connection", SOON, failed).await;
    upstream.restart().await;
    let reply = deadline("the response", SOON, request).await.unwrap().unwrap();
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn an_ejected_endpoint_is_asked_when_the_healthy_ones_fail() {
    let upstreams = [Upstream::start().await, Upstream::start().await];
    let ejection = "[pool.web.ejection]\nconsecutive_failures = 1\nbase = \"60s\"\n";
    let edge = Edge::start(&format!("{}{ejection}", unchecked(&addresses(&upstreams)))).await;
    let [first, second] = &upstreams;
    first.kill().await;
    let ejected = async || {
        assert_eq!(get(edge.address(), "/").await.unwrap().status, StatusCode::OK);
        edge.status().await.to_string().contains("ejected")
    };
    eventually("the ejection", SOON, ejected).await;
    first.restart().await;
    second.kill().await;
    for _ in 0..4 {
        assert_eq!(get(edge.address(), "/").await.unwrap().status, StatusCode::OK);
    }
    assert_eq!(first.requests(), 4);
}

#[tokio::test]
async fn a_get_that_is_not_answered_in_time_is_sent_to_one_more_endpoint() {
    for (method, silent, status, sent) in [
        (Method::GET, 1, StatusCode::OK, 1),
        (Method::GET, 3, StatusCode::GATEWAY_TIMEOUT, 2),
        (Method::POST, 3, StatusCode::GATEWAY_TIMEOUT, 1),
    ] {
        let upstreams = [Upstream::start().await, Upstream::start().await, Upstream::start().await];
        for upstream in &upstreams[..silent] {
            upstream.on("/", Behaviour::Silence);
        }
        let times = "[pool.web.timeouts]\nresponse = \"500ms\"\n";
        let edge = Edge::start(&format!("{}attempts = 10\n{times}", unchecked(&addresses(&upstreams)))).await;
        let asked = || upstreams[..silent].iter().map(Upstream::requests).sum::<usize>();
        // Round robin begins at a random endpoint. Repeat until it is a silent one.
        while asked() == 0 {
            let mut connection = Connection::http1(edge.address()).await.unwrap();
            let mut request = client::request("a.example", "/");
            *request.method_mut() = method.clone();
            let reply = deadline("the response", SOON, connection.send(request)).await.unwrap();
            assert_eq!(reply.status, status, "{method}, {silent} of 3 are silent");
        }
        assert_eq!(asked(), sent, "{method}, {silent} of 3 are silent");
    }
}

#[tokio::test]
async fn the_only_endpoint_is_not_asked_again_when_it_does_not_answer_in_time() {
    let upstream = Upstream::start().await;
    upstream.on("/", Behaviour::Silence);
    let times = "[pool.web.timeouts]\nresponse = \"300ms\"\n";
    let edge = Edge::start(&format!("{}attempts = 10\n{times}", unchecked(&[upstream.address()]))).await;
    let reply = deadline("the response", SOON, get(edge.address(), "/")).await.unwrap();
    assert_eq!((reply.status, upstream.requests()), (StatusCode::GATEWAY_TIMEOUT, 1));
}

#[tokio::test]
async fn a_client_that_disconnects_between_attempts_ends_its_request() {
    let upstream = Upstream::start().await;
    upstream.kill().await;
    // The pauses before all these attempts take more than a minute.
    let edge = Edge::start(&format!("{}attempts = 100\n", unchecked(&[upstream.address()]))).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let retried = async || edge.status().await["pools"][0]["retries"].as_u64() >= Some(2);
    eventually("two retries", SOON, retried).await;
    client.reset();
    let gone = |error: &Value| error["kind"] == "client_gone" && error["count"] == 1;
    eventually("its end", SOON, async || edge.status().await["errors"].as_array().unwrap().iter().any(gone)).await;
}
