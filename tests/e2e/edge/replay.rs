//! Requests with a body that are sent again: the edge keeps short bodies for that.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::stream;
use http::{Method, StatusCode};
use tests::{
    client::{self, Body, Connection, raw::Raw},
    upstream::{Behaviour, Upstream},
    wait::{SOON, deadline},
};

use super::{Edge, raw_endpoint::RawEndpoint, unchecked};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Without ejection, failures do not remove an endpoint before a test has counted them.
const NO_EJECTION: &str = "[pool.web.ejection]\nconsecutive_failures = 0\n";

async fn connect(edge: SocketAddr, http2: bool) -> Connection {
    let connected = if http2 { Connection::http2(edge).await } else { Connection::http1(edge).await };
    connected.expect("a connection")
}

/// A body of a declared length, or one that comes in two pieces.
fn body(chunked: bool) -> Body {
    if chunked {
        client::stream(stream::iter(["two ", "parts"].map(|part| Ok(Bytes::from_static(part.as_bytes())))))
    } else {
        client::full("two parts")
    }
}

#[tokio::test]
async fn a_put_with_a_short_body_is_sent_again_when_its_connection_breaks() {
    for (http2, chunked) in [(false, false), (false, true), (true, false), (true, true)] {
        let [bad, good] = [Upstream::start().await, Upstream::start().await];
        bad.on("/", Behaviour::ResetBeforeResponse);
        let edge = Edge::start(&format!("{}{NO_EJECTION}", unchecked(&[bad.address(), good.address()]))).await;
        let mut connection = connect(edge.address(), http2).await;
        for method in [Method::PUT, Method::DELETE, Method::PUT, Method::DELETE] {
            let mut request = client::request("a.example", "/");
            *request.method_mut() = method;
            *request.body_mut() = body(chunked);
            let reply = connection.send(request).await.unwrap();
            let is_whole = reply.status == StatusCode::OK && reply.json()["body"] == "two parts";
            assert!(is_whole, "http2 {http2}, chunked {chunked}: {}", reply.text());
        }
        assert_eq!(good.requests(), 4);
        assert!(bad.requests() > 0);
    }
}

#[tokio::test]
async fn a_body_that_is_longer_than_the_buffer_is_not_sent_again() {
    for (length, status) in [(1024, StatusCode::OK), (1025, StatusCode::BAD_GATEWAY)] {
        let endpoint = RawEndpoint::start().await;
        let config = format!("{}replay_buffer = \"1KiB\"\n{NO_EJECTION}", unchecked(&[endpoint.address()]));
        let edge = Edge::start(&config).await;
        let mut connection = connect(edge.address(), false).await;
        let mut request = client::request("a.example", "/");
        *request.method_mut() = Method::PUT;
        let text = format!("{}!", "x".repeat(length - 1));
        *request.body_mut() = client::full(text);
        let serve = async {
            endpoint.accept().await.until("x!").await;
            if status == StatusCode::OK {
                let mut again = endpoint.accept().await;
                again.until("x!").await;
                again.send(OK).await;
            }
        };
        let (reply, ()) = tokio::join!(deadline("the response", SOON, connection.send(request)), serve);
        assert_eq!(reply.unwrap().status, status, "{length}");
    }
}

#[tokio::test]
async fn a_body_is_sent_again_from_its_start_while_the_client_still_sends_it() {
    for (framing, first, last) in [
        ("Content-Length: 11", "first", " last!"),
        ("Transfer-Encoding: chunked", "5\r\nfirst\r\n", "6\r\n last!\r\n0\r\n\r\n"),
    ] {
        for expects in ["", "Expect: 100-continue\r\n"] {
            let endpoint = RawEndpoint::start().await;
            let edge = Edge::start(&format!("{}{NO_EJECTION}", unchecked(&[endpoint.address()]))).await;
            let mut client = Raw::open(edge.address()).await;
            client.send(format!("PUT / HTTP/1.1\r\nHost: a.example\r\n{framing}\r\n{expects}\r\n").as_bytes()).await;
            if !expects.is_empty() {
                client.until("HTTP/1.1 100 Continue\r\n\r\n").await;
            }
            client.send(first.as_bytes()).await;
            let mut broken = endpoint.accept().await;
            broken.until("first").await;
            drop(broken);
            let mut again = endpoint.accept().await;
            let head = again.until("first").await;
            assert!(head.starts_with("PUT / HTTP/1.1\r\n"), "{head}");
            client.send(last.as_bytes()).await;
            let rest = again.until(" last!").await;
            assert!(!rest.contains("first"), "{rest}");
            again.send(OK).await;
            let reply = client.until("ok").await;
            assert!(reply.starts_with("HTTP/1.1 200 "), "{framing}, {expects}: {reply}");
        }
    }
}

#[tokio::test]
async fn a_post_of_which_an_endpoint_received_a_part_is_not_sent_again() {
    let endpoint = RawEndpoint::start().await;
    let edge = Edge::start(&format!("{}{NO_EJECTION}", unchecked(&[endpoint.address()]))).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\nfirst").await;
    endpoint.accept().await.until("first").await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
}
