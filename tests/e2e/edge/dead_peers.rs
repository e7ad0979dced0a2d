//! Endpoints on machines that die: no response, no reset, and no kernel that acknowledges segments.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use http::Method;
use tests::{
    client::{Connection, raw::Raw, request},
    netns,
    upstream::Upstream,
    wait::{SOON, deadline, eventually, pause},
};

use super::{Edge, LISTENER, addresses, list, raw_endpoint::RawEndpoint};

/// A configuration without health checks, so that only a pool's own traffic finds a dead endpoint.
fn pool(endpoints: &[impl ToString], unacknowledged: &str) -> String {
    format!(
        "{LISTENER}[pool.web]\nendpoints = {}\nhealth = false\n[pool.web.timeouts]\nunacknowledged = \"{unacknowledged}\"\n",
        list(endpoints)
    )
}

/// Runs the test of this name again in a network namespace of its own. Returns whether this process is that second
/// run; the first one has nothing left to do.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn is_apart(test: &str) -> bool {
    netns::isolated(&format!("edge::dead_peers::{test}")).unwrap_or_else(|why| {
        eprintln!("SKIPPED: {why}");
        false
    })
}

/// Starts two endpoints and an edge that has an idle connection to each, then drops all packets to the first.
async fn one_of_two_dead() -> ([Upstream; 2], Edge, Connection) {
    let upstreams = [Upstream::start().await, Upstream::start().await];
    let edge = Edge::start(&pool(&addresses(&upstreams), "500ms")).await;
    let mut client = Connection::http1(edge.address()).await.unwrap();
    eventually("a connection to each", SOON, async || {
        assert_eq!(client.get("/").await.unwrap().status, 200);
        upstreams.iter().all(|upstream| upstream.requests() > 0)
    })
    .await;
    let port = upstreams[0].address().port().to_string();
    let rule = ["-w", "-A", "INPUT", "-p", "tcp", "--dport", &port, "-j", "DROP"];
    assert!(Command::new("iptables").args(rule).status().unwrap().success());
    (upstreams, edge, client)
}

#[tokio::test]
async fn a_get_to_a_dead_endpoint_is_retried_at_another() {
    if !is_apart("a_get_to_a_dead_endpoint_is_retried_at_another") {
        return;
    }
    let (upstreams, _edge, mut client) = one_of_two_dead().await;
    let before = upstreams[1].requests();
    let mut longest = Duration::ZERO;
    for _ in 0..4 {
        let began = Instant::now();
        assert_eq!(deadline("a response", SOON, client.get("/")).await.unwrap().status, 200);
        longest = longest.max(began.elapsed());
    }
    assert_eq!(upstreams[1].requests() - before, 4);
    assert!(longest >= Duration::from_millis(500), "{longest:?}: no request was sent to the dead endpoint");
}

#[tokio::test]
async fn a_post_to_a_dead_endpoint_is_502_and_not_retried() {
    if !is_apart("a_post_to_a_dead_endpoint_is_502_and_not_retried") {
        return;
    }
    let (upstreams, _edge, mut client) = one_of_two_dead().await;
    let before = upstreams[1].requests();
    let mut statuses = Vec::new();
    for _ in 0..2 {
        let mut post = request("a.example", "/");
        *post.method_mut() = Method::POST;
        statuses.push(deadline("a response", SOON, client.send(post)).await.unwrap().status.as_u16());
    }
    statuses.sort_unstable();
    assert_eq!((statuses, upstreams[1].requests() - before), (vec![200, 502], 1));
}

/// More than the sockets between edge and endpoint buffer. Bytes.
const LONG: usize = 32 << 20;

/// Sends [`LONG`] bytes in a task of its own.
fn send(mut client: Raw) -> tokio::task::JoinHandle<Raw> {
    tokio::spawn(async move {
        for _ in 0..LONG >> 16 {
            client.send(&[b'x'; 1 << 16]).await;
        }
        client
    })
}

#[tokio::test]
async fn an_endpoint_that_reads_an_upload_slowly_is_not_dead() {
    let peer = RawEndpoint::start().await;
    let edge = Edge::start(&pool(&[peer.address()], "300ms")).await;
    let mut client = Raw::open(edge.address()).await;
    // The upload is the second request on its connection.
    client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    let mut endpoint = peer.accept().await;
    endpoint.until("\r\n\r\n").await;
    endpoint.send(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    client.until("\r\n\r\n").await;
    client.send(format!("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: {LONG}\r\n\r\n").as_bytes()).await;
    let sent = send(client);
    endpoint.until("\r\n\r\n").await;
    // Longer than `unacknowledged`.
    pause(Duration::from_millis(1500)).await;
    endpoint.skip(LONG).await;
    endpoint.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let mut client = sent.await.unwrap();
    assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn an_endpoint_that_reads_from_a_tunnel_slowly_is_not_dead() {
    let peer = RawEndpoint::start().await;
    let edge = Edge::start(&pool(&[peer.address()], "300ms")).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: pipe\r\n\r\n").await;
    let mut endpoint = peer.accept().await;
    endpoint.until("\r\n\r\n").await;
    endpoint.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: pipe\r\n\r\n").await;
    client.until("\r\n\r\n").await;
    let sent = send(client);
    // Longer than `unacknowledged`.
    pause(Duration::from_millis(1500)).await;
    endpoint.skip(LONG).await;
    endpoint.send(b"done").await;
    assert_eq!(sent.await.unwrap().until("done").await, "done");
}
