//! One stream of HTTP/2: interim responses, resets in the middle of a body, and HEAD (RFC 9113 section 8.1).

use std::{future::poll_fn, net::SocketAddr};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use tests::wait::{SOON, deadline};
use tokio::{net::TcpStream, task::JoinSet};

use super::{Edge, raw_endpoint::RawEndpoint, unchecked};

/// A connection of the library `h2`, whose interface shows interim responses.
async fn open(address: SocketAddr, tasks: &mut JoinSet<()>) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.expect("an accepted connection");
    let (sender, connection) = h2::client::handshake(stream).await.expect("a handshake");
    tasks.spawn(async move { connection.await.unwrap_or(()) });
    sender.ready().await.expect("a connection")
}

/// An endpoint, an edge in front of it, and a connection to that, with the task that drives it.
async fn start() -> (RawEndpoint, Edge, SendRequest<Bytes>, JoinSet<()>) {
    let server = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[server.address()])).await;
    let mut tasks = JoinSet::new();
    let client = open(edge.address(), &mut tasks).await;
    (server, edge, client, tasks)
}

fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("http://a.example{path}"))
}

async fn interim(response: &mut ResponseFuture) -> (StatusCode, HeaderMap) {
    let next = deadline("an interim response", SOON, poll_fn(|cx| response.poll_informational(cx))).await;
    let (parts, ()) = next.expect("one").expect("a stream").into_parts();
    (parts.status, parts.headers)
}

#[tokio::test]
async fn interim_responses_reach_clients_of_http2_before_the_response() {
    let (server, _edge, mut client, _tasks) = start().await;
    let (mut response, _) = client.send_request(request("GET", "/").body(()).unwrap(), true).unwrap();
    let mut endpoint = server.accept().await;
    endpoint.until("\r\n\r\n").await;
    let hint = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nLink: </b.js>\r\nConnection: x-a\r\nX-A: 1\r\n\r\n";
    endpoint.send(hint.as_bytes()).await;
    let (status, fields) = interim(&mut response).await;
    assert_eq!(status.as_u16(), 103);
    let links: Vec<_> = fields.get_all("link").iter().map(|link| link.to_str().unwrap()).collect();
    assert_eq!((links.as_slice(), fields.len()), (&["</a.css>", "</b.js>"][..], 2), "{fields:?}");
    // Its own `100 Continue` would concern only the edge.
    endpoint
        .send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 199 Any\r\nA: b\r\n\r\n")
        .await;
    assert_eq!(interim(&mut response).await.0.as_u16(), 102);
    assert_eq!(interim(&mut response).await.0.as_u16(), 199);
    endpoint.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let response = deadline("the response", SOON, response).await.unwrap();
    assert_eq!((response.status(), response.headers().contains_key("link")), (StatusCode::OK, false));
    let body = deadline("the body", SOON, response.into_body().data()).await.unwrap().unwrap();
    assert_eq!(&body[..], b"ok");
}

#[tokio::test]
async fn interim_responses_that_are_too_large_together_are_dropped() {
    let (server, _edge, mut client, _tasks) = start().await;
    let (mut response, _) = client.send_request(request("GET", "/").body(()).unwrap(), true).unwrap();
    let mut endpoint = server.accept().await;
    endpoint.until("\r\n\r\n").await;
    let hint = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", "a".repeat(8 * 1024));
    endpoint.send(hint.repeat(20).as_bytes()).await;
    endpoint.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let mut hints = 0;
    while let Some(hint) = deadline("a response", SOON, poll_fn(|cx| response.poll_informational(cx))).await {
        assert_eq!(hint.unwrap().status().as_u16(), 103);
        hints += 1;
    }
    assert_eq!(hints, 7, "up to 64 KiB of them reach the client");
    assert_eq!(deadline("the response", SOON, response).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_client_of_http2_that_waits_for_100_continue_gets_it_when_its_body_is_wanted() {
    let (server, _edge, mut client, _tasks) = start().await;
    let post = request("POST", "/").header("expect", "100-continue").body(()).unwrap();
    let (mut response, mut body) = client.send_request(post, false).unwrap();
    assert_eq!(interim(&mut response).await.0, StatusCode::CONTINUE);
    body.send_data(Bytes::from_static(b"hello"), true).unwrap();
    let mut endpoint = server.accept().await;
    endpoint.until("0\r\n\r\n").await;
    endpoint.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(deadline("the response", SOON, response).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_client_of_http2_that_sends_its_body_at_once_gets_no_100_continue() {
    let (server, _edge, mut client, _tasks) = start().await;
    let get = request("GET", "/").header("expect", "100-continue").body(()).unwrap();
    let (mut response, _) = client.send_request(get, true).unwrap();
    server.answer_once("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert!(deadline("the response", SOON, poll_fn(|cx| response.poll_informational(cx))).await.is_none());
    assert_eq!(deadline("the response", SOON, response).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_body_whose_stream_is_reset_is_not_complete_for_the_endpoint() {
    let server = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[server.address()])).await;
    for reason in [h2::Reason::CANCEL, h2::Reason::NO_ERROR, h2::Reason::INTERNAL_ERROR] {
        let mut tasks = JoinSet::new();
        let mut client = open(edge.address(), &mut tasks).await;
        let (_response, mut body) = client.send_request(request("POST", "/").body(()).unwrap(), false).unwrap();
        body.send_data(Bytes::from_static(b"half"), false).unwrap();
        let mut endpoint = server.accept().await;
        endpoint.until("4\r\nhalf\r\n").await;
        body.send_reset(reason);
        let rest = deadline("the end of the connection", SOON, endpoint.rest()).await;
        assert_eq!(rest, "", "{reason}: no last chunk");
    }
}

#[tokio::test]
async fn a_request_whose_stream_is_reset_before_the_response_counts_as_no_response() {
    let server = RawEndpoint::start().await;
    let mut edge = Edge::start(&format!("access_log = \"stdout\"\n{}", unchecked(&[server.address()]))).await;
    let mut tasks = JoinSet::new();
    let mut client = open(edge.address(), &mut tasks).await;
    let (_response, mut body) = client.send_request(request("GET", "/").body(()).unwrap(), true).unwrap();
    let mut endpoint = server.accept().await;
    endpoint.until("\r\n\r\n").await;
    body.send_reset(h2::Reason::CANCEL);
    assert_eq!(deadline("the end of the request", SOON, endpoint.rest()).await, "");
    let line: Value = serde_json::from_str(&edge.process.line("\"protocol\"").await).unwrap();
    assert_eq!((&line["status"], &line["error"]), (&0.into(), &"client_gone".into()));
}

#[tokio::test]
async fn a_response_of_the_edge_to_head_has_a_length_and_no_body() {
    let edge = Edge::start(&unchecked(&["127.0.0.1:1".parse().unwrap()])).await;
    let mut tasks = JoinSet::new();
    let mut client = open(edge.address(), &mut tasks).await;
    for (method, has_body) in [("HEAD", false), ("GET", true)] {
        let (response, _) = client.send_request(request(method, "/").body(()).unwrap(), true).unwrap();
        let response = deadline("the response", SOON, response).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
        assert!(response.headers().contains_key("date"));
        let body = deadline("the body", SOON, response.into_body().data()).await;
        let sent = body.map_or(0, |body| body.unwrap().len());
        assert_eq!((sent > 0, sent), (has_body, if has_body { length } else { 0 }), "{method}");
    }
}
