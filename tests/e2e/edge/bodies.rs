//! Request and response bodies: streamed, complete, truncated, rejected.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use tests::{
    client::{self, Connection, raw::Raw},
    upstream::{Behaviour, Upstream},
    wait::{SOON, deadline},
};

use super::{
    Edge,
    raw_endpoint::{RawEndpoint, RecordingEndpoint},
    unchecked,
};

const LARGE: usize = 20 << 20;

/// Returns pseudo-random bytes, in which lost, repeated and reordered bytes show.
fn pattern(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()
    };
    std::iter::repeat_with(next).flatten().take(length).collect()
}

#[tokio::test]
async fn a_large_upload_arrives_intact() {
    let recorder = RecordingEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[recorder.address()])).await;
    let body = pattern(LARGE);
    let mut connection = Connection::http1(edge.address()).await.unwrap();
    let mut request = client::request("a.example", "/");
    *request.method_mut() = Method::PUT;
    *request.body_mut() = client::full(body.clone());
    let reply = deadline("the response", SOON, connection.send(request)).await.unwrap();
    assert_eq!(reply.status, StatusCode::OK);
    let seen = recorder.bytes();
    let head = seen.len() - LARGE;
    assert!(seen[head..] == body, "the body was changed");
    assert!(String::from_utf8_lossy(&seen[..head]).contains(&format!("content-length: {LARGE}\r\n")));
}

#[tokio::test]
async fn a_large_download_arrives_intact() {
    let peer = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[peer.address()])).await;
    let body = Bytes::from(pattern(LARGE));
    let sent = body.clone();
    let upstream = tokio::spawn(async move {
        let mut connection = peer.accept().await;
        connection.until("\r\n\r\n").await;
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n").as_bytes()).await;
        connection.send(&sent).await;
    });
    let reply = deadline("the response", SOON, client::get(edge.address(), "/")).await.unwrap();
    assert_eq!(reply.header("content-length"), Some(LARGE.to_string().as_str()));
    assert!(reply.body == body, "the body was changed");
    upstream.await.unwrap();
}

#[tokio::test]
async fn a_chunked_upload_stays_chunked() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut connection = Connection::http1(edge.address()).await.unwrap();
    let mut request = client::request("a.example", "/");
    *request.method_mut() = Method::POST;
    *request.body_mut() = client::stream(stream::iter([Ok(Bytes::from("ab")), Ok(Bytes::from("c"))]));
    let echo = connection.send(request).await.unwrap().json();
    assert_eq!(echo["body"], "abc");
    assert_eq!(super::field(&echo, "transfer-encoding").as_deref(), Some("chunked"));
    assert_eq!(super::field(&echo, "content-length"), None);
}

#[tokio::test]
async fn a_get_keeps_its_chunked_body() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n").await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let body = client.until("}").await;
    assert!(body.contains("\"abc\""), "{body}");
}

#[tokio::test]
async fn a_request_chunk_arrives_before_the_next_is_sent() {
    let peer = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[peer.address()])).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n").await;
    let mut upstream = peer.accept().await;
    upstream.until("first").await;
    client.send(b"4\r\nlast\r\n0\r\n\r\n").await;
    upstream.until("last").await;
    upstream.until("0\r\n\r\n").await;
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_response_chunk_arrives_before_the_next_is_sent() {
    let peer = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[peer.address()])).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut upstream = peer.accept().await;
    upstream.until("\r\n\r\n").await;
    upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let head = client.until("\r\n\r\n").await.to_ascii_lowercase();
    assert!(head.contains("transfer-encoding: chunked") && !head.contains("content-length"), "{head}");
    upstream.send(b"5\r\nfirst\r\n").await;
    client.until("first").await;
    upstream.send(b"4\r\nlast\r\n0\r\n\r\n").await;
    client.until("last").await;
    client.until("0\r\n\r\n").await;
}

#[tokio::test]
async fn expect_100_continue_is_answered_with_100() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n").await;
    assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 100"));
    client.send(b"abc").await;
    assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 200"));
    assert!(client.until("}").await.contains("\"body\":\"abc\""));
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413_without_100_continue() {
    let upstream = Upstream::start().await;
    let config = format!("{}[[route]]\nmax_body = 2\n", unchecked(&[upstream.address()]));
    let edge = Edge::start(&config).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n").await;
    let answer = client.until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test]
async fn an_early_rejection_by_the_upstream_reaches_a_client_that_waits_for_100() {
    let upstream = Upstream::start().await;
    upstream.on("/", Behaviour::EarlyResponse(403));
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n").await;
    let answer = client.rest().await;
    assert!(answer.contains("HTTP/1.1 403") && answer.ends_with("status 403"), "{answer}");
}

#[tokio::test]
async fn an_early_response_to_a_large_upload_arrives_complete() {
    let peer = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[peer.address()])).await;
    for _ in 0..10 {
        let mut client = Raw::open(edge.address()).await;
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n").await;
        let mut upstream = peer.accept().await;
        upstream.until("\r\n\r\n").await;
        upstream.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n\r\ntoo much").await;
        // A simple client sends much of the body before it reads the response.
        client.try_send(&vec![b'x'; 600_000]).await;
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 413") && answer.ends_with("too much"), "{answer:?}");
        // The edge sent FIN and not RST, which could have overtaken the response.
        for _ in 0..2 {
            client.send(b"more").await;
        }
    }
}

#[tokio::test]
async fn a_truncated_response_body_is_an_error_for_the_client() {
    let endpoint = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[endpoint.address()])).await;
    let mut http1 = Connection::http1(edge.address()).await.unwrap();
    let mut http2 = Connection::http2(edge.address()).await.unwrap();
    for connection in [&mut http1, &mut http2] {
        let (response, upstream) = tokio::join!(connection.start(client::request("a.example", "/")), async {
            let mut upstream = endpoint.accept().await;
            upstream.until("\r\n\r\n").await;
            upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst").await;
            upstream
        });
        let response = response.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        // The client has the head, so that the close does not reset an HTTP/2 stream before it.
        drop(upstream);
        let cut = client::Reply::read(response).await;
        assert!(matches!(cut, Err(client::Error::Http(_))), "{cut:?}");
    }
}

#[tokio::test]
async fn a_truncated_chunked_response_ends_without_the_last_chunk() {
    let peer = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[peer.address()])).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut upstream = peer.accept().await;
    upstream.until("\r\n\r\n").await;
    upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n").await;
    client.until("first\r\n").await;
    drop(upstream);
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_client_that_resets_its_connection_closes_the_upstreams() {
    let peer = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[peer.address()])).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut upstream = peer.accept().await;
    upstream.until("\r\n\r\n").await;
    client.reset();
    assert!(upstream.closes_within(SOON).await);
}

#[tokio::test]
async fn a_request_body_that_stalls_is_408() {
    let peer = RawEndpoint::start().await;
    let config = format!("{}[timeouts]\nbody_idle = \"200ms\"\n", unchecked(&[peer.address()]));
    let edge = Edge::start(&config).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf").await;
    let _upstream = peer.accept().await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer:?}");
}

#[tokio::test]
async fn a_response_body_may_take_longer_than_the_response_timeout() {
    let upstream = Upstream::start().await;
    // The head arrives at once, the body takes 4 s.
    upstream.on("/", Behaviour::SlowBody { chunks: 8, every: Duration::from_millis(500) });
    let timeouts = "[pool.web.timeouts]\nresponse = \"3s\"\nbody_idle = \"1min\"\n";
    let edge = Edge::start(&format!("{}{timeouts}", unchecked(&[upstream.address()]))).await;
    let mut connection = Connection::http1(edge.address()).await.unwrap();
    let response = connection.start(client::request("a.example", "/")).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body.len(), 8000);
}
