//! Endpoints that close idle connections, or send bytes that belong to no request.

use http::{Method, StatusCode};
use tests::{
    client::{self, Connection},
    wait::{SOON, deadline},
};

use super::{Edge, raw_endpoint::RawEndpoint, unchecked};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn an_endpoint_that_sends_surplus_bytes_gets_a_connection_for_each_request() {
    for (method, response) in [
        (
            Method::GET,
            &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"[..],
        ),
        (Method::HEAD, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
        (Method::GET, b"HTTP/1.1 204 No Content\r\n\r\nevil"),
    ] {
        let server = RawEndpoint::start().await;
        let mut edge = Edge::start(&unchecked(&[server.address()])).await;
        let mut client = Connection::http1(edge.address()).await.unwrap();
        let mut request = client::request("a.example", "/");
        *request.method_mut() = method.clone();
        let (first, _held) = tokio::join!(client.send(request), async {
            let mut endpoint = server.accept().await;
            endpoint.until("\r\n\r\n").await;
            endpoint.send(response).await;
            endpoint
        });
        assert!(first.unwrap().status.is_success(), "{method}");
        // From now on even a connection that looks usable is used only once.
        for _ in 0..3 {
            let (reply, _held) = tokio::join!(client.get("/"), async {
                let mut endpoint = server.accept().await;
                endpoint.until("\r\n\r\n").await;
                endpoint.send(OK).await;
                endpoint
            });
            assert_eq!(reply.unwrap().text(), "ok", "{method}");
        }
        edge.process.line("\"reuse_ended\"").await;
        let lines = edge.process.lines();
        assert_eq!(lines.iter().filter(|line| line.contains("bytes after a response")).count(), 1, "{lines:#?}");
    }
}

#[tokio::test]
async fn a_post_is_not_sent_on_a_connection_whose_end_or_bytes_have_arrived() {
    for last in [&b""[..], b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"] {
        // An endpoint that was caught once gets a connection for each request, so each round has a new one.
        for round in 0..if last.is_empty() { 20 } else { 5 } {
            let server = RawEndpoint::start().await;
            let edge = Edge::start(&unchecked(&[server.address()])).await;
            let mut client = Connection::http1(edge.address()).await.unwrap();
            let endpoint = async {
                let mut endpoint = server.accept().await;
                endpoint.until("\r\n\r\n").await;
                endpoint.send(OK).await;
                endpoint
            };
            let (first, mut idle) = tokio::join!(client.get("/"), endpoint);
            assert_eq!(first.unwrap().text(), "ok");
            // At the same time as the next request: the edge reads neither before it.
            idle.try_send(last).await;
            drop(idle);
            let mut request = client::request("a.example", "/");
            *request.method_mut() = Method::POST;
            *request.body_mut() = client::full("once");
            let (reply, _held) = tokio::join!(deadline("the response", SOON, client.send(request)), async {
                let mut endpoint = server.accept().await;
                endpoint.until("once").await;
                endpoint.send(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
                endpoint
            });
            assert_eq!(reply.unwrap().status, StatusCode::CREATED, "round {round}");
        }
    }
}
