//! SIGTERM: the edge finishes open requests within a time limit, and its exit code is 0.

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

use super::{Edge, raw_endpoint::RawEndpoint, unchecked};

/// What a worker logs when the drain's time limit ends before its connections do.
const CUT_OFF: &str = "connections were cut off at the end of the drain";

/// Asserts that each request was answered or its connection refused, and that some were answered.
fn assert_answered_or_refused(records: &[Record]) {
    let lost: Vec<_> = records
        .iter()
        .filter(|record| !record.is_ok() && !matches!(record.outcome, Err(client::Error::Connect(_))))
        .collect();
    assert!(lost.is_empty(), "{} of {} lost: {:#?}", lost.len(), records.len(), lost.first());
    assert!(records.iter().any(Record::is_ok));
}

#[tokio::test]
async fn no_request_is_lost_when_the_edge_drains_under_load() {
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
async fn connections_that_wait_to_be_accepted_when_the_drain_begins_are_answered() {
    let upstream = Upstream::start().await;
    let mut edge = Edge::start(&unchecked(&[upstream.address()])).await;
    edge.process.freeze();
    let mut waiting = Vec::new();
    for _ in 0..400 {
        // The kernel completes the handshakes.
        let mut connection = Raw::open(edge.address()).await;
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        waiting.push(connection);
    }
    edge.process.terminate();
    edge.process.thaw();
    for mut connection in waiting {
        // Some may be answered before the drain begins, so they need not announce the close.
        let answer = connection.rest().await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(edge.process.exit(SOON).await.code(), Some(0));
}

#[tokio::test]
async fn a_response_during_a_drain_announces_the_close() {
    let upstream = Upstream::start().await;
    upstream.hang();
    let mut edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut connection = Raw::open(edge.address()).await;
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the request", SOON, async || upstream.requests() == 1).await;
    edge.process.terminate();
    edge.stops_listening().await;
    assert_eq!(edge.process.exited(), None);
    upstream.resume();
    let answer = connection.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close\r\n"), "{answer}");
    assert_eq!(edge.process.exit(SOON).await.code(), Some(0));
}

#[tokio::test]
async fn connections_close_in_the_drain_delay_while_others_are_accepted() {
    let upstream = Upstream::start().await;
    let config = format!("drain_delay = \"1h\"\n{}", unchecked(&[upstream.address()]));
    let mut edge = Edge::start(&config).await;
    let mut old = [Connection::http1(edge.address()).await.unwrap(), Connection::http2(edge.address()).await.unwrap()];
    for connection in &mut old {
        assert_eq!(connection.get("/").await.unwrap().status, StatusCode::OK);
    }
    edge.process.terminate();
    edge.process.line("the drain begins after the delay").await;
    for connection in &old {
        eventually("the end of an idle connection", SOON, async || connection.is_closed()).await;
    }
    for is_http2 in [false, true] {
        let address = edge.address();
        let opened = if is_http2 { Connection::http2(address).await } else { Connection::http1(address).await };
        let mut connection = opened.unwrap();
        assert_eq!(connection.get("/").await.unwrap().status, StatusCode::OK);
        eventually("the end of a connection after its request", SOON, async || connection.is_closed()).await;
    }
    assert_eq!(edge.process.exited(), None);
}

#[tokio::test]
async fn open_http2_streams_are_answered_and_the_connection_closes() {
    let upstream = Upstream::start().await;
    upstream.hang();
    let mut edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut connection = Connection::http2(edge.address()).await.unwrap();
    let asked = tokio::spawn(async move { (connection.get("/").await, connection) });
    eventually("the request", SOON, async || upstream.requests() == 1).await;
    edge.process.terminate();
    edge.stops_listening().await;
    upstream.resume();
    let (reply, connection) = asked.await.unwrap();
    assert_eq!(reply.unwrap().status, StatusCode::OK);
    eventually("the end of the connection", SOON, async || connection.is_closed()).await;
    assert_eq!(edge.process.exit(SOON).await.code(), Some(0));
}

#[tokio::test]
async fn a_long_response_is_completed() {
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

/// The response had begun before the drain, so it could not announce the close.
#[tokio::test]
async fn a_request_that_follows_a_response_begun_before_the_drain_is_answered() {
    let peer = RawEndpoint::start().await;
    let mut edge = Edge::start(&unchecked(&[peer.address()])).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut upstream = peer.accept().await;
    upstream.until("\r\n\r\n").await;
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst").await;
    let begun = client.until("first").await;
    assert!(!begun.contains("connection: close"), "{begun}");
    edge.process.terminate();
    edge.stops_listening().await;
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
async fn connections_open_at_the_end_of_the_drain_are_closed_and_the_exit_code_is_0() {
    let upstream = Upstream::start().await;
    upstream.on("/never", Behaviour::Silence);
    let mut edge = Edge::start(&format!("drain = \"300ms\"\n{}", unchecked(&[upstream.address()]))).await;
    let mut request = Raw::open(edge.address()).await;
    request.send(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the request", SOON, async || upstream.requests() == 1).await;
    let (_socket, _) = connect_async(format!("ws://{}/chat", edge.address())).await.unwrap();
    let began = Instant::now();
    assert_eq!(edge.drain(SOON).await, Some(0));
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    edge.process.line(CUT_OFF).await;
    assert!(request.closes_within(SOON).await);
}

#[tokio::test]
async fn idle_connections_do_not_delay_the_exit() {
    let upstream = Upstream::start().await;
    let mut edge = Edge::start(&format!("drain = \"1min\"\n{}", unchecked(&[upstream.address()]))).await;
    let mut used = Connection::http1(edge.address()).await.unwrap();
    assert_eq!(used.get("/").await.unwrap().status, StatusCode::OK);
    let mut multiplexed = Connection::http2(edge.address()).await.unwrap();
    assert_eq!(multiplexed.get("/").await.unwrap().status, StatusCode::OK);
    let _unused = Raw::open(edge.address()).await;
    assert_eq!(edge.drain(SOON).await, Some(0));
}

#[tokio::test]
async fn a_request_whose_head_had_begun_is_answered() {
    let upstream = Upstream::start().await;
    let mut edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut first = Raw::open(edge.address()).await;
    first.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n").await;
    let mut second = Raw::open(edge.address()).await;
    second.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    second.until("}").await;
    second.send(b"GET /2 HTTP/1.1\r\nHost: a\r\n").await;
    edge.process.terminate();
    edge.stops_listening().await;
    for connection in [&mut first, &mut second] {
        connection.send(b"\r\n").await;
        let answer = connection.rest().await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close\r\n"), "{answer}");
    }
    assert_eq!(edge.process.exit(SOON).await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_the_process_without_waiting() {
    let upstream = Upstream::start().await;
    upstream.on("/never", Behaviour::Silence);
    let mut edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut request = Raw::open(edge.address()).await;
    request.send(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the request", SOON, async || upstream.requests() == 1).await;
    edge.process.terminate();
    edge.stops_listening().await;
    assert_eq!(edge.drain(SOON).await, Some(1));
}
