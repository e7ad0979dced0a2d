//! Timeouts of clients and endpoints: which one applies, and to which side.

use std::{net::SocketAddr, time::Duration};

use tests::{
    client::{Connection, raw::Raw, tls::Offer},
    upstream::{Behaviour, Upstream},
    wait::{SOON, deadline, pause},
};
use tokio::task::JoinSet;

use super::{Edge, LISTENER, list, raw_endpoint::RawEndpoint, unchecked};

/// A configuration with one pool of one endpoint, and lines of the client's and of the pool's timeouts.
fn with_timeouts(client: &str, endpoint: &str, address: SocketAddr) -> String {
    let endpoints = list(&[address]);
    format!(
        "[timeouts]\n{client}\n{LISTENER}[pool.web]\nendpoints = {endpoints}\nhealth = false\n[pool.web.timeouts]\n{endpoint}\n"
    )
}

#[tokio::test]
async fn an_endpoint_may_pause_between_head_and_body() {
    let endpoint = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[endpoint.address()])).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    let mut upstream = endpoint.accept().await;
    upstream.until("\r\n\r\n").await;
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
    client.until("\r\n\r\n").await;
    // Once a second, the edge moves requests away from endpoints that were found down.
    pause(Duration::from_millis(1500)).await;
    upstream.send(b"later").await;
    assert_eq!(client.until("later").await, "later");
}

#[tokio::test]
async fn an_endpoint_that_stops_reading_an_upload_is_504() {
    let peer = RawEndpoint::start().await;
    let edge = Edge::start(&with_timeouts("", "response = \"500ms\"", peer.address())).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100000000\r\n\r\n").await;
    let _endpoint = peer.accept().await;
    let chunk = vec![b'x'; 1 << 16];
    let answer = deadline("the response", SOON, async {
        // Until neither the endpoint nor the edge takes more.
        while tokio::time::timeout(Duration::from_millis(200), client.try_send(&chunk)).await == Ok(true) {}
        client.until("\r\n\r\n").await
    });
    assert!(answer.await.starts_with("HTTP/1.1 504 "));
}

#[tokio::test]
async fn an_endpoint_that_does_not_respond_to_an_upload_with_trailers_is_504() {
    let upstream = Upstream::start().await;
    upstream.on("/", Behaviour::Silence);
    let edge = Edge::start(&with_timeouts("", "response = \"500ms\"", upstream.address())).await;
    let mut client = Raw::open(edge.address()).await;
    client
        .send(b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n")
        .await;
    let head = deadline("the response", SOON, client.until("\r\n\r\n")).await;
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
}

#[tokio::test]
async fn a_slow_client_gets_all_of_a_response_that_takes_longer_than_keep_alive() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&with_timeouts("keep_alive = \"300ms\"\nbody_idle = \"20s\"", "", upstream.address())).await;
    let mut downloads = JoinSet::new();
    for length in (0..80).map(|step| (1 << 20) + step * 48 * 1024) {
        upstream.on(&format!("/{length}"), Behaviour::Body(length));
        let mut client = Raw::open(edge.address()).await;
        downloads.spawn(async move {
            client.send(format!("GET /{length} HTTP/1.1\r\nHost: a.example\r\n\r\n").as_bytes()).await;
            client.until("\r\n\r\n").await;
            pause(Duration::from_millis(1200)).await;
            (length, deadline("the rest", SOON, client.rest()).await.len())
        });
    }
    let short: Vec<_> = downloads.join_all().await.into_iter().filter(|(length, got)| length != got).collect();
    assert_eq!(short, []);
}

/// TLS holds the end of a response back when the socket is full, until the client reads on.
#[tokio::test]
async fn a_tls_connection_is_idle_once_a_slow_client_has_read_the_response() {
    let upstream = Upstream::start().await;
    let pool = format!("[pool.web]\nendpoints = {}\nhealth = false\n", list(&[upstream.address()]));
    let config = format!("[timeouts]\nbody_idle = \"2s\"\nkeep_alive = \"20s\"\n{LISTENER}[listener.tls]\n{pool}");
    let edge = Edge::start(&config).await;
    let address = edge.address();
    let mut visits = JoinSet::new();
    for length in (0..80).map(|step| (1 << 20) + step * 48 * 1024) {
        upstream.on(&format!("/{length}"), Behaviour::Body(length));
        let offer = Offer::accepting_any_certificate().alpn(&["http/1.1"]);
        visits.spawn(async move {
            let mut connection = Connection::https(address, "a.example", offer).await.unwrap();
            let response = connection.start(tests::client::request("a.example", &format!("/{length}"))).await.unwrap();
            pause(Duration::from_millis(1000)).await;
            let reply = deadline("the response", SOON, tests::client::Reply::read(response)).await.unwrap();
            assert_eq!(reply.body.len(), length);
            pause(Duration::from_millis(2500)).await;
            (length, connection.get("/").await.is_ok_and(|reply| reply.status.as_u16() == 200))
        });
    }
    let lost: Vec<_> = visits.join_all().await.into_iter().filter(|(_, answered)| !answered).collect();
    assert_eq!(lost, []);
}
