//! Interim responses of endpoints (RFC 9110 section 15.2).

use tests::{
    client::raw::Raw,
    wait::{SOON, deadline},
};

use super::{Edge, raw_endpoint::RawEndpoint, unchecked};

#[tokio::test]
async fn interim_responses_reach_the_client_before_the_response() {
    let server = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[server.address()])).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    let mut endpoint = server.accept().await;
    endpoint.until("\r\n\r\n").await;
    endpoint.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n").await;
    let hint = client.until("\r\n\r\n").await;
    assert_eq!(hint, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
    endpoint.send(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 102 Processing\r\n\r\n");
    assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(client.until("ok").await, "ok");
}

#[tokio::test]
async fn a_client_of_http_10_gets_only_the_response() {
    let server = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[server.address()])).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"GET / HTTP/1.0\r\n\r\n").await;
    let answer = "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    server.answer_once(answer).await;
    let response = deadline("the response", SOON, client.rest()).await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && !response.contains("Link"), "{response}");
}
