//! A machine that falls silent: no answer, no reset, and its kernel acknowledges nothing.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use tests::{
    client::{Connection, get, raw::Raw},
    netns,
    upstream::{Behaviour, Upstream},
    wait::{SOON, deadline, pause},
};

use super::{Edge, LISTENER, list, peer::Peer};

/// A pool that nobody checks: only its own traffic can tell.
fn pool(endpoints: &[impl ToString], unacknowledged: &str) -> String {
    format!(
        "{LISTENER}[pool.web]\nendpoints = {}\nhealth = false\n[pool.web.timeouts]\nunacknowledged = \"{unacknowledged}\"\n",
        list(endpoints)
    )
}

#[tokio::test]
async fn a_request_to_a_machine_that_has_fallen_silent_is_sent_elsewhere() {
    match netns::apart("edge::silence::a_request_to_a_machine_that_has_fallen_silent_is_sent_elsewhere") {
        Ok(true) => {}
        Ok(false) => return,
        Err(why) => {
            eprintln!("SKIPPED: {why}");
            return;
        }
    }
    let upstreams = [Upstream::start().await, Upstream::start().await];
    let edge = Edge::start(&pool(&[upstreams[0].address(), upstreams[1].address()], "500ms")).await;
    let mut client = Connection::http1(edge.address()).await.unwrap();
    // A connection to each, which is idle then.
    while upstreams.iter().any(|upstream| upstream.requests_for("/") == 0) {
        assert_eq!(deadline("an answer", SOON, client.get("/")).await.unwrap().status, 200);
    }
    let port = upstreams[0].address().port().to_string();
    let rule = ["-w", "-A", "INPUT", "-p", "tcp", "--dport", &port, "-j", "DROP"];
    assert!(Command::new("iptables").args(rule).status().unwrap().success());
    let before = upstreams[1].requests_for("/");
    let mut longest = Duration::ZERO;
    for _ in 0..4 {
        let began = Instant::now();
        assert_eq!(deadline("an answer", SOON, client.get("/")).await.unwrap().status, 200);
        longest = longest.max(began.elapsed());
    }
    assert_eq!(upstreams[1].requests_for("/") - before, 4);
    assert!(longest >= Duration::from_millis(500), "{longest:?}: nothing went to the silent one");
}

/// More than both sockets between edge and endpoint hold.
const LONG: usize = 32 << 20;

/// Sends it without a pause, in a task of its own.
fn send(mut client: Raw) -> tokio::task::JoinHandle<Raw> {
    tokio::spawn(async move {
        for _ in 0..LONG >> 16 {
            client.send(&[b'x'; 1 << 16]).await;
        }
        client
    })
}

#[tokio::test]
async fn an_endpoint_that_is_slow_to_take_an_upload_is_not_silent() {
    let peer = Peer::start().await;
    let edge = Edge::start(&pool(&[peer.address()], "300ms")).await;
    let mut client = Raw::open(edge.address()).await;
    // The connection has carried another request before.
    client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    let mut endpoint = peer.accept().await;
    endpoint.until("\r\n\r\n").await;
    endpoint.send(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    client.until("\r\n\r\n").await;
    client.send(format!("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: {LONG}\r\n\r\n").as_bytes()).await;
    let sent = send(client);
    endpoint.until("\r\n\r\n").await;
    pause(Duration::from_millis(1500)).await;
    endpoint.skip(LONG).await;
    endpoint.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let mut client = sent.await.unwrap();
    assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn an_endpoint_that_is_slow_to_read_from_a_tunnel_is_not_silent() {
    let peer = Peer::start().await;
    let edge = Edge::start(&pool(&[peer.address()], "300ms")).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: pipe\r\n\r\n").await;
    let mut endpoint = peer.accept().await;
    endpoint.until("\r\n\r\n").await;
    endpoint.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: pipe\r\n\r\n").await;
    client.until("\r\n\r\n").await;
    let sent = send(client);
    pause(Duration::from_millis(1500)).await;
    endpoint.skip(LONG).await;
    endpoint.send(b"done").await;
    assert_eq!(sent.await.unwrap().until("done").await, "done");
}
