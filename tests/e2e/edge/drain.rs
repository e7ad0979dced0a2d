//! SIGTERM: what was begun is finished, within bounds, and the exit code is 0.

use std::time::{Duration, Instant};

use http::StatusCode;
use tests::{
    client::{
        self, Connection,
        load::{Load, Record},
        raw::Raw,
    },
    upstream::{Behaviour, Upstream},
    wait::{SOON, eventually},
};
use tokio_tungstenite::connect_async;

use super::{Edge, raw_endpoint::Peer, unchecked};

/// What a client may see of an edge that ends: answers, and then refused connections.
fn assert_answered_or_refused(records: &[Record]) {
    let lost: Vec<_> = records
        .iter()
        .filter(|record| !record.is_ok() && !matches!(record.outcome, Err(client::Error::Connect(_))))
        .collect();
    assert!(lost.is_empty(), "{} of {} lost: {:#?}", lost.len(), records.len(), lost.first());
    assert!(records.iter().any(Record::is_ok));
}

#[tokio::test]
async fn no_request_is_lost_when_the_edge_ends_under_load() {
    let upstream = Upstream::start().await;
    for _ in 0..3 {
        let mut edge = Edge::start(&unchecked(&[upstream.address()])).await;
        let load = Load::on(&[edge.address()]).connections(32).start();
        eventually("load", SOON, async || load.done() > 300).await;
        assert_eq!(edge.drain(SOON).await, Some(0));
        assert_answered_or_refused(&load.stop().await);
    }
}

#[tokio::test]
async fn the_last_answer_of_a_connection_says_that_it_is() {
    let upstream = Upstream::start().await;
    upstream.hang();
    let mut edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut connection = Raw::open(edge.address()).await;
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the request", SOON, async || upstream.requests() == 1).await;
    edge.process.terminate();
    eventually("the end of the listener", SOON, async || {
        matches!(Connection::http1(edge.address()).await, Err(client::Error::Connect(_)))
    })
    .await;
    assert_eq!(edge.process.exited(), None);
    upstream.resume();
    let answer = connection.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close\r\n"), "{answer}");
    assert_eq!(edge.process.exit(SOON).await.code(), Some(0));
}

#[tokio::test]
async fn streams_under_way_are_answered_and_the_connection_ends() {
    let upstream = Upstream::start().await;
    upstream.hang();
    let mut edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut connection = Connection::http2(edge.address()).await.unwrap();
    let asked = tokio::spawn(async move { (connection.get("/").await, connection) });
    eventually("the request", SOON, async || upstream.requests() == 1).await;
    edge.process.terminate();
    eventually("the end of the listener", SOON, async || {
        matches!(Connection::http1(edge.address()).await, Err(client::Error::Connect(_)))
    })
    .await;
    upstream.resume();
    let (reply, connection) = asked.await.unwrap();
    assert_eq!(reply.unwrap().status, StatusCode::OK);
    eventually("the end of the connection", SOON, async || connection.is_closed()).await;
    assert_eq!(edge.process.exit(SOON).await.code(), Some(0));
}

#[tokio::test]
async fn a_long_answer_is_finished_within_the_bound() {
    let upstream = Upstream::start().await;
    upstream.on("/", Behaviour::SlowBody { chunks: 10, every: Duration::from_millis(100) });
    let mut edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut connection = Connection::http1(edge.address()).await.unwrap();
    let response = connection.start(client::request("a.example", "/")).await.unwrap();
    edge.process.terminate();
    let reply = client::Reply::read(response).await.unwrap();
    assert_eq!(reply.body.len(), 10_000);
    assert_eq!(edge.process.exit(SOON).await.code(), Some(0));
}

/// The head of the answer was gone before the drain: it could not say that it is the last.
#[tokio::test]
async fn a_request_behind_an_answer_that_had_begun_is_still_answered() {
    let peer = Peer::start().await;
    let mut edge = Edge::start(&unchecked(&[peer.address()])).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut upstream = peer.accept().await;
    upstream.until("\r\n\r\n").await;
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst").await;
    let begun = client.until("first").await;
    assert!(!begun.contains("connection: close"), "{begun}");
    edge.process.terminate();
    eventually("the end of the listener", SOON, async || {
        matches!(Connection::http1(edge.address()).await, Err(client::Error::Connect(_)))
    })
    .await;
    upstream.send(b" last").await;
    client.until("last").await;
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
    upstream.until("POST / ").await;
    upstream.until("\r\n\r\n").await;
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close\r\n"), "{answer}");
    assert_eq!(edge.process.exit(SOON).await.code(), Some(0));
}

#[tokio::test]
async fn what_takes_longer_than_the_bound_is_cut_off_and_the_exit_is_still_clean() {
    let upstream = Upstream::start().await;
    upstream.on("/never", Behaviour::Silence);
    let mut edge = Edge::start(&format!("drain = \"300ms\"\n{}", unchecked(&[upstream.address()]))).await;
    let mut request = Raw::open(edge.address()).await;
    request.send(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the request", SOON, async || upstream.requests() == 1).await;
    let (_socket, _) = connect_async(format!("ws://{}/chat", edge.address())).await.unwrap();
    let told = Instant::now();
    assert_eq!(edge.drain(SOON).await, Some(0));
    assert!(told.elapsed() >= Duration::from_millis(300), "{:?}", told.elapsed());
    assert!(request.closes_within(SOON).await);
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_end() {
    let upstream = Upstream::start().await;
    let mut edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut used = Connection::http1(edge.address()).await.unwrap();
    assert_eq!(used.get("/").await.unwrap().status, StatusCode::OK);
    let mut multiplexed = Connection::http2(edge.address()).await.unwrap();
    assert_eq!(multiplexed.get("/").await.unwrap().status, StatusCode::OK);
    let _fresh = Raw::open(edge.address()).await;
    assert_eq!(edge.drain(Duration::from_secs(10)).await, Some(0));
}

#[tokio::test]
async fn a_head_that_is_half_there_is_still_answered() {
    let upstream = Upstream::start().await;
    let mut edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut first = Raw::open(edge.address()).await;
    first.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n").await;
    let mut second = Raw::open(edge.address()).await;
    second.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    second.until("}").await;
    second.send(b"GET /2 HTTP/1.1\r\nHost: a\r\n").await;
    edge.process.terminate();
    eventually("the end of the listener", SOON, async || {
        matches!(Connection::http1(edge.address()).await, Err(client::Error::Connect(_)))
    })
    .await;
    for connection in [&mut first, &mut second] {
        connection.send(b"\r\n").await;
        let answer = connection.rest().await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close\r\n"), "{answer}");
    }
    assert_eq!(edge.process.exit(SOON).await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let upstream = Upstream::start().await;
    upstream.on("/never", Behaviour::Silence);
    let mut edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut request = Raw::open(edge.address()).await;
    request.send(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the request", SOON, async || upstream.requests() == 1).await;
    edge.process.terminate();
    eventually("the end of the listener", SOON, async || {
        matches!(Connection::http1(edge.address()).await, Err(client::Error::Connect(_)))
    })
    .await;
    assert_eq!(edge.drain(SOON).await, Some(1));
}
