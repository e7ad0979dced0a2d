//! Clients that close their sending direction after the request and still read the response (RFC 9112 section 9.6).

use serde_json::Value;
use tests::{
    client::raw::Raw,
    wait::{SOON, deadline},
};

use super::{Edge, raw_endpoint::RawEndpoint, unchecked};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";

#[tokio::test]
async fn a_client_that_half_closes_after_its_request_gets_the_response() {
    let server = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[server.address()])).await;
    for request in [GET, b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\nhi"] {
        let mut client = Raw::open(edge.address()).await;
        client.send(request).await;
        client.finish().await;
        let mut endpoint = server.accept().await;
        endpoint.until("\r\n\r\n").await;
        // Both parts of the response are written long after the edge saw the end of the client's stream.
        endpoint.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n").await;
        client.until("\r\n\r\n").await;
        endpoint.send(b"later").await;
        assert_eq!(deadline("the response", SOON, client.rest()).await, "later");
    }
}

#[tokio::test]
async fn a_client_that_half_closes_within_its_request_is_gone() {
    let server = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[server.address()])).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 20\r\n\r\nhi").await;
    let mut endpoint = server.accept().await;
    endpoint.until("hi").await;
    client.finish().await;
    assert_eq!(deadline("the end of the request", SOON, endpoint.rest()).await, "");
    assert_eq!(deadline("the end of the connection", SOON, client.rest()).await, "");
}

#[tokio::test]
async fn a_request_is_abandoned_once_its_half_closed_client_resets() {
    let server = RawEndpoint::start().await;
    let config = format!("access_log = \"stdout\"\n{}", unchecked(&[server.address()]));
    let mut edge = Edge::start(&config).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(GET).await;
    client.finish().await;
    let mut endpoint = server.accept().await;
    endpoint.until("\r\n\r\n").await;
    client.reset();
    assert_eq!(deadline("the end of the request", SOON, endpoint.rest()).await, "");
    let line: Value = serde_json::from_str(&edge.process.line("\"protocol\"").await).unwrap();
    assert_eq!(line["error"], "client_gone");
}
